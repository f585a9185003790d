"""A run's ticket, evaluated on the run's rows, is as good as the run said; elsewhere it answers the same."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer

from lt_lightning.errors import SettingError
from lt_lightning.evaluate.__main__ import main
from lt_lightning.evaluate.request import read_request
from lt_lightning.export import __main__ as export
from lt_lightning.report import facts
from lt_lightning.report.pages import Picture
from lt_lightning.report.run_page import render_page
from lt_lightning.runs.csv_files import read_records
from lt_lightning.runs.description import Description
from lt_lightning.runs.formatting import percent
from lt_lightning.runs.reading import read_run
from lt_lightning.runs.records import ConfusionRecord, Record
from trials.kills import write_corpus

LAST = 2


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three classes of texts, some of a single word."""
    return write_corpus(tmp_path_factory.mktemp("data") / "corpus", train=120, test=61, shortest=1)


Play = Callable[..., Path]


@pytest.fixture(scope="module")
def play(corpus: Path, run_settings: Play) -> Play:
    """Run an experiment, export the ticket of its last round with all that goes with it, and return the run."""

    def play(*overrides: str) -> Path:
        small = ["data=files", f"data.path={corpus}", "trainer=cpu", "embedding.dim=6", "trainer.max_epochs=2"]
        run = run_settings([*small, f"pruning.rounds={LAST}", "pruning.amount=0.3", "optimizer.lr=0.02"], *overrides)
        assert export.main([str(run), "--onnx", "--state-dict"]) == 0
        return run

    return play


@pytest.fixture(scope="module")
def run(play: Play) -> Path:
    return play("model=cnn", "model.filters=4", "data.limit=100", "data.valid_fraction=0.25", "seed=3")


@pytest.fixture(scope="module")
def letters(play: Play) -> Path:
    return play("model=birnn", "model.cell=gru", "model.hidden=5", "data.tokenizer=letters", "data.max_length=20")


@pytest.fixture(autouse=True)
def no_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """They take longer than all else; `test_evaluation_page` draws them."""
    blank = Picture("<svg/>", "", "")
    monkeypatch.setattr("lt_lightning.evaluate.report.save_picture", lambda *_: blank)


def ticket_of(run: Path) -> Path:
    return run / "export" / f"round_{LAST:02}" / "ticket.safetensors"


def evaluate(run: Path, output: Path, *words: str) -> dict[str, Any]:
    assert main([str(ticket_of(run)), *words, "-o", str(output)]) == 0
    assert (output / "evaluation.html").exists()
    return json.loads((output / "evaluation.json").read_text(encoding="utf-8"))


@pytest.mark.slow
@pytest.mark.parametrize("which", ["run", "letters"])
def test_on_the_runs_test_split_a_ticket_is_as_good_as_the_run_said(which, request, corpus, tmp_path, capsys):
    run = request.getfixturevalue(which)
    said = evaluate(run, tmp_path, f"data={corpus}")
    record = read_records(run / "results.csv", Record)[LAST]
    assert np.float32(said["accuracy"]) == np.float32(record.test_acc)
    assert said["raw"]["log_loss"] == pytest.approx(record.test_loss, rel=1e-4)
    counts = {
        (row.label, row.predicted): row.count
        for row in read_records(run / "confusion.csv", ConfusionRecord)
        if row.round == LAST
    }
    confusion = said["confusion"]
    assert {(i, j): n for i, row in enumerate(confusion) for j, n in enumerate(row) if n} == counts
    assert said["data"]["tested_by_the_run"]
    out = capsys.readouterr().out
    assert "The run tested on these rows, and measured the same" in out
    assert all(letter.isprintable() or letter == "\n" for letter in out)
    assert out.splitlines()[-1] == str(tmp_path / "evaluation.html")


@pytest.mark.slow
@pytest.mark.parametrize("which", ["run", "letters"])
def test_on_what_validated_it_is_as_good_as_the_run_said(which, request, corpus, tmp_path):
    run = request.getfixturevalue(which)
    said = evaluate(run, tmp_path, "data=files", f"data.path={corpus}", "split=valid")
    record = read_records(run / "results.csv", Record)[LAST]
    assert np.float32(said["accuracy"]) == np.float32(record.valid_acc)
    assert said["rows"] == json.loads((run / "run.json").read_text())["corpus"]["rows"]["valid"]
    assert not said["data"]["tested_by_the_run"]


@pytest.mark.slow
def test_a_file_is_evaluated_as_the_split_that_it_is_and_its_classes_by_their_names(run, corpus, tmp_path):
    whole = evaluate(run, tmp_path / "whole", f"data={corpus}")
    file = evaluate(run, tmp_path / "file", f"data={corpus / 'test.jsonl'}")
    assert {**file, "data": None} == {**whole, "data": None}
    rows = [json.loads(line) for line in (corpus / "test.jsonl").read_text().splitlines()]
    numbers = {name: number for number, name in enumerate(whole["class_names"])}
    path = tmp_path / "numbers.csv"
    path.write_text("body,class\n" + "".join(f"{row['text']},{numbers[row['label']]}\n" for row in rows))
    columns = ("data.text_column=body", "data.label_column=class")
    assert evaluate(run, tmp_path / "csv", f"data={path}", *columns)["confusion"] == whole["confusion"]


def test_mistakes_are_rows_of_the_file_with_their_texts(run, corpus, tmp_path):
    said = evaluate(run, tmp_path, f"data={corpus}", "--mistakes", "3")
    assert len(said["mistakes"]) == 3
    rows = [json.loads(line) for line in (corpus / "test.jsonl").read_text().splitlines()]
    for mistake in said["mistakes"]:
        row = rows[mistake["row"] - 1]
        assert (mistake["text"], mistake["label"]) == (row["text"], row["label"])
        assert mistake["predicted"] != row["label"]


def test_what_is_found_goes_beside_the_ticket_where_no_folder_is_given(run, corpus):
    before = {*ticket_of(run).parent.iterdir()}
    assert main([str(ticket_of(run)), f"data={corpus}", "data.limit=9"]) == 0
    (made,) = {*ticket_of(run).parent.iterdir()} - before
    assert made.name == f"ticket_{corpus.name}_test"
    assert json.loads((made / "evaluation.json").read_text(encoding="utf-8"))["rows"] == 9


@pytest.mark.parametrize("which", ["run", "letters"])
def test_what_export_gives_other_programs_is_as_good_as_the_run_said(which, request, corpus):
    onnxruntime = pytest.importorskip("onnxruntime")
    run = request.getfixturevalue(which)
    folder = ticket_of(run).parent
    tokenizer = Tokenizer.from_file(str(folder / "ticket_tokenizer.json"))
    rows = [json.loads(line) for line in (corpus / "test.jsonl").read_text().splitlines()]
    texts = [tokenizer.encode(row["text"]).ids for row in rows]
    session = onnxruntime.InferenceSession(folder / "ticket.onnx", providers=["CPUExecutionProvider"])
    told = {key: json.loads(value) for key, value in session.get_modelmeta().custom_metadata_map.items()}
    texts = [text[: told["max_length"]] for text in texts]
    lengths = np.array([len(text) for text in texts])
    ids = np.full((len(texts), lengths.max()), told["padding"])
    for row, text in zip(ids, texts, strict=True):
        row[: len(text)] = text
    (probabilities,) = session.run(["probabilities"], {"ids": ids, "lengths": lengths})
    taken = [told["class_names"][number] for number in probabilities.argmax(axis=1)]
    right = np.mean([name == row["label"] for name, row in zip(taken, rows, strict=True)])
    assert np.float32(right) == np.float32(read_records(run / "results.csv", Record)[LAST].test_acc)


@pytest.mark.slow
def test_torch_is_not_needed(run, corpus, tmp_path):
    program = (
        "import sys\nfrom lt_lightning.evaluate.__main__ import main\n"
        f"assert main({[str(ticket_of(run)), f'data={corpus}', '-o', str(tmp_path)]!r}) == 0\n"
        "print([name for name in ('torch', 'pytorch_lightning') if name in sys.modules])"
    )
    ran = subprocess.run([sys.executable, "-W", "error", "-c", program], check=True, capture_output=True, text=True)
    assert ran.stdout.splitlines()[-1] == "[]"
    assert ran.stderr == ""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize(("where", "code", "says"), [
    (">/dev/full", 2, "stdout: cannot be written (No space left on device); send it elsewhere\n"),
    (">&-", 2, "stdout: closed; send it to a file, or to /dev/null\n"),
    ("| true", 141, ""),
])  # fmt: skip
def test_a_stdout_that_takes_nothing_ends_it_without_a_traceback(where, code, says, run, corpus, tmp_path):
    program = f"{sys.executable} -m lt_lightning.evaluate {ticket_of(run)} data={corpus} -o {tmp_path / 'found'}"
    command = f"set -o pipefail; {program} {where}"
    ran = subprocess.run(["bash", "-c", command], capture_output=True, text=True)
    assert (ran.returncode, ran.stderr) == (code, says)


def test_what_is_wrong_is_one_line_and_exit_code_2(run, tmp_path, capsys):
    assert main([str(ticket_of(run)), "data=gone.csv", "-o", str(tmp_path / "found")]) == 2
    printed = capsys.readouterr()
    assert printed.err.startswith("data: gone.csv does not exist")
    assert (printed.out, len(printed.err.splitlines())) == ("", 1)
    assert not (tmp_path / "found").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("limit", "rows"), [("trainer.limit_test_batches=2", 32), ("trainer.limit_test_batches=0.4", 16)]
)
def test_numbers_of_a_part_of_the_test_rows_say_so_everywhere(limit, rows, play, corpus, tmp_path, capsys):
    run = play("model=cnn", "model.filters=4", "seed=3", "data.batch_size=16", limit)
    some = f"the {rows} shortest of 61 test rows"
    records = read_records(run / "results.csv", Record)
    assert [record.tested_rows for record in records] == [rows] * (LAST + 1)
    counted = sum(row.count for row in read_records(run / "confusion.csv", ConfusionRecord) if row.round == LAST)
    assert counted == rows
    described = json.loads((run / "run.json").read_text(encoding="utf-8"))
    assert described["measured"] == {"valid": described["corpus"]["rows"]["valid"], "test": rows}
    screen = capsys.readouterr().out
    assert f"Test numbers are of {some} (trainer.limit_test_batches)." in screen
    assert f"on {some}; the whole network" in screen
    assert some in (ticket_of(run).parent / "README.md").read_text(encoding="utf-8")
    page = render_page(read_run(run), [])
    assert page.count(some) >= 2
    assert some in facts.subtitle(Description.from_json(described))

    said = evaluate(run, tmp_path, f"data={corpus}")
    assert said["ticket"]["tested_on"] == some
    assert said["rows"] == 61
    assert not said["data"]["tested_by_the_run"]
    assert f"The run measured {percent(records[LAST].test_acc)}, on {some} alone." in capsys.readouterr().out
    assert f"on {some} alone" in (tmp_path / "evaluation.html").read_text(encoding="utf-8")


def test_numbers_of_all_test_rows_need_no_such_words(run):
    described = json.loads((run / "run.json").read_text(encoding="utf-8"))
    assert described["measured"]["test"] == described["corpus"]["rows"]["test"] == 61
    assert "tested_rows" not in (run / "results.csv").read_text(encoding="utf-8")
    assert "shortest" not in render_page(read_run(run), []) + facts.subtitle(Description.from_json(described))
    assert "shortest" not in (ticket_of(run).parent / "README.md").read_text(encoding="utf-8")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with a file and a folder with odd names in it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my reviews, {1}.csv").touch()
    (tmp_path / "a=b").mkdir()
    (tmp_path / "imdb").mkdir()
    (tmp_path / "notes.txt").touch()
    return tmp_path


@pytest.mark.slow
def test_a_name_is_the_group_of_training(folder):
    request = read_request(["data=imdb", "data.path=elsewhere", "split=train", "data.text_column=body"])
    assert (request.name, request.file, request.split) == ("imdb", None, "train")
    data = request.data
    assert (data.name, data.path, data.text_column) == ("IMDB", "elsewhere", "body")
    assert data.class_names == ["negative", "positive"]


@pytest.mark.slow
def test_a_file_and_a_folder_are_what_they_are_whatever_their_names(folder):
    file = read_request(["data=my reviews, {1}.csv", "data.limit=5"])
    assert (file.name, file.file, file.split) == ("my reviews, {1}", Path("my reviews, {1}.csv"), None)
    assert (file.data.label_column, file.data.limit) == ("label", 5)
    part = read_request(["data=my reviews, {1}.csv", "split=valid"])
    assert (part.name, part.file, part.split, part.data.path) == ("my reviews, {1}", None, "valid", str(file.file))
    assert read_request(["data=a=b"]).data.path == "a=b"
    assert read_request(["data=a=b"]).split == "test"
    assert read_request(["data=./imdb"]).data.name == "files"  # the group goes first


@pytest.mark.parametrize(("words", "said"), [
    ([], ("data: ", "missing", "pydocs")), (["data="], ("data: ", "missing")),
    (["agnews"], ("'agnews'", "key=value")), (["data=agnew"], ("data: ", "'agnew'", "did you mean agnews?")),
    (["data=gone.csv"], ("data: ", "gone.csv does not exist")),
    (["data=notes.txt"], ("data: ", "notes.txt", ".csv, .tsv, .jsonl, .parquet")),
    (["data=pairs"], ("data: ", "pairs of strings", "labelled texts")),
    (["data=reversal"], ("data: ", "pairs of strings")), (["data=imdb", "data=imdb"], ("data: ", "twice")),
    (["data=imdb", "split=tets"], ("split: ", "'tets'", "did you mean test?", "test, train, valid")),
    (["data=my reviews, {1}.csv", "data.test_fraction=2"], ("data.test_fraction: ", "between 0 and 1")),
    (["data=imdb", "spilt=test"], ("spilt: ", "did you mean split?")),
    (["data=imdb", "data.text_colum=a"], ("data.text_colum: ", "did you mean data.text_column?")),
    (["data=imdb", "data.max_length=5"], ("data.max_length: ", "the ticket determines it")),
    (["data=imdb", "seed=5"], ("seed: ", "no such setting here")),
    (["data=imdb", "data.limit=some"], ("data.limit: ", "'some'", "whole number")),
    (["data=imdb", "data.limit=0"], ("data.limit: ", "0", "at least 1")),
    (["data=imdb", "data.limit=[1"], ("data.limit=[1", "quotes")),
    (["data=imdb", "data.label_column=null"], ("data.label_column: ",)),
    (["data=imdb", "data.class_names=[a"], ("data.class_names=[a",)),
    (["data=a=b", "data.path=c"], ("data.path: ", "data=a=b")),
    (["data=a=b", "data.hub=c"], ("data.hub: ", "data=a=b")),
], ids=" ".join)  # fmt: skip
def test_what_makes_no_sense_is_one_line(words, said, folder):
    with pytest.raises(SettingError) as raised:
        read_request(words)
    message = str(raised.value)
    assert "\n" not in message
    assert [word for word in said if word not in message] == [], message
