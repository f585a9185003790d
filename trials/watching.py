"""Watch a reader while it reads one file: it must answer in time and within the memory that the file accounts for."""

from __future__ import annotations

import gc
import resource
import signal
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager

TIMES = 64
ALLOWANCE = 2**21
"""A reader may take so many bytes for each byte of its files, and so many besides."""


class Failure(BaseException):
    """A fault of a reader. Not an Exception, so that no reader handles it as one of its own."""


class MemoryFailure(Failure):
    """A reader takes too much memory."""


def require(holds: bool, message: str) -> None:
    """Raise a Failure with this message unless something holds."""
    if not holds:
        raise Failure(message)


@contextmanager
def watched(size: int, seconds: float) -> Iterator[None]:
    """Raise if its body hangs or, while memory is traced, takes more than `size` bytes of files account for.

    The memory counts however the body ends, also where it refuses the file by an exception.

    Raises:
        MemoryFailure: it took too much memory.
        Failure: it did not end in time.
    """

    def hung(*_: object) -> None:
        raise Failure(f"no answer after {seconds:g} seconds")

    gc.disable()  # do not collect earlier garbage during the measurement
    measured = tracemalloc.is_tracing()
    before, resident = tracemalloc.get_traced_memory()[0], _most_resident() if measured else 0
    if measured:
        tracemalloc.reset_peak()
    previous = signal.signal(signal.SIGALRM, hung)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)
        gc.enable()
        if measured:
            # Python's own allocations, and those of the process: tensors, too.
            _check(tracemalloc.get_traced_memory()[1] - before, TIMES * size + ALLOWANCE, size)
            _check(_most_resident() - resident, TIMES * (size + ALLOWANCE), size)


def _check(taken: int, most: int, size: int) -> None:
    if taken > most:
        raise MemoryFailure(f"{taken:,} bytes of memory for {size:,} bytes of files, more than {most:,}")


def _most_resident() -> int:
    """Return the most bytes of memory that the process has ever had at a time."""
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
