"""Check that a reader answers within limits of time and memory."""

from __future__ import annotations

import gc
import resource
import signal
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager

TIMES = 64
ALLOWANCE = 2**21
"""Memory limit of a reader: `TIMES` the bytes of its files plus `ALLOWANCE`."""


class Failure(BaseException):
    """A fault of a reader; not an Exception, so that readers do not catch it."""


class MemoryFailure(Failure):
    """A reader takes too much memory."""


def require(holds: bool, message: str) -> None:
    """Raise a Failure with this message unless `holds`."""
    if not holds:
        raise Failure(message)


@contextmanager
def watched(size: int, seconds: float) -> Iterator[None]:
    """Raise if the body hangs or, while memory is traced, takes more than `size` bytes of files justify.

    Memory is checked even if the body raises.

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
            # Python's own allocations, and those of the process, such as tensors.
            _check(tracemalloc.get_traced_memory()[1] - before, TIMES * size + ALLOWANCE, size)
            _check(_most_resident() - resident, TIMES * (size + ALLOWANCE), size)


def _check(taken: int, most: int, size: int) -> None:
    if taken > most:
        raise MemoryFailure(f"{taken:,} bytes of memory for {size:,} bytes of files, more than {most:,}")


def _most_resident() -> int:
    """Return the process's peak memory in bytes."""
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
