"""Folders of runs and sweeps are reserved before anything is written into them."""

import pickle
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from lt_lightning.config.folder import config_folder
from lt_lightning.config.schema import TrainerConfig, register_schema
from lt_lightning.errors import SettingError
from lt_lightning.experiment import folders
from lt_lightning.experiment.folders import find_folder, read_folders, recover_records, release, reserve
from lt_lightning.experiment.start_check import CheckConfig
from lt_lightning.storage.lock import hold
from trials.forking import run_train
from trials.kills import SMALL, write_corpus


@pytest.fixture(autouse=True)
def _released() -> Iterator[None]:
    yield
    release(failed=False)


def files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()}


def test_a_stamped_name_that_is_taken_gives_a_free_sibling(tmp_path: Path) -> None:
    wanted = tmp_path / "a" / "2026-11-29_12-00-00"
    found = [reserve(wanted, stamped=True).name for _ in range(3)]
    assert found == ["2026-11-29_12-00-00", "2026-11-29_12-00-00_2", "2026-11-29_12-00-00_3"]


def test_many_starts_at_once_get_a_folder_each(tmp_path: Path) -> None:
    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(lambda _: folders._make(tmp_path / "x" / "stamp", True)[0], range(64)))
    assert len(set(found)) == 64
    assert all(folder.is_dir() for folder in found)


def test_a_folder_that_another_process_holds_stays_as_it_is(tmp_path: Path) -> None:
    run = tmp_path / "run"
    (run / ".hydra").mkdir(parents=True)
    (run / ".hydra" / "config.yaml").write_text("seed: 1\n")
    holding = "import sys, time; from pathlib import Path; from lt_lightning.storage.lock import hold\n"
    holding += f"with hold(Path({str(run)!r})): print('held', flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", holding], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stdout.readline() == b"held\n"
        before = {name: (run / name).read_bytes() for name in files(run)}
        with pytest.raises(SettingError, match=f"in use by process {process.pid}"):
            reserve(run, stamped=False)
        release(failed=True)
        assert {name: (run / name).read_bytes() for name in files(run)} == before
        process.kill()


def test_what_this_process_holds_it_may_hold_again(tmp_path: Path) -> None:
    run = reserve(tmp_path / "run", stamped=False)
    with hold(run):
        pass
    assert (run / "state" / "holder.json").exists()  # the outer block holds it still
    release(failed=False)
    assert not (run / "state" / "holder.json").exists()


@pytest.mark.parametrize("stamped", [True, False])
def test_a_failed_start_leaves_neither_folder_nor_the_parents_it_made(tmp_path: Path, stamped: bool) -> None:
    (tmp_path / "outputs").mkdir()
    run = reserve(tmp_path / "outputs" / "a" / "b" / "run", stamped=stamped)
    (run / ".hydra").mkdir()
    (run / ".hydra" / "config.yaml").touch()
    (run / "train.log").touch()
    release(failed=True)
    assert list(tmp_path.iterdir()) == [tmp_path / "outputs"]
    assert not list((tmp_path / "outputs").iterdir())


@pytest.mark.parametrize("left", ["run.json", "tickets/round_00.safetensors", "notes.txt", "state/rewind.safetensors"])
def test_whatever_a_run_wrote_stays_when_it_fails(tmp_path: Path, left: str) -> None:
    run = reserve(tmp_path / "run", stamped=True)
    (run / left).parent.mkdir(exist_ok=True)
    for name in (left, "train.log"):
        (run / name).touch()
    release(failed=True)
    assert {left, "train.log"} <= files(run)


def test_a_failed_start_removes_nothing_from_a_folder_that_was_in_use(tmp_path: Path) -> None:
    (tmp_path / "train.log").write_text("of another day")
    reserve(tmp_path, stamped=False)
    release(failed=True)
    assert (tmp_path / "train.log").read_text() == "of another day"


def test_a_job_keeps_its_folder_and_none_shares_it(tmp_path: Path) -> None:
    assert find_folder(tmp_path, 0, "seed=0,rounds=1") == "seed=0,rounds=1"
    assert find_folder(tmp_path, 0, "seed=0,rounds=2") == "seed=0,rounds=1"
    assert [find_folder(tmp_path, job, "same/name") for job in (1, 2, 3)] == ["same/name", "same/name_2", "same/name_3"]
    assert read_folders(tmp_path) == {0: "seed=0,rounds=1", 1: "same/name", 2: "same/name_2", 3: "same/name_3"}


@pytest.mark.parametrize("name", ["../x", "/x", "a/../../x", ".", "state/x"])
def test_a_jobs_folder_lies_within_its_sweeps(tmp_path: Path, name: str) -> None:
    with pytest.raises(SettingError, match=r"hydra\.sweep\.subdir: .* within the sweep's"):
        find_folder(tmp_path, 0, name)
    (tmp_path / "state" / "job_0.json").write_text(f'{{"job": 0, "folder": "{name}"}}')
    with pytest.raises(SettingError, match=r"job_0\.json: .* within the sweep's"):
        find_folder(tmp_path, 0, "0")


@pytest.mark.parametrize("content", ["", "[]", '{"job": 1, "folder": "x"}', '{"job": 0}', '{"job": 0, "folder": 3}'])
def test_a_damaged_record_of_a_folder_is_named(tmp_path: Path, content: str) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "job_0.json").write_text(content)
    with pytest.raises(SettingError, match=r"job_0\.json: does not say which folder"):
        read_folders(tmp_path)


def test_folders_of_an_older_sweep_are_those_in_which_hydra_noted_the_jobs(tmp_path: Path) -> None:
    for job, name in enumerate(["path=a/b,seed=0", "path=a/b,seed=1"]):
        (tmp_path / name / ".hydra").mkdir(parents=True)
        OmegaConf.save(OmegaConf.create({"hydra": {"job": {"num": job}}}), tmp_path / name / ".hydra" / "hydra.yaml")
    recover_records(tmp_path)
    assert read_folders(tmp_path) == {0: "path=a/b,seed=0", 1: "path=a/b,seed=1"}


@pytest.mark.parametrize("trainer", ["default", "ddp", "gpu"])
def test_a_sweep_is_reserved_whatever_devices_its_jobs_have(tmp_path, trainer, monkeypatch):
    asked: list[TrainerConfig] = []
    monkeypatch.setattr("lt_lightning.experiment.start_run._ask_lightning", lambda trainer: asked.append(trainer) or 2)
    register_schema()
    with initialize_config_dir(config_folder(), version_base="1.3"):
        config = compose("config", [f"hydra.sweep.dir={tmp_path / 'sweep'}", f"trainer={trainer}"], True)
    CheckConfig().on_multirun_start(config)
    assert (tmp_path / "sweep" / "sweep.json").exists()
    assert all(isinstance(one, TrainerConfig) for one in asked)


def test_a_launchers_process_knows_the_folders_of_jobs() -> None:
    # A launcher hands the callbacks to processes of its own, in which this package is not imported yet.
    program = "import pickle, sys; from omegaconf import OmegaConf; pickle.load(sys.stdin.buffer); "
    program += "assert OmegaConf.has_resolver('job_folder')"
    subprocess.run([sys.executable, "-c", program], input=pickle.dumps(CheckConfig()), check=True, timeout=120)


def _start(folder: Path, count: int, *arguments: str) -> None:
    write_corpus(folder / "corpus")
    small = ["data=files", "data.path=corpus", *SMALL, "pruning.rounds=0", "trainer.max_epochs=1"]
    with ThreadPoolExecutor(count) as pool:
        ended = list(pool.map(lambda _: run_train(*arguments, *small, folder=folder), range(count)))
    assert [process.returncode for process in ended] == [0] * count, [process.stderr for process in ended]


@pytest.mark.slow
def test_four_starts_under_one_stamp_are_four_runs(tmp_path: Path) -> None:
    _start(tmp_path, 4, "hydra.run.dir='runs/${now:%Y}'")  # one stamp, however long the starts take
    runs = sorted((tmp_path / "runs").iterdir())
    assert len(runs) == 4
    for run in runs:
        assert {"run.json", "results.csv", ".hydra/config.yaml"} <= files(run)
        noted = OmegaConf.load(run / ".hydra" / "hydra.yaml").hydra.runtime.output_dir
        assert Path(noted) == run


@pytest.mark.slow
def test_two_sweeps_under_one_stamp_are_two_sweeps(tmp_path: Path) -> None:
    _start(tmp_path, 2, "-m", "seed=0,1", "hydra.sweep.dir='sweeps/${now:%Y}'")
    sweeps = sorted((tmp_path / "sweeps").iterdir())
    assert len(sweeps) == 2
    for sweep in sweeps:
        for job in ("0", "1"):
            assert {"run.json", "results.csv", ".hydra/config.yaml"} <= files(sweep / job)
            assert OmegaConf.load(sweep / job / ".hydra" / "config.yaml").seed == int(job)
        assert read_folders(sweep) == {0: "0", 1: "1"}
