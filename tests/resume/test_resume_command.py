"""`resume=` and signals, as a person meets them at the command line."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from cutting import packed

from lt_lightning.errors import SettingError
from lt_lightning.experiment.resume.compare import how_to_go_on
from lt_lightning.runs.csv_files import read_records
from lt_lightning.runs.records import EpochRecord, Record
from lt_lightning.storage.lock import hold
from trials.forking import run_train
from trials.kills import SMALL, outcome


@pytest.mark.slow
@pytest.mark.parametrize(("signum", "name"), [(signal.SIGINT, "Ctrl-C"), (signal.SIGTERM, "SIGTERM")])
def test_a_signal_is_a_line_that_says_how_to_go_on(whole, corpus, tmp_path, signum, name):
    # As in a terminal, where a key press reaches all processes of a command, those that load data too.
    command = [sys.executable, "-m", "lt_lightning.train", "data=files", f"data.path={corpus}", *SMALL]
    with subprocess.Popen(
        [*command, "data.num_workers=1", "hydra.run.dir=run"], cwd=tmp_path, text=True, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, start_new_session=True,
    ) as process:  # fmt: skip
        ends = time.monotonic() + 100
        while not (tmp_path / "run/results.csv").exists() and time.monotonic() < ends:
            time.sleep(0.01)
        os.killpg(process.pid, signum)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 128 + signum
    assert said == f"stopped by {name}: resume with: python -m lt_lightning.train resume=run\n"
    resumed = run_train("resume=run", "data.num_workers=0", folder=tmp_path)
    assert resumed.returncode == 0, resumed.stderr
    assert not resumed.stderr
    assert outcome(tmp_path / "run") == outcome(whole)


@pytest.mark.slow
def test_a_finished_run_is_left_alone_and_a_refused_one_too(corpus: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    common = ("data=files", f"data.path={corpus}", *SMALL[:-2], "trainer.max_epochs=1", "pruning.rounds=1")
    assert run_train(*common, "hydra.run.dir=run", folder=tmp_path).returncode == 0

    def files() -> dict[Path, tuple[bytes, int]]:
        kept = [path for path in run.rglob("*") if path.is_file() and path.name not in ("train.log", "lock")]
        return {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in kept}

    before = files()
    again = run_train("resume=run", folder=tmp_path)
    assert again.returncode == 0
    assert again.stdout == "run: nothing to do, rounds 0 to 1 are done; to go on, give more pruning.rounds\n"
    other = run_train("resume=run", "optimizer.lr=0.5", "seed=1", folder=tmp_path)
    assert other.returncode == 2
    assert other.stderr == (
        "error: resume: run: seed was 0, not 1; optimizer.lr was 0.02, not 0.5: resume with the recorded settings, or "
        "start another run\n"
    )
    taken = run_train(*common, "hydra.run.dir=run", folder=tmp_path)
    assert taken.stderr == (
        "error: hydra.run.dir: run holds a run already; continue it with resume=run, or give another folder\n"
    )
    with hold(run):
        held = run_train("resume=run", folder=tmp_path)
    assert held.returncode == 2
    assert f"error: run: in use by process {os.getpid()} on " in held.stderr
    assert files() == before
    more = run_train("resume=run", "pruning.rounds=2", folder=tmp_path)
    assert more.returncode == 0, more.stderr
    assert [record.round for record in read_records(run / "results.csv", Record)] == [0, 1, 2]
    assert {epoch.round for epoch in read_records(run / "epochs.csv", EpochRecord)} == {0, 1, 2}


@pytest.mark.slow
def test_a_sweep_goes_on_with_the_jobs_that_are_not_done(whole: Path, corpus: Path, tmp_path: Path) -> None:
    for seed in (0, 1, 2):
        packed(whole, seed, tmp_path / f"{seed}.safetensors")
    common = (
        "data=files", f"data.path={corpus}", *SMALL[:-2], "trainer.max_epochs=1", "pruning.rounds=1",
        "pruning.ticket=${seed}.safetensors",
    )  # fmt: skip
    swept = run_train("-m", *common, "seed=0,1,2", "hydra.sweep.dir=sweep", folder=tmp_path)
    assert swept.returncode == 0, swept.stderr
    whole = {job: outcome(tmp_path / "sweep" / job) for job in "012"}
    sparsities = {read_records(tmp_path / "sweep" / job / "results.csv", Record)[0].sparsity for job in "012"}
    assert len(sparsities) == 3  # each began with a ticket of its own
    first = (tmp_path / "sweep/0/run.json").read_bytes()
    (tmp_path / "sweep/1/tickets/round_01.safetensors").unlink()
    shutil.rmtree(tmp_path / "sweep/2")
    refused = run_train("resume=sweep", "optimizer.lr=0.5", folder=tmp_path)
    assert refused.returncode == 2
    assert refused.stderr.startswith(
        "error: optimizer.lr: the sweep sweep resumes with the settings that it began with; "
    )
    resumed = run_train("resume=sweep", folder=tmp_path)  # which has not learned anything from it
    assert resumed.returncode == 0, resumed.stderr
    assert {job: outcome(tmp_path / "sweep" / job) for job in "012"} == whole
    assert (tmp_path / "sweep/0/run.json").read_bytes() == first
    assert "going on after round 0" in resumed.stderr


@pytest.mark.slow
def test_kills_at_the_most_telling_moments_change_nothing(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "trials.kills", "--kills", "10"]
    tried = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
    assert tried.returncode == 0, tried.stdout + tried.stderr
    assert tried.stdout.endswith("10 kills, and no number has changed\n")


def test_a_second_process_is_told_who_holds_the_directory(tmp_path: Path) -> None:
    holding = "import sys, time; from pathlib import Path; from lt_lightning.storage.lock import hold\n"
    holding += "with hold(Path('run')): print('held', flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", holding], cwd=tmp_path, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stdout.readline() == b"held\n"
        try:
            with pytest.raises(SettingError, match=f"run: in use by process {process.pid} on .*, which started at 20"):
                hold(tmp_path / "run").__enter__()
        finally:
            process.kill()  # whatever ends a process ends its hold
        process.wait()
        with hold(tmp_path / "run"):
            pass


def test_the_command_that_goes_on_is_known_where_the_working_directory_was_removed(tmp_path, monkeypatch):
    (gone := tmp_path / "gone").mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert how_to_go_on(tmp_path / "run") == f"resume with: python -m lt_lightning.train resume={tmp_path}/run"
