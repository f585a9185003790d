"""The same sweep under every launcher: the same tables to the byte, a line per job, and no process left behind."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from sweeping import JOBS, TIMEOUT, Marked, command, run_sweep, tables, wait_for

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def basic(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], str]:
    """The tables of the sweep without any launcher, and what it printed."""
    sweep = tmp_path_factory.mktemp("basic") / "sweep"
    ran = run_sweep(corpus, sweep)
    assert ran.returncode == 0, ran.stderr
    return tables(sweep), ran.stdout


def test_each_job_of_a_plain_sweep_has_its_table_and_then_its_line(basic: tuple[dict[str, Any], str]) -> None:
    by_path, screen = basic
    assert {path.partition("/")[0] for path in by_path} == {"0", "1", "2", "3"}
    begun = re.findall(r"^begin job (\d) of 4: (.*)$", screen, re.M)
    ended = re.findall(r"^job (\d) of 4: (.*): sweep/(\d): (.*)$", screen, re.M)
    assert begun == [(number, overrides) for number, overrides, *_ in ended]
    assert [job for _, _, job, _ in ended] == ["0", "1", "2", "3"]
    assert [overrides for _, overrides, *_ in ended][1] == "pruning.rewind=init seed=1"
    assert screen.count("\nround 1/1 ") == JOBS
    for _, _, job, result in ended:
        last = by_path[f"{job}/results.csv"][1]
        assert f"round 1, {100 * int(last['alive']) / int(last['total']):.3g} % alive" in result
        assert result.endswith(f"{100 * float(last['test_acc']):.2f} %")
    assert screen.splitlines()[-1] == "compare the jobs with: python -m lt_lightning.report sweep"


def check(ran: subprocess.CompletedProcess[str], sweep: Path, basic: tuple[dict[str, Any], str]) -> None:
    """The tables are those of the plain sweep, and the screen has its lines alone, in the order in which jobs ended."""
    assert (ran.returncode, ran.stderr) == (0, "")
    first, *lines, last = ran.stdout.splitlines()
    assert re.match(f"{JOBS} jobs ", first)
    ended = [re.fullmatch(r"job (\d) of 4: (.*): sweep/(\d): (.*)", line) for line in lines]
    assert [found and found[1] for found in ended] == ["1", "2", "3", "4"]
    plain = re.findall(r"^job \d of 4: (.*): sweep/(\d): (.*)$", basic[1], re.M)
    assert sorted(found.groups()[1:] for found in ended if found) == sorted(plain)
    assert last == "compare the jobs with: python -m lt_lightning.report sweep"
    assert tables(sweep) == basic[0]


def resume(sweep: Path, *settings: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "lt_lightning.train", f"resume={sweep.name}", *settings]
    return subprocess.run(command, capture_output=True, text=True, cwd=sweep.parent, timeout=TIMEOUT, check=False)


def begun(sweep: Path, job: int = 0) -> bool:
    return (sweep / str(job) / ".hydra" / "overrides.yaml").exists()


STOPPED = "stopped by {}: resume with: python -m lt_lightning.train resume=sweep"


def test_a_sweep_that_was_stopped_goes_on_under_joblib(corpus: Path, tmp_path: Path, basic) -> None:
    pytest.importorskip("joblib", reason="part of the extra joblib")
    sweep = tmp_path / "sweep"
    with Marked(command(corpus, sweep, "hydra/launcher=joblib"), tmp_path) as sweeping:
        wait_for(lambda: (sweep / "0" / "run.json").exists(), sweeping.process)
        assert len(sweeping.living()) >= 2
        code, _, errors = sweeping.stop(signal.SIGTERM)
        assert (code, errors) == (128 + signal.SIGTERM, STOPPED.format("SIGTERM") + "\n")
        wait_for(lambda: not sweeping.living())
    check(resume(sweep), sweep, basic)
    assert "\nround 1/1 " in (sweep / "state" / "job_0.log").read_text()


@pytest.mark.parametrize(("launcher", "package"), [("joblib", "joblib"), ("submitit_local", "submitit")])
def test_workers_end_with_a_sweep_that_is_killed(launcher: str, package: str, corpus: Path, tmp_path: Path) -> None:
    pytest.importorskip(package, reason=f"part of the extra {package}")
    sweep = tmp_path / "sweep"
    with Marked(command(corpus, sweep, f"hydra/launcher={launcher}"), tmp_path) as sweeping:
        wait_for(lambda: begun(sweep), sweeping.process)
        sweeping.stop(signal.SIGKILL)
        wait_for(lambda: not sweeping.living())


def test_submitit_on_this_machine(corpus: Path, tmp_path: Path, basic) -> None:
    pytest.importorskip("submitit", reason="part of the extra submitit")
    sweep = tmp_path / "sweep"
    check(run_sweep(corpus, sweep, "hydra/launcher=submitit_local"), sweep, basic)


@pytest.mark.usefixtures("slurm")
def test_slurm_and_a_job_that_is_preempted(corpus: Path, tmp_path: Path, basic) -> None:
    pytest.importorskip("submitit", reason="part of the extra submitit")
    sweep = tmp_path / "sweep"
    with Marked(command(corpus, sweep, "hydra/launcher=slurm"), tmp_path) as sweeping:
        wait_for(lambda: (sweep / "0" / "run.json").exists(), sweeping.process)
        [job] = [path.parent.name for path in sweep.glob(".submitit/*_0/*_submitted.pkl")]
        warning = ["scancel", "--signal=USR2", job]  # as before a time limit
        wait_for(lambda: subprocess.run(warning).returncode == 0, sweeping.process)  # SLURM may be busy with the job
        output, errors = sweeping.process.communicate(timeout=TIMEOUT)
    ran = subprocess.CompletedProcess([], sweeping.process.returncode, output, errors)
    assert f"Requeued job {job}" in (sweep / ".submitit" / job / f"{job}_0_log.out").read_text()
    check(ran, sweep, basic)


def queue() -> str:
    return subprocess.run(["squeue", "--noheader"], capture_output=True, text=True, check=True).stdout


@pytest.mark.usefixtures("slurm")
def test_slurm_jobs_are_cancelled_with_their_sweep(corpus: Path, tmp_path: Path) -> None:
    pytest.importorskip("submitit", reason="part of the extra submitit")
    sweep = tmp_path / "sweep"
    with Marked(command(corpus, sweep, "hydra/launcher=slurm"), tmp_path) as sweeping:
        wait_for(lambda: begun(sweep), sweeping.process)
        assert queue()
        code, _, errors = sweeping.stop(signal.SIGINT)
    assert (code, errors) == (128 + signal.SIGINT, STOPPED.format("Ctrl-C") + "\n")
    wait_for(lambda: not queue())


def test_a_sweep_that_was_stopped_goes_on_under_ray(corpus: Path, tmp_path: Path, basic) -> None:
    pytest.importorskip("ray", reason="part of the extra ray")
    sweep = tmp_path / "sweep"
    with Marked(command(corpus, sweep, "hydra/launcher=ray"), tmp_path) as sweeping:
        wait_for(lambda: begun(sweep), sweeping.process)
        code, _, errors = sweeping.stop(signal.SIGTERM)
        assert (code, errors) == (128 + signal.SIGTERM, STOPPED.format("SIGTERM") + "\n")
        wait_for(lambda: not sweeping.living())
    check(resume(sweep), sweep, basic)
