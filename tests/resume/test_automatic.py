"""`resume=auto`: a command starts a run, or goes on with the one that its folder holds."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from lt_lightning import run as run_lottery
from lt_lightning.errors import SettingError
from lt_lightning.experiment.hydra_main import compose_config
from lt_lightning.experiment.resume.automatic import FirstStart, find_resume
from lt_lightning.experiment.resume.command import check_same_sweep, resumed_arguments, write_sweep
from lt_lightning.runtime.cluster import may_start_again
from trials.forking import run_train
from trials.kills import SMALL, outcome

BATCH = {"SLURM_JOB_ID": "7", "ENVIRONMENT": "BATCH"}
DYING = """
import os, signal
import pytorch_lightning as pl

class Die(pl.Callback):
    def on_train_epoch_start(self, trainer, pl_module):
        begun = os.path.exists("run/state/round_00.json") and trainer.current_epoch == 1
        if begun and os.environ["TORCHELASTIC_RESTART_COUNT"] == "0":
            os.kill(os.getpid(), signal.SIGKILL)
"""
STEP = {"SLURM_JOB_ID": "7", "SLURM_STEP_ID": "0"}


@pytest.mark.parametrize(("environ", "repeats"), [
    ({}, False), (BATCH, True), (STEP, True), ({"SLURM_JOB_ID": "7"}, False),
    ({**STEP, "SLURM_PTY_PORT": "35019"}, False), ({"ENVIRONMENT": "BATCH"}, False),
    ({"TORCHELASTIC_RESTART_COUNT": "0"}, False), ({"TORCHELASTIC_RESTART_COUNT": "1"}, True),
    ({"SUBMITIT_EXECUTOR": "local"}, True), ({"RAY_JOB_ID": "01000000"}, True),
])  # fmt: skip
def test_auto_is_the_default_where_a_scheduler_repeats_commands(environ: dict[str, str], repeats: bool) -> None:
    assert may_start_again(environ) is repeats
    assert find_resume(None, ["seed=1"], environ) == ("auto" if repeats else None)
    assert find_resume(None, ["seed=1", "resume=null"], environ) is None
    assert find_resume("auto", ["resume=auto"], environ) == "auto"
    assert find_resume("run", ["resume=run"], environ) == "run"


def test_a_job_that_starts_again_finds_its_folders_in_the_order_of_its_first_start(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = compose_config(["name=a/b", "seed=1"], with_hydra=True)
    other = compose_config(["name=a/b", "seed=2"], with_hydra=True)
    base = Path("outputs/a/b")

    def start(config: object, *, restarts: int = 0, job: str = "7") -> FirstStart:
        return FirstStart(config, "run", {**BATCH, "SLURM_JOB_ID": job, "SLURM_RESTART_COUNT": str(restarts)})

    for folder, one in ((base / "first", config), (base / "second", config), (base / "third", other)):
        first = start(one)
        assert first.find() is None
        first.record(folder)
    for restarts in (1, 2):
        found = [start(config, restarts=restarts).find() for _ in range(3)]
        assert found == [base / "first", base / "second", None]
        assert start(other, restarts=restarts).find() == base / "third"
    assert start(config, restarts=3, job="8").find() is None
    outside = FirstStart(config, "run", STEP)
    outside.record(base / "fourth")
    assert outside.find() is None
    assert {path.name for path in base.iterdir()} == {".slurm"}


@pytest.mark.parametrize("content", [
    "{", "[]", '{"attempt": "0.0", "taken": 0, "folders": ["../../../elsewhere"]}',
    '{"attempt": "0.0", "taken": 0, "folders": ["/etc"]}', '{"attempt": "0.0", "taken": "x", "folders": ["a"]}',
])  # fmt: skip
def test_a_job_starts_anew_where_its_record_is_damaged_or_leads_elsewhere(tmp_path, monkeypatch, content):
    monkeypatch.chdir(tmp_path)
    first = FirstStart(compose_config([], with_hydra=True), "sweep", BATCH)
    first.record(Path("outputs/custom/sweeps/a"))
    (record,) = Path("outputs/custom/sweeps/.slurm").glob("*.json")
    record.write_text(content)
    assert first.find() is None


def test_a_sweep_goes_on_with_the_jobs_that_it_began_with_and_elsewhere_if_asked(tmp_path: Path) -> None:
    write_sweep(tmp_path, ["seed=0,1", "pruning.rounds=2"], ["hydra.sweep.dir=x", "hydra/launcher=basic"])
    launcher = ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2", "hydra.verbose=true"]
    check_same_sweep(tmp_path, ["resume=auto", "seed=0,1", "pruning.rounds=3", "data.num_workers=1"], launcher)
    with pytest.raises(SettingError) as error:
        check_same_sweep(tmp_path, ["seed=0,1,2", "optimizer.lr=0.1", "pruning.rounds=2"], [])
    assert str(error.value) == (
        f"resume: {tmp_path} holds another sweep: seed was 0,1, not 0,1,2; optimizer.lr was not given, not 0.1: give "
        "its settings, or another folder"
    )
    with pytest.raises(SettingError, match=r"pruning\.rounds was 2, not 2,3"):
        check_same_sweep(tmp_path, ["seed=0,1", "pruning.rounds=2,3"], [])
    with pytest.raises(SettingError, match=r"hydra\.sweeper\.params was not given, not \{seed: 1\}"):
        check_same_sweep(tmp_path, ["seed=0,1", "pruning.rounds=2"], ["hydra.sweeper.params={seed: 1}"])
    write_sweep(tmp_path, ["seed=0,1", "pruning.rewind=init,last"], [])
    with pytest.raises(SettingError, match=r"the swept settings were seed, pruning\.rewind, in this order"):
        check_same_sweep(tmp_path, ["pruning.rewind=init,last", "seed=0,1"], [])


def test_a_sweep_ends_under_another_launcher_without_the_limits_of_the_first(tmp_path: Path) -> None:
    limits = ["hydra/launcher=slurm", "hydra.launcher.timeout_min=5", "hydra.launcher.partition=short"]
    write_sweep(tmp_path, ["seed=0,1"], limits)
    resume = f"resume={tmp_path}"
    assert resumed_arguments([resume])[1:4] == limits
    longer = resumed_arguments([resume, "hydra.launcher.timeout_min=600"])
    assert longer[1:4] == [limits[0], "hydra.launcher.timeout_min=600", limits[2]]
    assert resumed_arguments([resume, limits[0]])[1:4] == limits
    here = resumed_arguments([resume, "hydra/launcher=joblib", "hydra.launcher.n_jobs=2"])
    assert here[:3] == ["seed=0,1", "hydra/launcher=joblib", "hydra.launcher.n_jobs=2"]
    assert not any("timeout" in one or "partition" in one for one in here)


def test_auto_and_null_name_no_folder() -> None:
    for one in ("resume=auto", "resume=null", "+resume='auto'"):
        assert resumed_arguments(["seed=1", one]) == ["seed=1", one]
    with pytest.raises(SettingError, match="resume: give one run directory"):
        resumed_arguments(["resume=auto", "resume=outputs"])


@pytest.mark.slow
def test_one_call_starts_a_run_and_goes_on_with_it(play_small, corpus, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    settings = ("data=files", f"data.path={corpus}", *SMALL, "trainer.max_epochs=1", "resume=auto", "hydra.run.dir=run")
    assert len(run_lottery(*settings, "pruning.rounds=1").rounds) == 2
    assert json.loads(Path("run/run.json").read_text())["command"][-2:] == ["trainer.max_epochs=1", "pruning.rounds=1"]
    assert [record.round for record in run_lottery(*settings).rounds] == [0, 1, 2]
    with pytest.raises(SettingError, match=r"^resume: run: seed was 0, not 1: resume with the recorded settings"):
        run_lottery(*settings, "seed=1")
    with pytest.raises(SettingError, match=r"^hydra\.run\.dir: run holds a run already"):
        run_lottery(*settings, "resume=null")
    assert outcome(Path("run")) == outcome(play_small(tmp_path / "whole", "trainer.max_epochs=1"))
    assert not Path("run/report.html").exists()  # as SMALL asks for none
    assert len(run_lottery(*settings, "report=true").rounds) == 3
    assert Path("run/report.html").exists()


@pytest.mark.slow
def test_a_single_run_knows_its_directory_also_where_it_was_moved(corpus, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    small = ("data=files", f"data.path={corpus}", *SMALL, "trainer.max_epochs=1", "trainer.log_every_n_steps=5")
    place = "save_dir: '${hydra:runtime.output_dir}'"
    logger = f"trainer.logger={{_target_: pytorch_lightning.loggers.CSVLogger, {place}}}"
    made = run_lottery(*small, logger, "pruning.rounds=0").path
    assert list(made.glob("lightning_logs/*/metrics.csv"))
    shutil.rmtree(made / "lightning_logs")
    moved = made.rename("moved")
    assert len(run_lottery(f"resume={moved}", "trust=true", "pruning.rounds=1").rounds) == 2
    assert list(Path("moved").glob("lightning_logs/*/metrics.csv"))
    assert not made.exists()


@pytest.mark.slow
def test_one_command_starts_a_sweep_and_goes_on_with_it(corpus, tmp_path):
    small = ("data=files", f"data.path={corpus}", *SMALL, "trainer.max_epochs=1", "pruning.rounds=0", "resume=auto")
    sweep = ("-m", *small, "hydra.sweep.dir=sweep")
    assert run_train(*sweep, "seed=0,1", folder=tmp_path).returncode == 0
    whole = outcome(tmp_path / "sweep/1")
    notes = {path.name: path.read_bytes() for path in (tmp_path / "sweep/0/.hydra").iterdir()}
    shutil.rmtree(tmp_path / "sweep/1")
    again = run_train(*sweep, "seed=0,1", folder=tmp_path)
    assert (again.returncode, again.stderr) == (0, "")
    assert "sweep/0: nothing to do, round 0 is done" in again.stdout
    assert outcome(tmp_path / "sweep/1") == whole
    other = run_train(*sweep, "seed=0,2", folder=tmp_path)
    assert other.returncode == 2
    assert other.stderr.startswith("error: resume: sweep holds another sweep: seed was 0,1, not 0,2: ")
    single = run_train(*small, "seed=3", "hydra.run.dir=sweep/0", folder=tmp_path)
    assert single.returncode == 2
    assert single.stderr.startswith("error: resume: sweep/0: seed was 0, not 3: ")
    assert {path.name: path.read_bytes() for path in (tmp_path / "sweep/0/.hydra").iterdir()} == notes
    assert "resume" not in json.loads((tmp_path / "sweep/sweep.json").read_text())["task"]


@pytest.mark.slow
def test_a_worker_that_torchrun_restarts_goes_on(whole, corpus, tmp_path, monkeypatch):
    (tmp_path / "dying.py").write_text(DYING)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--max-restarts=1", "-m"]
    words = ["lt_lightning.train", "data=files", f"data.path={corpus}", *SMALL, "hydra.run.dir=run"]
    words.append("trainer.callbacks=[{_target_: dying.Die}]")
    done = subprocess.run([*command, *words], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=200)
    assert done.returncode == 0, done.stderr
    assert "going on with round 1 after epoch 1" in done.stdout
    assert outcome(tmp_path / "run") == outcome(whole)
