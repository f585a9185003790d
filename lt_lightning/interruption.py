"""Ctrl-C and SIGTERM: the run ends at once, says how to go on, and has the exit code that shells expect.

Nothing needs to be saved then: what a run keeps, it keeps as it goes, whole or not at all.
"""

from __future__ import annotations

import os
import signal
from types import FrameType

_SPOKEN = {signal.SIGINT: "Ctrl-C", signal.SIGTERM: "SIGTERM"}


class Interruption(BaseException):
    """Somebody wants the program to stop.

    Not a KeyboardInterrupt, which Lightning would turn into exit code 1, and no Exception, which might be taken for
    the failure of one job of a sweep.

    Attributes:
        signal: which signal said so.
        code: the exit code that tells of it, 128 + the signal's number: 130 for Ctrl-C, 143 for SIGTERM.
        advice: how to go on; whoever knows fills it in.
    """

    def __init__(self, signum: int) -> None:
        self.signal = signal.Signals(signum)
        self.code = 128 + signum
        self.advice = "start it again; what has left a folder goes on by resume=FOLDER"
        super().__init__(self.signal.name)

    def __str__(self) -> str:
        return f"stopped by {_SPOKEN[self.signal]}: {self.advice}"


def listen() -> None:
    """From now on raise an `Interruption` in the main thread on Ctrl-C and SIGTERM. A second one ends the process."""
    for signum in _SPOKEN:
        signal.signal(signum, _interrupt)


def _interrupt(signum: int, frame: FrameType | None) -> None:
    for other in _SPOKEN:
        signal.signal(other, _leave)
    raise Interruption(signum)


def _leave(signum: int, frame: FrameType | None) -> None:
    os._exit(128 + signum)
