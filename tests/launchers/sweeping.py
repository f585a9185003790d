"""Run a small sweep as a command, read its tables, and find the processes that it leaves."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path

from trials.kills import small_run

VARIED = {"seed": (0, 1), "pruning.rewind": ("init", "random")}
JOBS = [f"seed={seed} pruning.rewind={rewind}" for seed in VARIED["seed"] for rewind in VARIED["pruning.rewind"]]
"""What differs between the jobs of the sweep, in their order."""
TIMEOUT = 1800
"""Seconds that only a busy machine needs."""
MARK = "LT_LIGHTNING_TEST_MARK"
"""A variable of the environment by which a test knows all processes that its sweep has started."""


def command(corpus: Path, sweep: Path, *settings: str) -> list[str]:
    small = small_run("trainer.max_epochs=1", "pruning.rounds=1")
    data = ("data=files", f"data.path={corpus}", f"hydra.sweep.dir={sweep}")
    varied = [f"{key}={','.join(map(str, values))}" for key, values in VARIED.items()]
    return [sys.executable, "-m", "lt_lightning.train", "-m", *data, *small, *varied, *settings]


def resuming(sweep: Path) -> list[str]:
    return [sys.executable, "-m", "lt_lightning.train", f"resume={sweep.name}"]


def play(arguments: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(arguments, capture_output=True, text=True, cwd=folder, timeout=TIMEOUT, check=False)


def tables(sweep: Path) -> dict[str, object]:
    """The tables of all jobs by their paths; `results.csv` without `seconds`, others as bytes."""
    found: dict[str, object] = {}
    for path in sorted(sweep.glob("*/*.csv")):
        name = path.relative_to(sweep).as_posix()
        if path.name == "results.csv":
            rows = list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))
            found[name] = [{key: value for key, value in row.items() if key != "seconds"} for row in rows]
        else:
            found[name] = path.read_bytes()
    tickets = sorted(sweep.glob("*/tickets/*.safetensors"))
    return found | {path.relative_to(sweep).as_posix(): path.read_bytes() for path in tickets}


class Marked:
    """A sweep in its own process, whose processes can be found; it ends with the block."""

    def __init__(self, arguments: list[str], folder: Path) -> None:
        self.mark = uuid.uuid4().hex
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(
            arguments, cwd=folder, env={**os.environ, MARK: self.mark}, stdout=pipe, stderr=pipe, text=True
        )

    def __enter__(self) -> Marked:
        return self

    def __exit__(self, *exception: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.communicate()

    def stop(self, signum: signal.Signals) -> tuple[int, str, str]:
        """Send a signal, and return the exit code, stdout and stderr."""
        self.process.send_signal(signum)
        output, errors = self.process.communicate(timeout=TIMEOUT)
        return self.process.returncode, output, errors

    def living(self) -> list[int]:
        """The processes that are left, beside the sweep's own."""
        found = []
        for path in Path("/proc").glob("[0-9]*/environ"):
            try:
                ours = f"{MARK}={self.mark}".encode() in path.read_bytes().split(b"\0")
            except OSError:  # it has ended, or is another user's
                continue
            if ours and int(path.parent.name) != self.process.pid:
                found.append(int(path.parent.name))
        return found


def wait_for(condition: Callable[[], object], process: subprocess.Popen[str] | None = None) -> None:
    """Wait until a condition holds; fail if a process ends before."""
    deadline = time.monotonic() + TIMEOUT
    while not condition():
        assert time.monotonic() < deadline
        assert process is None or process.poll() is None, process.communicate()
        time.sleep(0.1)
