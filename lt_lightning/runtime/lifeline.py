"""Tie processes to the one that they work for: they end when it stops or dies, also after `kill -9`.

The owner holds a named pipe open for writing, which no other process does. Workers watch its other end, which the
system closes whatever ends the owner. They hold a second pipe open, by which the owner sees that all of them ended.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import select
import shutil
import signal
import tempfile
import threading
import time
from pathlib import Path

PATIENCE_SECONDS = 5.0
"""How long a worker may take to end after SIGTERM before it exits at once."""

_CHECK_SECONDS = 2.0
_held: dict[str, int] = {}
"""The lifelines that this process holds, and the descriptors that tell their owners."""


class Lifeline:
    """The owner's end. Workers of this machine call `hold` with its `address`."""

    def __init__(self) -> None:
        self.address = tempfile.mkdtemp(prefix="lt_lightning_")
        for name in ("owner", "workers"):
            os.mkfifo(Path(self.address, name))
        # Open for both directions, as opening for one waits for the other. Not inherited by programs that are started.
        self._owner = os.open(Path(self.address, "owner"), os.O_RDWR)
        self._workers = os.open(Path(self.address, "workers"), os.O_RDONLY | os.O_NONBLOCK)
        self._process = os.getpid()
        atexit.register(self._remove)

    def __enter__(self) -> Lifeline:
        return self

    def __exit__(self, *exception: object) -> None:
        self.cut()

    def cut(self) -> None:
        """End the workers: each gets SIGTERM. Return when all have ended, or after a little more than the patience."""
        if self._owner < 0 or os.getpid() != self._process:
            return
        os.close(self._owner)
        self._owner = -1
        deadline = time.monotonic() + PATIENCE_SECONDS + 2 * _CHECK_SECONDS
        while time.monotonic() < deadline and not _is_closed(self._workers):
            time.sleep(0.05)
        os.close(self._workers)
        self._remove()
        atexit.unregister(self._remove)

    def _remove(self) -> None:
        if os.getpid() == self._process:
            shutil.rmtree(self.address, ignore_errors=True)


def hold(address: str) -> None:
    """End this process when the owner of a lifeline ends; hold each lifeline once per process."""
    if address in _held:
        return
    try:
        owner = os.open(Path(address, "owner"), os.O_RDONLY | os.O_NONBLOCK)
        _held[address] = os.open(Path(address, "workers"), os.O_WRONLY | os.O_NONBLOCK)
    except OSError:  # the owner has ended
        os._exit(1)
    holder = os.getpid()

    def close() -> None:
        for descriptor in (owner, _held[address]):
            with contextlib.suppress(OSError):
                os.close(descriptor)

    os.register_at_fork(after_in_child=close)  # processes that load data have lifelines of their own
    threading.Thread(target=_watch, args=(owner, holder), name="lifeline", daemon=True).start()


def _watch(owner: int, holder: int) -> None:
    while not _is_closed(owner):
        select.select([owner], [], [], _CHECK_SECONDS)
    os.kill(holder, signal.SIGTERM)
    time.sleep(PATIENCE_SECONDS)
    os._exit(128 + signal.SIGTERM)


def _is_closed(pipe: int) -> bool:
    """Return whether no process has the other end of a pipe open."""
    try:
        return os.read(pipe, 1) == b""
    except BlockingIOError:
        return False
