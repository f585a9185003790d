"""Handle Ctrl-C, SIGTERM and SIGUSR1: stop immediately, print how to resume, and return the usual exit code.

SLURM sends SIGUSR1 before a job's time is over (`sbatch --signal=USR1@90`). A run saves everything as it goes, so
nothing needs saving here.
"""

from __future__ import annotations

import os
import signal
from types import FrameType

_SPOKEN = {signal.SIGINT: "Ctrl-C", signal.SIGTERM: "SIGTERM", signal.SIGUSR1: "SIGUSR1"}


class Interruption(BaseException):
    """A signal asks the program to stop.

    Not a KeyboardInterrupt, which Lightning turns into exit code 1, and not an Exception, which a sweep takes for a
    failed job.

    Attributes:
        signal: the signal.
        code: the exit code, 128 + the signal's number: 130 for Ctrl-C, 143 for SIGTERM, 138 for SIGUSR1.
        advice: how to resume.
    """

    def __init__(self, signum: int) -> None:
        self.signal = signal.Signals(signum)
        self.code = 128 + signum
        self.advice = "start it again, or continue its run directory with resume=FOLDER"
        super().__init__(self.signal.name)

    def __str__(self) -> str:
        return f"stopped by {_SPOKEN[self.signal]}: {self.advice}"


class _Asked:
    """The handler after the first signal: a second signal ends the process immediately."""

    def __init__(self, signum: int) -> None:
        self.signum = signum

    def __call__(self, signum: int, frame: FrameType | None) -> None:
        os._exit(128 + signum)


def listen() -> None:
    """Raise an `Interruption` in the main thread on Ctrl-C, SIGTERM and SIGUSR1; a second signal ends the process.

    Forked processes, such as data loaders, ignore Ctrl-C and SIGUSR1, and end on SIGTERM.
    """
    for signum in _SPOKEN:
        signal.signal(signum, _interrupt)
    listener = os.getpid()

    def leave_to_it() -> None:
        if os.getppid() == listener:
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            signal.signal(signal.SIGUSR1, signal.SIG_IGN)  # sent to all processes of a job step
            signal.signal(signal.SIGTERM, signal.SIG_DFL)

    os.register_at_fork(after_in_child=leave_to_it)


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
    handler = signal.getsignal(signal.SIGINT)
    return handler.signum if isinstance(handler, _Asked) else None


def _interrupt(signum: int, frame: FrameType | None) -> None:
    for other in _SPOKEN:
        signal.signal(other, _Asked(signum))
    raise Interruption(signum)
