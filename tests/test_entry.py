"""`lt_lightning.run`: the Python entry."""

import csv
from pathlib import Path

import pytest

from lt_lightning import run
from lt_lightning.errors import SettingError
from trials.kills import SMALL, write_corpus


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.chdir(tmp_path)
    write_corpus(tmp_path / "corpus")
    return ["data=files", "data.path=corpus", *SMALL, "trainer.max_epochs=1", "pruning.rounds=1"]


@pytest.mark.slow
def test_run_returns_what_the_run_directory_holds_and_works_twice(settings: list[str]) -> None:
    first, second = run(*settings, "seed=1"), run(*settings, "seed=1")
    assert first.path != second.path
    rows = list(csv.DictReader((first.path / "results.csv").read_text(encoding="utf-8").splitlines()))
    assert first.records["round"].tolist() == [0, 1]
    assert first.records["test_acc"].tolist() == [float(row["test_acc"]) for row in rows]
    assert first.records["test_acc"].tolist() == second.records["test_acc"].tolist()
    assert sorted(first.tickets) == [0, 1]
    assert all(path.is_file() for path in first.tickets.values())
    assert "round 1/1" in (first.path / "train.log").read_text(encoding="utf-8")
    on = run(f"resume={first.path}", "pruning.rounds=2")
    assert on.path.resolve() == first.path.resolve()
    assert on.records["round"].tolist() == [0, 1, 2]


@pytest.mark.parametrize(("override", "said"), [
    ("pruning.amount=2", "pruning.amount"), ("-m", "write a loop|loop in Python"), ("modle=cnn", "modle"),
    ("x", "key=value"), ("+optimizer._target_=torch.optim.RMSPropp", "did you mean RMSprop"),
])  # fmt: skip
def test_run_refuses_and_leaves_no_folder(settings: list[str], override: str, said: str) -> None:
    with pytest.raises(SettingError, match=said):
        run(*settings, override)
    assert not Path("outputs").exists()


@pytest.mark.slow
def test_a_notebook_shows_one_table_and_a_line_that_is_replaced(settings: list[str]) -> None:
    """Run a real Jupyter kernel."""
    nbformat = pytest.importorskip("nbformat")
    nbclient = pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    source = f"from lt_lightning import run\nresult = run(*{settings!r})\nresult.records.shape"
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source)])
    nbclient.NotebookClient(notebook, timeout=300).execute()
    outputs = notebook.cells[0].outputs
    shown = [output.data["text/plain"] for output in outputs if output.output_type == "display_data"]
    headings = [text for text in shown if "density" in text]
    rows = [text for text in shown if text.lstrip().startswith(("0  ", "1  ")) and text.endswith("\n")]
    assert (len(headings), len(rows)) == (1, 2)
    assert shown.count("") == 1  # the line is empty in the end
    assert "GPU available" not in str(outputs)
    assert outputs[-1].data["text/plain"].startswith("(2, ")
