"""A batch job of a real SLURM on this machine, which its time limit stops."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lt_lightning.runtime.cluster import is_batch_job, may_start_again
from trials.kills import SMALL, outcome

pytestmark = pytest.mark.slow

STARTER = Path(__file__).parents[2] / ".ci" / "slurm.sh"
WAITING = """
import os, signal, time
from pathlib import Path
import pytorch_lightning as pl

class Wait(pl.Callback):
    '''Waits in the third epoch of each start until SLURM ends the job; the third start ignores the warning.'''

    trained = 0

    def on_train_epoch_start(self, trainer, pl_module):
        start = int(os.environ.get("SLURM_RESTART_COUNT", 0))
        if Wait.trained == 2 and start < 3:
            if start == 2:
                signal.signal(signal.SIGUSR1, signal.SIG_IGN)
            Path(f"waiting_{start}").touch()
            time.sleep(300)
        Wait.trained += 1
"""
ENVIRONMENT = f"""
import os, sys
sys.path.insert(0, {str(STARTER.parents[1])!r})
from lt_lightning.runtime.cluster import is_batch_job, may_start_again
print(may_start_again(os.environ), is_batch_job(os.environ))
"""


@pytest.fixture(scope="module")
def slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., str]]:
    """Start a cluster of this machine; `slurm("squeue", …)` runs a command of it and returns what it printed."""
    programs = ("sbatch", "scontrol", "slurmctld", "slurmd", "munged")
    path = f"{os.environ['PATH']}:/usr/sbin"
    if not STARTER.exists() or os.getuid() != 0 or not all(shutil.which(one, path=path) for one in programs):
        pytest.skip("needs root, slurmctld, slurmd and munged, to start a cluster of this machine")
    folder = tmp_path_factory.mktemp("slurm")
    started = subprocess.run([STARTER, "start", folder], capture_output=True, text=True, check=False, timeout=100)
    if started.returncode:
        pytest.skip(f"no cluster could be started here: {started.stderr[-300:]}")
    environ = {name: value for name, value in os.environ.items() if not name.startswith("SLURM_")}
    environ |= {"SLURM_CONF": started.stdout.split()[-1], "PATH": path}

    def slurm(*command: object, folder: Path | None = None) -> str:
        words = list(map(str, command))
        done = subprocess.run(words, capture_output=True, text=True, cwd=folder, env=environ, check=False, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    yield slurm
    slurm("scancel", "--user", "root")
    subprocess.run([STARTER, "stop", folder], check=True, timeout=60)


def wait_for(holds: Callable[[], object], seconds: float) -> None:
    ends = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < ends, "it took too long"
        time.sleep(0.2)


def test_a_job_is_told_from_a_shell_by_what_slurm_sets(slurm, tmp_path):
    (tmp_path / "look.py").write_text(ENVIRONMENT)
    look = (sys.executable, tmp_path / "look.py")
    (tmp_path / "batch.sh").write_text(
        f"#!/bin/bash\n{sys.executable} look.py\nsrun --overlap {sys.executable} look.py\n"
    )
    slurm("sbatch", "--wait", "--output=batch.out", "batch.sh", folder=tmp_path)
    assert (tmp_path / "batch.out").read_text().splitlines() == ["True True"] * 2
    assert slurm("srun", "--quiet", *look) == "True False"
    assert slurm("salloc", "--quiet", *look) == "False False"
    terminal = " ".join(map(str, ("srun", "--quiet", "--pty", *look)))
    assert slurm("script", "--quiet", "--command", terminal, "/dev/null").endswith("False False")
    assert not may_start_again({}) and not is_batch_job({})


def test_a_job_that_its_time_limit_stops_three_times_ends_with_the_bits_of_one_left_alone(
    slurm, whole, corpus, tmp_path
):
    (tmp_path / "waiting.py").write_text(WAITING)
    words = [
        "data=files",
        f"data.path={corpus}",
        *SMALL,
        "name=limited",
        "'trainer.callbacks=[{_target_: waiting.Wait}]'",
    ]
    (tmp_path / "job.sh").write_text(
        f"#!/bin/bash\nexport PYTHONPATH=.\nexec {sys.executable} -m lt_lightning.train {' '.join(words)}\n"
    )
    asked = ("--requeue", "--signal=B:USR1@50", "--time=10", "--output=job.out", "--open-mode=append")
    job = slurm("sbatch", "--parsable", *asked, "job.sh", folder=tmp_path)

    def state() -> str:
        return slurm("squeue", "--noheader", "--format=%T", "--states=all", f"--jobs={job}")

    def end_in(seconds: int) -> None:
        slurm("scontrol", "update", f"JobId={job}", f"EndTime=now+{seconds}")

    def begin_again() -> None:
        wait_for(lambda: state() == "PENDING", 60)
        # SLURM delays requeued jobs by two minutes, and keeps the limit that `end_in` made.
        slurm("scontrol", "update", f"JobId={job}", "StartTime=now", "TimeLimit=10")

    for start in range(3):
        wait_for((tmp_path / f"waiting_{start}").exists, 200)
        end_in(60 if start < 2 else 1)  # SLURM looks at time limits twice a minute
        if start == 2:
            wait_for(lambda: state() == "TIMEOUT", 120)
            slurm("scontrol", "requeue", job)  # nobody was warned
        begin_again()
    wait_for(lambda: state() == "COMPLETED", 200)
    printed = (tmp_path / "job.out").read_text()
    assert printed.count(f"stopped by SIGUSR1: SLURM starts job {job} again, and the run goes on there\n") == 2
    assert printed.count("stopped by SIGTERM: resume with: python -m lt_lightning.train resume=outputs/limited/") == 1
    (run,) = (tmp_path / "outputs/limited").glob("2*")  # all starts found the folder of the first
    assert (run / "train.log").read_text().count("going on with round ") == 3
    assert outcome(run) == outcome(whole)
