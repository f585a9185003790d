"""Lock a run directory, so that one process at a time writes to it."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path

from lt_lightning.errors import InUseError
from lt_lightning.storage.atomic import clear_temporaries, read_regular, write_whole, writing_to

STATE = "state"
"""The folder within a run directory that holds what the run needs to go on."""

_held: set[Path] = set()
"""The directories that this process holds."""


@contextmanager
def hold(run: Path, *, clear: bool = True) -> Iterator[None]:
    """Lock a run directory while the block runs; the system releases the lock when the process ends. Blocks may nest.

    Args:
        run: the run directory; created if missing.
        clear: remove temporary files that a killed process left.

    Raises:
        InUseError: another process holds it.
        SettingError: it cannot be written.
    """
    from filelock import FileLock, Timeout  # part of the extra `train`; reading needs no lock

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
            raise InUseError(
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
    except (OSError, ValueError, KeyError, TypeError, RecursionError):  # the holder is starting or ending
        return "another process"
