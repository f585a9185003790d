"""A path in a setting is the one that was typed, wherever a home or a run directory lies."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

import lt_lightning
from lt_lightning.config.schema import Config
from lt_lightning.config.typed_paths import typed_in, typed_path
from lt_lightning.data.corpus import load_corpus
from lt_lightning.errors import SettingError
from trials.forking import run_train
from trials.kills import SMALL, write_corpus


def test_a_home_is_that_of_the_user_or_of_the_one_who_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    assert typed_path("~/texts") == Path("/home/me/texts")
    assert typed_path("~root/texts").is_absolute()


@pytest.mark.parametrize("text", ["~nobody_such/texts", "./~data", "a/~/b", "x~", "", "texts/"])
def test_any_other_tilde_is_part_of_a_name(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    assert typed_path(text) == Path(text)


@pytest.mark.parametrize("typed", ["~nobody_such/corpus", "./~data", "~data"])
def test_a_folder_whose_name_begins_with_a_tilde_is_read(typed, configure, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data = configure("data=files", f"data.path='{typed}'", "model=cnn").data
    with pytest.raises(SettingError, match=r"data\.path: ~.* does not exist"):
        load_corpus(data)
    (tmp_path / typed).parent.mkdir(exist_ok=True)
    write_corpus(tmp_path / typed)
    assert len(load_corpus(data).class_names) == 3


def test_no_module_expands_a_home_in_a_way_of_its_own() -> None:
    package = Path(lt_lightning.__file__).parent
    others = [path for path in package.rglob("*.py") if path.name != "typed_paths.py"]
    assert [path.name for path in others if "expanduser" in path.read_text(encoding="utf-8")] == []


def test_settings_keep_the_folder_that_they_were_typed_in(configure: Callable[..., Config]) -> None:
    typed = configure("data=files", "data.path=texts", "model=cnn", "pruning.ticket=a/b.safetensors", "seed=3")
    config = typed_in(Path("/start"), typed)
    assert (config.data.path, config.pruning.ticket) == ("/start/texts", "/start/a/b.safetensors")
    assert not hasattr(config.embedding, "path")
    assert config.trainer.default_root_dir is None
    assert config.seed == 3
    assert typed_in(Path("/elsewhere"), config) == config


@pytest.mark.slow
def test_a_run_that_changes_its_directory_reads_what_was_typed_and_goes_on(tmp_path: Path) -> None:
    write_corpus(tmp_path / "corpus")
    (tmp_path / "mine.py").write_text(
        "from pathlib import Path\n"
        "from pytorch_lightning import Callback\n"
        "class Note(Callback):\n"
        "    def on_fit_end(self, trainer, module):\n"
        "        Path('note.txt').write_text('here')\n",
        encoding="utf-8",
    )

    train = partial(run_train, folder=tmp_path)
    first = train(
        "data=files", "data.path=corpus", *SMALL, "pruning.rounds=0", "hydra.job.chdir=true", "hydra.run.dir=run",
        "trainer.callbacks=[{_target_: mine.Note}]", "report=true",
    )  # fmt: skip
    assert (first.returncode, first.stderr) == (0, "")
    assert (tmp_path / "run/note.txt").read_text(encoding="utf-8") == "here"
    assert (tmp_path / "run/report.html").exists()
    again = train("resume=run", "trust=true", "hydra.job.chdir=true", "pruning.rounds=1")
    assert (again.returncode, again.stderr) == (0, "")
    assert len((tmp_path / "run/results.csv").read_text(encoding="utf-8").splitlines()) == 3
    done = train("resume=run", "trust=true", "hydra.job.chdir=true", "pruning.rounds=1")
    assert "nothing to do" in done.stdout
    assert {path.name for path in tmp_path.iterdir()} - {"__pycache__"} == {"corpus", "mine.py", "run"}
