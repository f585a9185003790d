"""Handle Ctrl-C, SIGTERM, SIGUSR1 and SIGUSR2: stop immediately, print how to resume, return the usual exit code.

SLURM sends SIGUSR1 or SIGUSR2 before a job's time is over (`sbatch --signal=B:USR1@90`); `cluster` answers it by
requeueing the job. A run saves everything as it goes, so nothing needs saving here.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

WARNINGS = (signal.SIGUSR1, signal.SIGUSR2)
"""The signals by which schedulers announce a time limit."""

SIGNALS = (signal.SIGINT, signal.SIGTERM, *WARNINGS)
"""The signals that stop a run."""

_listened: tuple[signal.Signals, ...] = SIGNALS
"""The signals that `listen` handles in this process."""


class Interruption(BaseException):
    """A signal asks the program to stop.

    Not a KeyboardInterrupt, which Lightning turns into exit code 1, and not an Exception, which a sweep takes for a
    failed job.

    Attributes:
        signal: the signal.
        code: the exit code, 128 + the signal's number: 130 for Ctrl-C, 143 for SIGTERM, 138 and 140 for SIGUSR1 and 2.
        advice: how to resume.
        goes_on: whether the same command, started again, goes on with the run.
        folder: the directory of the run or the sweep, if it is known yet.
    """

    def __init__(self, signum: int) -> None:
        self.signal = signal.Signals(signum)
        self.code = 128 + signum
        self.advice = "start it again, or continue its run directory with resume=FOLDER"
        self.goes_on = True
        self.folder: Path | None = None
        super().__init__(self.signal.name)

    def __str__(self) -> str:
        name = "Ctrl-C" if self.signal == signal.SIGINT else self.signal.name
        return f"stopped by {name}: {self.advice}"


class _Asked:
    """The handler after the first signal: a second signal ends the process immediately."""

    def __init__(self, signum: int) -> None:
        self.signum = signum

    def __call__(self, signum: int, frame: FrameType | None) -> None:
        os._exit(128 + signum)


def listen(signals: Iterable[signal.Signals] = SIGNALS) -> None:
    """Raise an `Interruption` in the main thread on these signals; a second signal ends the process.

    Forked processes, such as data loaders, ignore Ctrl-C, SIGUSR1 and SIGUSR2, and end on SIGTERM.

    Args:
        signals: those to handle; a job of submitit leaves SIGUSR2 to submitit, which requeues it.
    """
    global _listened
    _listened = tuple(signals)
    for signum in _listened:
        signal.signal(signum, _interrupt)
    listener = os.getpid()

    def leave_to_it() -> None:
        if os.getppid() == listener:
            for signum in (signal.SIGINT, *WARNINGS):  # sent to all processes of a terminal or a job step
                signal.signal(signum, signal.SIG_IGN)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)

    os.register_at_fork(after_in_child=leave_to_it)


@contextmanager
def delayed() -> Iterator[None]:
    """Deliver the signals that `listen` handles after the block, to this process and to those that the block starts."""
    came: list[int] = []
    handlers = {one: signal.signal(one, lambda signum, _: came.append(signum)) for one in _listened}
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _listened)  # inherited by started processes
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        for signum, handler in handlers.items():
            signal.signal(signum, handler)
        for signum in came:
            signal.raise_signal(signum)


def ignore_signals() -> None:
    """Ignore from now on the signals that `listen` handles: the process is about to end."""
    for signum in _listened:
        signal.signal(signum, signal.SIG_IGN)


def interruption(error: BaseException) -> Interruption | None:
    """Return the Interruption behind `error`, or None; code that is interrupted can fail in many ways."""
    if isinstance(error, Interruption):
        return error
    signum = _asked()
    return None if signum is None else Interruption(signum)


def stop_if_asked() -> None:
    """Raise the `Interruption` again if something swallowed it, such as a destructor."""
    signum = _asked()
    if signum is not None:
        raise Interruption(signum)


def _asked() -> int | None:
    """Return the signal that asked the program to stop, or None."""
    handlers = map(signal.getsignal, _listened)
    return next((handler.signum for handler in handlers if isinstance(handler, _Asked)), None)


def _interrupt(signum: int, frame: FrameType | None) -> None:
    for other in _listened:
        signal.signal(other, _Asked(signum))
    raise Interruption(signum)
