"""One process on one run directory: whoever comes second is told who holds it."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path

from filelock import FileLock, Timeout

from lt_lightning.errors import SettingError
from lt_lightning.storage.atomic import clear_temporaries, write_whole, writing_to
from lt_lightning.storage.regular import read_regular

STATE = "state"
"""The folder within a run directory that holds what the run needs to go on."""

_held: set[Path] = set()
"""The directories that this process holds."""


@contextmanager
def hold(run: Path, *, clear: bool = True) -> Iterator[None]:
    """Hold a run directory while this process writes in it. The system lets go when the process ends, however it does.

    A directory that this process holds already stays held by the outer block.

    Args:
        run: the run directory; created if missing.
        clear: remove what a killed process had begun to write in the directory and below it.

    Raises:
        SettingError: if another process holds it, or it cannot be written.
    """
    place = Path(os.path.realpath(run))
    if place in _held:
        yield
        return
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
    _held.add(place)
    absolute = holder.absolute()  # the working directory may change in between
    try:
        with writing_to(run):
            who = {
                "process": os.getpid(),
                "machine": platform.node(),
                "started": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            }
            if clear:
                clear_temporaries(run)
            write_whole(holder, json.dumps(who) + "\n")
        yield
    finally:
        _held.discard(place)
        absolute.unlink(missing_ok=True)
        lock.release()


def _describe(holder: Path) -> str:
    try:
        who = json.loads(read_regular(holder, 2**16))
        return f"process {who['process']} on {who['machine']}, which started at {who['started']}"
    except (OSError, ValueError, KeyError, TypeError, RecursionError):  # it has just come, or is about to go
        return "another process"
