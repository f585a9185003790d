"""The same sweep under every launcher: the same tables to the byte, a line per job, and no process left behind."""

from __future__ import annotations

import re
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest
from sweeping import JOBS, Marked, command, run_sweep, tables, wait_for

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


def test_a_sweep_that_was_stopped_goes_on_under_joblib(corpus: Path, tmp_path: Path, basic) -> None:
    pytest.importorskip("joblib", reason="part of the extra joblib")
    sweep = tmp_path / "sweep"
    stopped = Marked(command(corpus, sweep, "hydra/launcher=joblib"), tmp_path)
    wait_for(lambda: (sweep / "0" / "train.log").exists() and (sweep / "1" / "train.log").exists(), stopped.process)
    assert len(stopped.living()) >= 2
    stopped.process.send_signal(signal.SIGTERM)
    _, errors = stopped.process.communicate(timeout=60)
    assert stopped.process.returncode == 128 + signal.SIGTERM
    assert errors == "stopped by SIGTERM: resume with: python -m lt_lightning.train resume=sweep\n"
    wait_for(lambda: not stopped.living())
    again = [*command(corpus, sweep)[:3], "resume=sweep"]
    ran = subprocess.run(again, capture_output=True, text=True, cwd=tmp_path, timeout=600, check=False)
    check(ran, sweep, basic)
    assert "\nround 1/1 " in (sweep / "state" / "job_0.log").read_text()


def test_workers_of_joblib_end_with_a_sweep_that_is_killed(corpus: Path, tmp_path: Path) -> None:
    pytest.importorskip("joblib", reason="part of the extra joblib")
    sweep = tmp_path / "sweep"
    killed = Marked(command(corpus, sweep, "hydra/launcher=joblib"), tmp_path)
    wait_for(lambda: (sweep / "0" / "train.log").exists(), killed.process)
    killed.process.kill()
    killed.process.communicate(timeout=60)
    wait_for(lambda: not killed.living())


def test_submitit_on_this_machine(corpus: Path, tmp_path: Path, basic) -> None:
    pytest.importorskip("submitit", reason="part of the extra submitit")
    sweep = tmp_path / "sweep"
    check(run_sweep(corpus, sweep, "hydra/launcher=submitit_local"), sweep, basic)


def test_processes_of_submitit_end_with_a_sweep_that_is_killed(corpus: Path, tmp_path: Path) -> None:
    pytest.importorskip("submitit", reason="part of the extra submitit")
    sweep = tmp_path / "sweep"
    killed = Marked(command(corpus, sweep, "hydra/launcher=submitit_local"), tmp_path)
    wait_for(lambda: (sweep / "0" / "train.log").exists(), killed.process)
    killed.process.kill()
    killed.process.communicate(timeout=60)
    wait_for(lambda: not killed.living())


@pytest.mark.usefixtures("slurm")
def test_slurm_and_a_job_that_is_preempted(corpus: Path, tmp_path: Path, basic) -> None:
    pytest.importorskip("submitit", reason="part of the extra submitit")
    sweep = tmp_path / "sweep"
    started = Marked(command(corpus, sweep, "hydra/launcher=slurm", "hydra.launcher.array_parallelism=2"), tmp_path)
    wait_for(lambda: list((sweep / "0").glob("state/round_00_epoch_*")), started.process)
    [job] = [path.parent.name for path in sweep.glob(".submitit/*_0/*_submitted.pkl")]
    subprocess.run(["scancel", "--signal=USR2", job], check=True)  # as before a time limit
    output, errors = started.process.communicate(timeout=900)
    ran = subprocess.CompletedProcess([], started.process.returncode, output, errors)
    log = (sweep / ".submitit" / job / f"{job}_0_log.out").read_text()
    assert f"Requeued job {job}" in log
    check(ran, sweep, basic)


@pytest.mark.usefixtures("slurm")
def test_slurm_jobs_are_cancelled_with_their_sweep(corpus: Path, tmp_path: Path) -> None:
    pytest.importorskip("submitit", reason="part of the extra submitit")
    sweep = tmp_path / "sweep"
    stopped = Marked(command(corpus, sweep, "hydra/launcher=slurm", "hydra.launcher.cpus_per_task=1"), tmp_path)
    wait_for(lambda: (sweep / "0" / "train.log").exists(), stopped.process)
    assert subprocess.run(["squeue", "--noheader"], capture_output=True, check=True).stdout
    stopped.process.send_signal(signal.SIGINT)
    _, errors = stopped.process.communicate(timeout=60)
    assert stopped.process.returncode == 128 + signal.SIGINT
    assert errors == "stopped by Ctrl-C: resume with: python -m lt_lightning.train resume=sweep\n"
    wait_for(lambda: not subprocess.run(["squeue", "--noheader"], capture_output=True, check=True).stdout)


def test_ray(corpus: Path, tmp_path: Path, basic) -> None:
    pytest.importorskip("ray", reason="part of the extra ray")
    sweep = tmp_path / "sweep"
    stopped = Marked(command(corpus, sweep, "hydra/launcher=ray"), tmp_path)
    wait_for(lambda: (sweep / "0" / "train.log").exists(), stopped.process)
    stopped.process.send_signal(signal.SIGTERM)
    _, errors = stopped.process.communicate(timeout=120)
    assert stopped.process.returncode == 128 + signal.SIGTERM
    assert errors.splitlines()[-1] == "stopped by SIGTERM: resume with: python -m lt_lightning.train resume=sweep"
    wait_for(lambda: not stopped.living())
    again = [*command(corpus, sweep)[:3], "resume=sweep"]
    ran = subprocess.run(again, capture_output=True, text=True, cwd=tmp_path, timeout=600, check=False)
    check(ran, sweep, basic)
