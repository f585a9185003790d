"""What a person sees who mistypes: one line, exit code 2, nothing written."""

import logging
import re
import subprocess
import sys
from pathlib import Path

import pytest

from lt_lightning.config.folder import config_folder
from lt_lightning.runtime.logs import LogFile
from trials.forking import run_train


@pytest.mark.slow
@pytest.mark.parametrize(("arguments", "said"), [
    (
        ["+experiment=lt_agnwes"],
        "experiment: there is no 'lt_agnwes'; did you mean lt_agnews?; choose +experiment=…",
    ),
    (["expriment=quickstart"], "expriment: to choose an experiment write +experiment=NAME"),
    (["data=nosuch"], "data: there is no 'nosuch'; choose data=… from agnews, custom, files, imdb, names, pairs"),
    (["+pruning.amont=0.3"], "pruning.amont: no such setting"),
    (["pruning.rounds=many"], "pruning.rounds: 'many' is not a whole number; give one"),
    (["pruning.amount=1.5"], "pruning.amount: 1.5 is not between 0 and 1"),
    (["data=files"], "data.path: missing: data=files reads a file, or a folder with train and test files"),
    (["rounds"], "cannot read rounds on the command line; write key=value"),
    (["data=agnews"], "data.path=FOLDER"),
    (["data=files", "data.path=nowhere"], "data.path: nowhere does not exist"),
])  # fmt: skip
def test_a_mistake_is_one_line_that_names_it(arguments: list[str], said: str, tmp_path: Path) -> None:
    result = run_train(*arguments, folder=tmp_path)
    assert result.returncode == 2
    assert result.stderr.startswith("error: ")
    assert said in result.stderr
    assert result.stderr.count("\n") == 1
    assert not result.stdout
    assert not list(tmp_path.rglob("*.csv"))


@pytest.mark.slow
def test_vectors_that_cannot_be_had_are_named_before_torch_is_loaded(tmp_path: Path) -> None:
    rows = "text,label\n" + "a good film,good\na bad film,bad\n" * 5
    for split in ("train", "test"):
        (tmp_path / f"{split}.csv").write_text(rows)
    result = run_train("embedding=glove", "model=cnn", "data=files", "data.path=.", folder=tmp_path)
    assert result.returncode == 2
    assert "embedding: stanfordnlp/glove is not in the cache" in result.stderr
    assert "embedding.path=FILE" in result.stderr


@pytest.mark.parametrize("program", ["train", "export"])
def test_a_working_directory_that_was_removed_is_an_error_in_one_line(program: str, tmp_path: Path) -> None:
    (gone := tmp_path / "gone").mkdir()
    start = f"import os, runpy, sys; os.rmdir({str(gone)!r}); sys.argv = ['{program}', {str(tmp_path)!r}]; "
    start += f"runpy.run_module('lt_lightning.{program}', run_name='__main__')"
    result = subprocess.run(
        [sys.executable, "-c", start], capture_output=True, text=True, cwd=gone, timeout=120, check=False
    )
    assert result.returncode == 2
    assert result.stderr.endswith("the working directory no longer exists; cd to one that does, and start again\n")
    assert result.stderr.count("\n") == 1


@pytest.mark.slow
@pytest.mark.parametrize("environ", [{"LOCAL_RANK": "1"}, {"RANK": "1"}, {"SLURM_PROCID": "2", "SLURM_NTASKS": "4"}])
def test_a_mistake_is_said_whatever_a_launcher_has_left_in_the_environment(environ, tmp_path, monkeypatch):
    for name, value in environ.items():
        monkeypatch.setenv(name, value)
    result = run_train("pruning.amount=2", folder=tmp_path)
    assert (result.returncode, result.stderr.count("\n")) == (2, 1)
    assert result.stderr.startswith("error: pruning.amount: 2 is not between 0 and 1")


@pytest.mark.slow
def test_a_rejected_setting_leaves_nothing_behind(tmp_path: Path) -> None:
    run_train("pruning.amount=7", folder=tmp_path)
    run_train("model=nosuch", folder=tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_start_that_fails_leaves_no_folder_and_shows_its_traceback_if_it_is_asked_to(tmp_path, monkeypatch):
    result = run_train("data=files", "data.path=nowhere", "name=typo", folder=tmp_path)
    assert "Traceback" not in result.stderr
    assert not list(tmp_path.iterdir())
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    result = run_train("data=files", "data.path=nowhere", "name=typo", folder=tmp_path)
    assert "Traceback" in result.stderr
    assert "data.path: nowhere does not exist" in result.stderr.splitlines()[-1]
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_a_job_of_a_sweep_that_fails_is_named_and_the_rest_still_answer(tmp_path: Path) -> None:
    result = run_train("-m", "data=files", "data.path=nowhere,elsewhere", "name=typo", folder=tmp_path)
    assert result.returncode == 2
    ended = [line for line in result.stdout.splitlines() if line.startswith("job ")]
    for number, (line, folder) in enumerate(zip(ended, ("nowhere", "elsewhere"), strict=True), start=1):
        assert line.startswith(f"job {number} of 2: data.path={folder}: outputs/typo/sweeps/")
        assert f"/{number - 1}: failed: data.path: {folder} does not exist" in line
    assert result.stderr.splitlines()[-1].startswith("error: data.path: nowhere does not exist")
    assert not list(tmp_path.iterdir())  # as no job began


def test_help_lists_groups_settings_and_experiments(tmp_path: Path) -> None:
    result = run_train("--help", folder=tmp_path)
    assert result.returncode == 0
    for word in ("quickstart", "lt_imdb_lstm", "binary_cnn", "amount: 0.2", "max_epochs: 10"):
        assert word in result.stdout
    groups = dict(re.findall(r"^(\w+): (.*)$", result.stdout.partition("== Settings")[0], re.M))
    folders = [folder for folder in Path(config_folder()).iterdir() if folder.is_dir() and folder.name != "hydra"]
    assert groups == {
        folder.name: ", ".join(sorted(file.stem for file in folder.glob("[!_]*.yaml"))) for folder in folders
    }


def test_what_choices_share_is_no_choice(tmp_path: Path) -> None:
    result = run_train("data=_common", folder=tmp_path)
    assert result.returncode == 2
    assert result.stderr.startswith("error: data: _common is what several choices share")
    assert not list(tmp_path.iterdir())


def test_cfg_job_prints_the_configuration(tmp_path: Path) -> None:
    result = run_train("--cfg", "job", "+experiment=lt_agnews", folder=tmp_path)
    assert result.returncode == 0
    assert "hub: fancyzhx/ag_news" in result.stdout


def test_a_log_is_not_written_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "theirs").write_text("theirs")
    (tmp_path / "train.log").symlink_to("theirs")
    for line in ("one", "two"):  # the second time it is a file, and goes on
        log = LogFile(str(tmp_path / "train.log"))
        log.emit(logging.makeLogRecord({"msg": line}))
        log.close()
    assert (tmp_path / "theirs").read_text() == "theirs"
    assert (tmp_path / "train.log").read_text() == "one\ntwo\n"
