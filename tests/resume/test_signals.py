"""Signals to the process itself: heard wherever it is, once."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lt_lightning.runtime.cluster import answer_warning
from lt_lightning.runtime.signals import Interruption
from trials.forking import run_train
from trials.kills import SMALL, outcome

SWALLOWED = """
import os, signal
from lt_lightning.runtime.signals import interruption, listen, stop_if_asked

class Careless:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGINT)

listen()
stop_if_asked()
careless = Careless()
del careless
try:
    stop_if_asked()
except BaseException as error:
    print(error)
print(interruption(RuntimeError("of another thread")).code)
"""
TWICE = """
import os, signal
from lt_lightning.runtime.signals import listen

listen()
try:
    os.kill(os.getpid(), signal.SIGTERM)
finally:
    os.kill(os.getpid(), signal.SIGINT)
"""
WARNED = """
import os, signal
from lt_lightning.runtime.signals import Interruption, listen

listen()
child = os.fork()
if not child:
    os.kill(os.getpid(), signal.SIGUSR1)  # a process that loads data leaves it to the other
    os._exit(7)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
try:
    os.kill(os.getpid(), signal.SIGUSR1)
except Interruption as error:
    print(error.code)
"""
FORKED = """
import os, signal, time
from lt_lightning.runtime.signals import listen

listen()
child = os.fork()
if not child:
    time.sleep(30)
    os._exit(0)
time.sleep(0.2)
os.kill(child, signal.SIGINT)
time.sleep(0.2)
print(os.waitpid(child, os.WNOHANG))
os.kill(child, signal.SIGTERM)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
LEFT = """
import os, signal
from lt_lightning.runtime.signals import Interruption, listen

signal.signal(signal.SIGUSR2, lambda *_: print("left"))  # as submitit does in a job
listen((signal.SIGINT, signal.SIGTERM))
os.kill(os.getpid(), signal.SIGUSR2)
try:
    os.kill(os.getpid(), signal.SIGTERM)
except Interruption as error:
    print(error.code)
"""


@pytest.mark.parametrize(("script", "code", "said"), [
    (SWALLOWED, 0, f"stopped by Ctrl-C: {Interruption(signal.SIGINT).advice}\n130\n"), (TWICE, 130, ""),
    (FORKED, 0, "(0, 0)\n-15\n"), (WARNED, 0, "7\n138\n"),
    (WARNED.replace("USR1", "USR2"), 0, "7\n140\n"), (LEFT, 0, "left\n143\n"),
], ids=[
    "where it was swallowed", "a second one ends at once", "not by the loaders of data", "SIGUSR1", "SIGUSR2",
    "but one left to another",
])  # fmt: skip
def test_a_signal_is_heard(script: str, code: int, said: str) -> None:
    heard = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert (heard.returncode, heard.stdout) == (code, said)


@pytest.mark.slow
def test_a_slurm_jobs_warning_stops_a_run_that_goes_on_from_its_own_state(whole, corpus, tmp_path, monkeypatch):
    slurm = {"SLURM_NTASKS": "1", "SLURM_JOB_ID": "1", "SLURM_PROCID": "0", "SLURM_LOCALID": "0", "SLURM_NODEID": "0"}
    for name, value in {**slurm, "SLURM_JOB_NAME": "train", "SLURM_NTASKS_PER_NODE": "1"}.items():
        monkeypatch.setenv(name, value)
    command = [sys.executable, "-m", "lt_lightning.train", "data=files", f"data.path={corpus}", *SMALL]
    run, pipe = tmp_path / "run", subprocess.PIPE
    started = subprocess.Popen([*command, "hydra.run.dir=run"], cwd=tmp_path, stdout=pipe, stderr=pipe, text=True)
    while not list(run.glob("state/round_*_epoch_*.ckpt")) and started.poll() is None:
        time.sleep(0.01)
    started.send_signal(signal.SIGUSR1)
    _, errors = started.communicate(timeout=60)
    assert started.returncode == 138
    assert errors == "stopped by SIGUSR1: resume with: python -m lt_lightning.train resume=run\n"
    assert not list(run.rglob("hpc_ckpt*"))
    resumed = run_train("resume=run", folder=tmp_path)
    assert (resumed.returncode, resumed.stderr) == (0, "")
    assert outcome(run) == outcome(whole)


def test_a_warning_requeues_a_batch_job_alone_and_only_if_the_run_goes_on(tmp_path, monkeypatch):
    monkeypatch.setattr("lt_lightning.runtime.cluster.ignore_signals", lambda: None)
    monkeypatch.setenv("PATH", str(tmp_path))  # without scontrol
    batch = {"SLURM_JOB_ID": "7", "ENVIRONMENT": "BATCH"}

    def said(signum: int, environ: dict[str, str], *, goes_on: bool = True, folder: Path | None = None) -> str:
        stopped = Interruption(signum)
        stopped.advice, stopped.goes_on, stopped.folder = "resume with: …", goes_on, folder
        return answer_warning(stopped, environ)

    for signum in (signal.SIGUSR1, signal.SIGUSR2):
        name = signal.Signals(signum).name
        assert said(signum, batch).startswith(
            f"stopped by {name}: SLURM does not requeue job 7 ([Errno 2] No such file "
        )
        assert said(signum, batch).endswith("was it submitted with --requeue?): resume with: …")
        for environ in ({}, {"SLURM_JOB_ID": "7"}, {**batch, "SLURM_PROCID": "1"}, {**batch, "RANK": "1"}):
            assert said(signum, environ) == f"stopped by {name}: resume with: …"
        assert said(signum, batch, goes_on=False) == f"stopped by {name}: resume with: …"
    assert said(signal.SIGTERM, batch) == "stopped by SIGTERM: resume with: …"
    stops = [said(signal.SIGUSR1, batch, folder=tmp_path / "run") for _ in range(3)]
    assert stops[2] == (
        "stopped by SIGUSR1: job 7 is not requeued, as it reached its time limit 3 times without finishing an epoch; "
        "raise the time limit of the job (sbatch --time) above the duration of an epoch, and resume with: …"
    )
    assert all("SLURM does not requeue" in line for line in stops[:2])
