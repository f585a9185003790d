"""Start the processes of a run, watch them, and stop all of them.

The supervisor trains nothing. It holds a pipe to each process's stdin, the *lifeline*: a process ends when its lifeline
closes (see `worker`), also after `kill -9` of the supervisor.
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
from lt_lightning.runtime.signals import WARNINGS

log = logging.getLogger(__name__)

POLL_SECONDS = 0.1
PATIENCE_SECONDS = 5.0
"""How long a process may take to end before it is killed."""

SHOW_CURSOR = "\r\x1b[2K\x1b[?25h"
"""Clears what is left of a progress bar, which hides the cursor, and shows the cursor again."""


class ProcessError(RuntimeError):
    """A process of the run failed for another reason than a user's mistake."""


class _RemoteError(Exception):
    """The traceback of an error in another process, used as a cause."""

    def __str__(self) -> str:
        return f"\n{self.args[0]}"


@dataclass(frozen=True)
class _Process:
    """One process of the run; `report` receives its error, `output` what rank 0 alone prints to the terminal."""

    place: Place
    popen: subprocess.Popen[bytes]
    report: IO[bytes]
    output: IO[bytes] | None

    @property
    def signal(self) -> signal.Signals | None:
        """Return the signal that ended the process, or None."""
        code = self.popen.poll() or 0
        number = -code if code < 0 else code - 128  # as shells report it
        return signal.Signals(number) if number in set(signal.Signals) else None

    @property
    def failed(self) -> bool:
        return self.popen.poll() not in (None, 0)

    def read_report(self) -> dict[str, Any] | None:
        """Return `at`, `line` (of a user's mistake), `error`, `traceback`; None without a report."""
        self.report.seek(0)
        try:
            return json.loads(self.report.read())
        except ValueError:
            return None

    def log_output(self) -> None:
        if self.output is not None:
            self.output.seek(0)
            if said := self.output.read().decode(errors="replace").strip():
                log.info("output of rank %s:\n%s", self.place.rank, said)


def supervise(job: Job, count: int) -> None:
    """Run a job in `count` processes until they end; any exception, KeyboardInterrupt included, stops them.

    Raises:
        SettingError: a process raised one, or was killed.
        ProcessError: a process failed in another way; its traceback is the cause.
    """
    processes: list[_Process] = []
    with socket.socket() as reserved, contextlib.ExitStack() as files:
        # Bound but not listening: this reserves the port until the processes meet there.
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
    """Start one process; rank 0 has the terminal, the output of others goes to the log."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    threads = {"OMP_NUM_THREADS": str(max(1, cores // place.count))}  # they share the cores
    # They import what this process can, also after hydra.job.chdir=true.
    known = [path for path in (sys.path[0], os.environ.get("PYTHONPATH")) if path]
    # Ctrl-C and SLURM's warnings reach every process; the processes inherit this mask, and the supervisor answers.
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, *WARNINGS})
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
    with contextlib.suppress(BrokenPipeError):  # it has ended; `_watch` notices
        # Not JSON: values must arrive with their types.
        pickle.dump((job, process.place), process.popen.stdin)
        process.popen.stdin.flush()


def _watch(processes: Sequence[_Process]) -> None:
    """Wait until all processes have ended; raise as soon as one fails."""
    while any(process.popen.poll() is None for process in processes):
        if any(process.failed for process in processes):
            break
        time.sleep(POLL_SECONDS)
    if any(process.failed for process in processes):
        raise _reason(processes)


def _reason(processes: Sequence[_Process]) -> Exception:
    """Return why the run failed: the first failure, since other processes fail as a consequence."""
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
        # Libraries abort when another process is gone; other signals came from outside.
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
    why = ", which happens when memory runs out" if memory else ""
    return ResumableError(
        f"trainer.devices: rank {process.place.rank} of {process.place.count} processes was killed by signal "
        f"{process.signal.value} ({process.signal.name}){why}; the others were stopped; finished rounds are kept"
    )


def _stop(processes: Sequence[_Process]) -> None:
    """Stop all processes: close the lifelines, then kill those that do not end."""
    for process in processes:
        assert process.popen.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            process.popen.stdin.close()
    deadline = time.monotonic() + PATIENCE_SECONDS
    for process in processes:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.popen.wait(max(0.0, deadline - time.monotonic()))
        process.popen.kill()  # no effect on an ended process
        process.popen.wait()
