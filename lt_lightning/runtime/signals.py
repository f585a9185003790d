"""Ctrl-C, SIGTERM and SIGUSR1: the run ends at once, says how to go on, and has the exit code that shells expect.

SIGUSR1 is what a SLURM cluster sends before a job's time is over (`sbatch --signal=USR1@90`).

Nothing needs to be saved then: what a run keeps, it keeps as it goes, whole or not at all.
"""

from __future__ import annotations

import os
import signal
from types import FrameType

_SPOKEN = {signal.SIGINT: "Ctrl-C", signal.SIGTERM: "SIGTERM", signal.SIGUSR1: "SIGUSR1"}


class Interruption(BaseException):
    """Somebody wants the program to stop.

    Not a KeyboardInterrupt, which Lightning would turn into exit code 1, and no Exception, which might be taken for
    the failure of one job of a sweep.

    Attributes:
        signal: which signal said so.
        code: the exit code that tells of it, 128 + the signal's number: 130 for Ctrl-C, 143 for SIGTERM, 138 for
            SIGUSR1.
        advice: how to go on; whoever knows fills it in.
    """

    def __init__(self, signum: int) -> None:
        self.signal = signal.Signals(signum)
        self.code = 128 + signum
        self.advice = "start it again; what has left a folder already goes on by resume=FOLDER"
        super().__init__(self.signal.name)

    def __str__(self) -> str:
        return f"stopped by {_SPOKEN[self.signal]}: {self.advice}"


class _Asked:
    """The handler that is in place once the program was asked to stop: being asked again, it ends at once."""

    def __init__(self, signum: int) -> None:
        self.signum = signum

    def __call__(self, signum: int, frame: FrameType | None) -> None:
        os._exit(128 + signum)


def listen() -> None:
    """Raise an `Interruption` in the main thread on Ctrl-C, SIGTERM and SIGUSR1 from now on.

    A second signal ends the process. Processes that are forked off, such as those that load data, leave Ctrl-C and
    SIGUSR1 to this one, and end on SIGTERM.
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
    """The interruption that an error is, or that it came of: what is stopped in its midst fails in many ways."""
    if isinstance(error, Interruption):
        return error
    signum = _asked()
    return None if signum is None else Interruption(signum)


def stop_if_asked() -> None:
    """Raise the `Interruption` again that was swallowed, as by a destructor in which it happened to be raised."""
    signum = _asked()
    if signum is not None:
        raise Interruption(signum)


def _asked() -> int | None:
    """The signal that asked the program to stop; None if none did."""
    handler = signal.getsignal(signal.SIGINT)
    return handler.signum if isinstance(handler, _Asked) else None


def _interrupt(signum: int, frame: FrameType | None) -> None:
    for other in _SPOKEN:
        signal.signal(other, _Asked(signum))
    raise Interruption(signum)
