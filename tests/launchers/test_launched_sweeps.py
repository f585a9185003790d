"""The same sweep under every launcher: the same tables to the byte, a line per job, and no process left behind."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from sweeping import JOBS, TIMEOUT, Marked, command, play, resuming, tables, wait_for

from trials.kills import write_corpus

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def basic(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the corpus, the plain sweep and what it printed, made once for all test processes."""
    base = tmp_path_factory.getbasetemp()
    folder = base.parent / "basic" if "PYTEST_XDIST_WORKER" in os.environ else base / "basic"
    folder.mkdir(exist_ok=True)
    with FileLock(folder / "lock"):
        if not (folder / "screen").exists():
            ran = play(command(write_corpus(folder / "corpus"), folder / "sweep"), folder)
            assert ran.returncode == 0, ran.stderr
            (folder / "screen").write_text(ran.stdout)
    return folder


@pytest.fixture
def corpus(basic: Path) -> Path:
    """The corpus of that sweep."""
    return basic / "corpus"


def test_each_job_of_a_plain_sweep_has_its_table_and_then_its_line(basic: Path) -> None:
    by_path: dict[str, Any] = tables(basic / "sweep")
    screen = (basic / "screen").read_text()
    assert {path.partition("/")[0] for path in by_path} == {"0", "1", "2", "3"}
    begun = re.findall(r"^begin job (\d) of 4: (.*)$", screen, re.M)
    ended = re.findall(r"^job (\d) of 4: (.*): sweep/(\d): (.*)$", screen, re.M)
    assert begun == [(number, overrides) for number, overrides, *_ in ended]
    assert [(overrides, int(job)) for _, overrides, job, _ in ended] == [(job, place) for place, job in enumerate(JOBS)]
    assert screen.count("\nround 1/1 ") == len(JOBS)
    for _, _, job, result in ended:
        last = by_path[f"{job}/results.csv"][1]
        assert f"round 1, {100 * int(last['alive']) / int(last['total']):.3g} % alive" in result
        assert result.endswith(f"{100 * float(last['test_acc']):.2f} %")
    assert screen.splitlines()[-1] == "compare the jobs with: python -m lt_lightning.report sweep"


def check(ran: subprocess.CompletedProcess[str], sweep: Path, basic: Path) -> None:
    """The tables are those of the plain sweep, and the screen has its lines alone, in the order in which jobs ended."""
    assert (ran.returncode, ran.stderr) == (0, "")
    first, *lines, last = ran.stdout.splitlines()
    assert re.match(f"{len(JOBS)} jobs ", first)
    ended = [re.fullmatch(r"job (\d) of 4: (.*): sweep/(\d): (.*)", line) for line in lines]
    assert [found and found[1] for found in ended] == ["1", "2", "3", "4"]
    plain = re.findall(r"^job \d of 4: (.*): sweep/(\d): (.*)$", (basic / "screen").read_text(), re.M)
    assert sorted(found.groups()[1:] for found in ended if found) == sorted(plain)
    assert last == "compare the jobs with: python -m lt_lightning.report sweep"
    assert tables(sweep) == tables(basic / "sweep")


def begun(sweep: Path, job: int = 0) -> bool:
    return (sweep / str(job) / ".hydra" / "overrides.yaml").exists()


STOPPED = "stopped by {}: resume with: python -m lt_lightning.train resume=sweep"


def test_a_sweep_that_was_stopped_goes_on_under_joblib(corpus: Path, tmp_path: Path, basic: Path) -> None:
    pytest.importorskip("joblib", reason="part of the extra joblib")
    sweep = tmp_path / "sweep"
    one_worker = ("hydra/launcher=joblib", "hydra.launcher.n_jobs=1")  # which serves all jobs
    with Marked(command(corpus, sweep, *one_worker), tmp_path) as sweeping:
        wait_for(lambda: (sweep / "0" / "run.json").exists(), sweeping.process)
        assert sweeping.living()
        code, _, errors = sweeping.stop(signal.SIGTERM)
        assert (code, errors) == (128 + signal.SIGTERM, STOPPED.format("SIGTERM") + "\n")
        wait_for(lambda: not sweeping.living())
    check(play(resuming(sweep), tmp_path), sweep, basic)
    assert "\nround 1/1 " in (sweep / "state" / "job_0.log").read_text()


def test_workers_of_joblib_end_with_a_sweep_that_is_killed(corpus: Path, tmp_path: Path) -> None:
    pytest.importorskip("joblib", reason="part of the extra joblib")
    sweep = tmp_path / "sweep"
    with Marked(command(corpus, sweep, "hydra/launcher=joblib"), tmp_path) as sweeping:
        wait_for(lambda: begun(sweep), sweeping.process)
        sweeping.stop(signal.SIGKILL)
        wait_for(lambda: not sweeping.living())


def test_workers_of_submitit_end_with_a_sweep_that_is_killed_and_it_goes_on(
    corpus: Path, tmp_path: Path, basic: Path
) -> None:
    pytest.importorskip("submitit", reason="part of the extra submitit")
    sweep = tmp_path / "sweep"
    with Marked(command(corpus, sweep, "hydra/launcher=submitit_local"), tmp_path) as sweeping:
        wait_for(lambda: begun(sweep), sweeping.process)
        sweeping.stop(signal.SIGKILL)
        wait_for(lambda: not sweeping.living())
    check(play(resuming(sweep), tmp_path), sweep, basic)


def queue(*wish: str) -> str:
    return subprocess.run(["squeue", "--noheader", *wish], capture_output=True, text=True, check=True).stdout.strip()


@pytest.mark.usefixtures("slurm")
def test_a_sweep_of_slurm_is_cancelled_when_stopped_and_goes_on_also_over_a_requeue(
    corpus: Path, tmp_path: Path, basic: Path
) -> None:
    pytest.importorskip("submitit", reason="part of the extra submitit")
    sweep = tmp_path / "sweep"
    with Marked(command(corpus, sweep, "hydra/launcher=slurm"), tmp_path) as sweeping:
        wait_for(lambda: begun(sweep), sweeping.process)
        assert queue()
        code, _, errors = sweeping.stop(signal.SIGINT)
        assert (code, errors) == (128 + signal.SIGINT, STOPPED.format("Ctrl-C") + "\n")
        wait_for(lambda: not queue())
    with Marked(resuming(sweep), tmp_path) as sweeping:
        wait_for(lambda: (sweep / "0" / "run.json").exists(), sweeping.process)
        job = max((path.parent.name for path in sweep.glob(".submitit/*_0/*_submitted.pkl")), key=by_number)
        warning = subprocess.Popen(
            ["scancel", "--signal=USR2", job], stderr=subprocess.DEVNULL
        )  # as before a time limit
        wait_for(lambda: queue("--format=%T", f"--jobs={job}") == "PENDING", sweeping.process)
        warning.kill()  # it may warn the job again and again, while SLURM requeues it
        warning.wait()
        time.sleep(3)  # SLURM's node refuses a job that starts again in the second in which it ended
        subprocess.run(["scontrol", "update", f"JobId={job}", "StartTime=now"], check=True)  # not in 20 seconds
        output, errors = sweeping.process.communicate(timeout=TIMEOUT)
    ran = subprocess.CompletedProcess([], sweeping.process.returncode, output, errors)
    assert f"Requeued job {job}" in (sweep / ".submitit" / job / f"{job}_0_log.out").read_text()
    check(ran, sweep, basic)


def by_number(job: str) -> int:
    return int(job.partition("_")[0])


def test_a_sweep_that_was_stopped_goes_on_under_ray(corpus: Path, tmp_path: Path, basic: Path) -> None:
    pytest.importorskip("ray", reason="part of the extra ray")
    sweep = tmp_path / "sweep"
    one_worker = ("hydra/launcher=ray", "hydra.launcher.ray.init.num_cpus=1")
    with Marked(command(corpus, sweep, *one_worker), tmp_path) as sweeping:
        wait_for(lambda: begun(sweep), sweeping.process)
        code, _, errors = sweeping.stop(signal.SIGTERM)
        assert (code, errors) == (128 + signal.SIGTERM, STOPPED.format("SIGTERM") + "\n")
        wait_for(lambda: not sweeping.living())
    check(play(resuming(sweep), tmp_path), sweep, basic)
