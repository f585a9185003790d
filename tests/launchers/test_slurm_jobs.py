"""A batch job of a real SLURM on this machine, which its time limit stops."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lt_lightning.runtime.cluster import is_batch_job, may_start_again
from trials.kills import SMALL, outcome

pytestmark = pytest.mark.slow

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
            time.sleep(900)
        Wait.trained += 1
"""
ENVIRONMENT = f"""
import os, sys
sys.path.insert(0, {str(Path(__file__).parents[2])!r})
from lt_lightning.runtime.cluster import is_batch_job, may_start_again
print(may_start_again(os.environ), is_batch_job(os.environ))
"""


def ask(*command: object, folder: Path | None = None) -> str:
    """Run a command of SLURM and return what it printed."""
    environ = {
        name: value for name, value in os.environ.items() if not name.startswith("SLURM_") or name == "SLURM_CONF"
    }
    words = list(map(str, command))
    done = subprocess.run(words, capture_output=True, text=True, cwd=folder, env=environ, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


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
    ask("sbatch", "--wait", "--output=batch.out", "batch.sh", folder=tmp_path)
    assert (tmp_path / "batch.out").read_text().splitlines() == ["True True"] * 2
    assert ask("srun", "--quiet", *look) == "True False"
    assert ask("salloc", "--quiet", *look) == "False False"
    terminal = " ".join(map(str, ("srun", "--quiet", "--pty", *look)))
    assert ask("script", "--quiet", "--command", terminal, "/dev/null").endswith("False False")
    assert not may_start_again({}) and not is_batch_job({})


@pytest.fixture
def patient_slurm(slurm: None) -> Iterator[None]:
    """Let SLURM wait a minute between SIGTERM and SIGKILL: on a busy machine a run needs seconds to stop."""
    settings = Path(os.environ["SLURM_CONF"])
    written = settings.read_text()
    assert "KillWait=5\n" in written
    settings.write_text(written.replace("KillWait=5\n", "KillWait=60\n"))
    ask("scontrol", "reconfigure")
    yield
    settings.write_text(written)
    ask("scontrol", "reconfigure")


def test_a_job_that_its_time_limit_stops_three_times_ends_with_the_bits_of_one_left_alone(
    patient_slurm, play_small, corpus, tmp_path
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
    asked = ("--requeue", "--signal=B:USR1@50", "--time=30", "--output=job.out", "--open-mode=append")
    job = ask("sbatch", "--parsable", *asked, "job.sh", folder=tmp_path)

    def state() -> str:
        return ask("squeue", "--noheader", "--format=%T", "--states=all", f"--jobs={job}")

    def end_in(seconds: int) -> None:
        ask("scontrol", "update", f"JobId={job}", f"EndTime=now+{seconds}")

    def begin_again() -> None:
        wait_for(lambda: state() == "PENDING", 300)
        time.sleep(3)  # SLURM's node refuses a job that starts again in the second in which it ended
        # SLURM delays requeued jobs by two minutes, and keeps the limit that `end_in` made.
        ask("scontrol", "update", f"JobId={job}", "StartTime=now", "TimeLimit=30")

    for start in range(2):
        wait_for((tmp_path / f"waiting_{start}").exists, 600)
        end_in(60)  # SLURM looks at time limits twice a minute
        begin_again()
    wait_for((tmp_path / "waiting_2").exists, 600)
    end_in(1)
    alone = outcome(play_small(tmp_path / "whole", "name=limited"))  # while SLURM waits
    wait_for(lambda: state() == "TIMEOUT", 300)
    ask("scontrol", "requeue", job)  # without a warning to the job
    begin_again()
    wait_for(lambda: state() == "COMPLETED", 600)
    printed = (tmp_path / "job.out").read_text()
    assert printed.count(f"stopped by SIGUSR1: SLURM starts job {job} again, and the run goes on there\n") == 2, printed
    stopped = "stopped by SIGTERM: resume with: python -m lt_lightning.train resume=outputs/limited/"
    assert printed.count(stopped) == 1, printed
    (run,) = (tmp_path / "outputs/limited").glob("2*")  # all starts found the folder of the first
    assert (run / "train.log").read_text().count("going on with round ") >= 1  # or after a round
    assert outcome(run) == alone
