"""Starts the processes of a run, watches over them, and leaves none behind.

The supervisor trains nothing and stays small. It holds a pipe to each process's stdin, the *lifeline*: when it closes
it, or dies, the process ends (see `worker`). So stopping is the same in every case: after an error, after Ctrl-C, after
`kill -9` of the supervisor itself.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import pickle
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import IO, Any

from lt_lightning.errors import ResumableError, SettingError
from lt_lightning.runtime.job import Job, Place, without_launcher

log = logging.getLogger(__name__)

POLL_SECONDS = 0.1
PATIENCE_SECONDS = 5.0
"""How long a process may take to end before it is killed."""

SHOW_CURSOR = "\r\x1b[2K\x1b[?25h"
"""Clears what is left of a progress bar, which hides the cursor, and shows the cursor again."""


class ProcessError(RuntimeError):
    """A process of the run failed, and not by the user's mistake."""


class _RemoteError(Exception):
    """The traceback of an error in another process, to stand as the cause of the one that is raised here."""

    def __str__(self) -> str:
        return f"\n{self.args[0]}"


@dataclass(frozen=True)
class _Process:
    """One process of the run; `report` is where it says why it failed, `output` what it has no terminal for."""

    place: Place
    popen: subprocess.Popen[bytes]
    report: IO[bytes]
    output: IO[bytes] | None

    @property
    def signal(self) -> signal.Signals | None:
        """What it died of."""
        code = self.popen.poll() or 0
        number = -code if code < 0 else code - 128  # as shells tell it: a process that ends on a signal by itself
        return signal.Signals(number) if number in set(signal.Signals) else None

    @property
    def failed(self) -> bool:
        return self.popen.poll() not in (None, 0)

    def read_report(self) -> dict[str, Any] | None:
        """`at`, `line` (for a mistake of the user's), `error`, `traceback`; None if it never came to that."""
        self.report.seek(0)
        try:
            return json.loads(self.report.read())
        except ValueError:
            return None

    def log_output(self) -> None:
        if self.output is not None:
            self.output.seek(0)
            if said := self.output.read().decode(errors="replace").strip():
                log.info("rank %s said:\n%s", self.place.rank, said)


def supervise(job: Job, count: int) -> None:
    """Run a job in `count` processes, to its end.

    Whatever passes through here, KeyboardInterrupt included, stops the processes and goes on up.

    Raises:
        SettingError: what a process had to say of the settings, or that one was killed.
        ProcessError: if one failed in another way; its traceback is the cause.
    """
    processes: list[_Process] = []
    with socket.socket() as reserved, contextlib.ExitStack() as files:
        # Bound but not listening, it keeps others off the port until the processes meet there.
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        reserved.bind(("127.0.0.1", 0))
        done = False
        try:
            for rank in range(count):
                place = Place(rank, count, reserved.getsockname()[1])
                report = files.enter_context(tempfile.TemporaryFile())
                output = files.enter_context(tempfile.TemporaryFile()) if rank else None
                processes.append(_start(place, report, output))
            for process in processes:
                _tell(process, job)
            _watch(processes)
            done = True
        finally:
            _stop(processes)
            if not done and sys.stdout.isatty():
                print(SHOW_CURSOR, end="", flush=True)
            for process in processes:
                process.log_output()


def _start(place: Place, report: IO[bytes], output: IO[bytes] | None) -> _Process:
    """One process; the first one has the terminal, the others' words go to the log."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    threads = {"OMP_NUM_THREADS": str(max(1, cores // place.count))}  # they share the cores
    # They import what this process can, also where hydra.job.chdir=true has moved it.
    known = [path for path in (sys.path[0], os.environ.get("PYTHONPATH")) if path]
    # A Ctrl-C in the terminal reaches every process, and SLURM sends SIGUSR1 to all of a step; they inherit the mask
    # and leave the answer to the supervisor.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGUSR1})
    try:
        popen = subprocess.Popen(
            [sys.executable, "-m", "lt_lightning.experiment.worker", str(report.fileno())],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            env={**threads, **without_launcher(os.environ), "PYTHONPATH": os.pathsep.join(known)},
            pass_fds=[report.fileno()],
        )
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    return _Process(place, popen, report, output)


def _tell(process: _Process, job: Job) -> None:
    assert process.popen.stdin is not None
    with contextlib.suppress(BrokenPipeError):  # it is dead already, which is seen in a moment
        # Not as JSON: a value is to arrive as it is, whatever characters and types it is made of.
        pickle.dump((job, process.place), process.popen.stdin)
        process.popen.stdin.flush()


def _watch(processes: Sequence[_Process]) -> None:
    """Wait until all have ended.

    Raises:
        SettingError, ProcessError: as soon as one fails.
    """
    while any(process.popen.poll() is None for process in processes):
        if any(process.failed for process in processes):
            break
        time.sleep(POLL_SECONDS)
    if any(process.failed for process in processes):
        raise _reason(processes)


def _reason(processes: Sequence[_Process]) -> Exception:
    """Why the run failed. Where one process dies, others fail for want of it: the first one's reason counts."""
    failed = [process for process in processes if process.failed]
    reports = sorted(
        ((report, process) for process in failed if (report := process.read_report())),
        key=lambda pair: pair[0]["at"],
    )
    for report, _ in reports:
        if report["line"] is not None:
            error = (ResumableError if report["resumable"] else SettingError)(report["line"])
            error.__cause__ = _RemoteError(report["traceback"])
            return error
    for process in failed:
        # To abort is what a library does when another process is gone; any other signal came from outside.
        if process.signal not in (None, signal.SIGABRT):
            return _killed(process)
    for report, process in reports:
        error = ProcessError(f"rank {process.place.rank} of {process.place.count} processes: {report['error']}")
        error.__cause__ = _RemoteError(report["traceback"])
        return error
    if failed[0].signal is not None:
        return _killed(failed[0])
    place, code = failed[0].place, failed[0].popen.returncode
    return ProcessError(f"rank {place.rank} of {place.count} processes ended with exit code {code}; see the log")


def _killed(process: _Process) -> ResumableError:
    assert process.signal is not None
    memory = process.signal == signal.SIGKILL
    why = ", as happens when memory runs out" if memory else ""
    return ResumableError(
        f"trainer.devices: rank {process.place.rank} of {process.place.count} processes was killed by signal "
        f"{process.signal.value} ({process.signal.name}){why}; the others were stopped, what was finished is kept"
    )


def _stop(processes: Sequence[_Process]) -> None:
    """End what still runs: let go of the lifelines, and kill what holds on to life."""
    for process in processes:
        assert process.popen.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            process.popen.stdin.close()
    deadline = time.monotonic() + PATIENCE_SECONDS
    for process in processes:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.popen.wait(max(0.0, deadline - time.monotonic()))
        process.popen.kill()  # nothing happens to one that has ended
        process.popen.wait()
