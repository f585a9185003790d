"""One process on one run directory: whoever comes second is told who holds it."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from lt_lightning.errors import SettingError
from lt_lightning.results.description import now
from lt_lightning.results.files import clear_temporaries, write_whole, writing_to
from lt_lightning.storage.regular import read_regular

STATE = "state"
"""The folder within a run directory that holds what the run needs to go on."""


@contextmanager
def hold(run: Path) -> Iterator[None]:
    """Hold a run directory while this process writes in it. The system lets go when the process ends, however it does.

    What a killed process had begun to write is cleared away.

    Args:
        run: the run directory; it is made where there is none.

    Raises:
        SettingError: if another process holds it, or it cannot be written.
    """
    state = run / STATE
    with writing_to(run):
        state.mkdir(parents=True, exist_ok=True)
        lock, holder = FileLock(state / "lock"), state / "holder.json"
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise SettingError(
                f"{run}: in use by {_describe(holder)}; wait until it has ended, or stop it, and start again"
            ) from None
    try:
        with writing_to(run):
            who = {"process": os.getpid(), "machine": platform.node(), "started": now()}
            clear_temporaries(run)
            write_whole(holder, json.dumps(who) + "\n")
        yield
    finally:
        holder.unlink(missing_ok=True)
        lock.release()


def _describe(holder: Path) -> str:
    try:
        who = json.loads(read_regular(holder, 2**16))
        return f"process {who['process']} on {who['machine']}, which started at {who['started']}"
    except (OSError, ValueError, KeyError, TypeError, RecursionError):  # it has just come, or is about to go
        return "another process"
