"""Reserve the folder of a run or a sweep before anything is written into it.

A folder with a time-stamped name is created under a free name; a folder that the user named is locked first. A start
that fails before its run began leaves no folder.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from lt_lightning.errors import SettingError
from lt_lightning.storage.atomic import writing_to
from lt_lightning.storage.lock import STATE, hold

_TRACES = frozenset({"sweep.json", "multirun.yaml"})
_STATE_TRACES = frozenset({"lock", "holder.json", "jobs.lock"})

MOST_SIBLINGS = 10_000
"""How many names to try for a time-stamped folder."""


@dataclass(frozen=True)
class _Reserved:
    """A folder that this process holds.

    Attributes:
        folder: its absolute path.
        made: the folders that were created for it, outermost first.
        ours: whether this start wrote all of its content.
        held: releases the lock when closed.
    """

    folder: Path
    made: tuple[Path, ...]
    ours: bool
    held: ExitStack


_reserved: list[_Reserved] = []
"""The folders that this process holds until `release`."""


def reserve(folder: Path, *, stamped: bool, sweep: bool = False) -> Path:
    """Create a folder and hold its lock until `release`.

    Args:
        folder: the folder.
        stamped: whether its name is a time stamp, so that a free sibling such as `…_2` will do.
        sweep: whether it is a sweep's folder; other processes may write in its jobs' folders.

    Returns:
        The folder that is held: `folder` or a sibling.

    Raises:
        SettingError: another process holds the folder, or it cannot be written.
    """
    with writing_to(folder):
        place, made = _make_new(folder) if stamped else _make(folder)
        ours = bool(made) or not any(place.iterdir())
    with ExitStack() as stack:
        try:
            stack.enter_context(hold(place, clear=not sweep))
        except BaseException:
            _remove_empty(made)
            raise
        _reserved.append(_Reserved(place.absolute(), tuple(path.absolute() for path in made), ours, stack.pop_all()))
    return place


def release(*, failed: bool) -> None:
    """Release all reserved folders; if the start `failed`, remove what it created unless a run began."""
    while _reserved:
        one = _reserved.pop()
        if failed and one.ours:
            _discard(one)
        one.held.close()


def free_names(folder: Path) -> Iterator[Path]:
    """Yield the paths of a folder and its siblings: `x`, `x_2`, `x_3`, …"""
    yield folder
    for number in range(2, MOST_SIBLINGS):
        yield folder.with_name(f"{folder.name}_{number}")


def _make_new(folder: Path) -> tuple[Path, list[Path]]:
    """Create a folder under the first free name."""
    for place in free_names(folder):
        made = _make_parents(place)
        with contextlib.suppress(FileExistsError):
            return place, [*made, *_make_one(place)]
    raise SettingError(f"{folder}: this name and its {MOST_SIBLINGS} siblings are taken; give another folder")


def _make(folder: Path) -> tuple[Path, list[Path]]:
    """Create a folder if it is missing."""
    made = _make_parents(folder)
    with contextlib.suppress(FileExistsError):
        made += _make_one(folder)
    return folder, made


def _make_one(folder: Path) -> list[Path]:
    try:
        folder.mkdir()
    except FileNotFoundError:  # another start that failed removed the empty parent in between
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir()
    return [folder]


def _make_parents(folder: Path) -> list[Path]:
    missing = [path for path in reversed(folder.parents) if not path.exists()]
    folder.parent.mkdir(parents=True, exist_ok=True)
    return missing


def _discard(one: _Reserved) -> None:
    """Remove what a failed start left, unless the folder contains more than a start writes."""
    with contextlib.suppress(OSError):
        inside = [Path(base) / name for base, _, names in os.walk(one.folder) for name in names]
        if not all(_is_trace(path) for path in inside):
            return
        for path in inside:
            path.unlink(missing_ok=True)
        folders = [Path(base) / name for base, names, _ in os.walk(one.folder) for name in names]
        _remove_empty(folders)
        _remove_empty(one.made)


def _is_trace(path: Path) -> bool:
    """Return whether a start writes such a file before its run begins."""
    parent, name = path.parent.name, path.name
    if parent == STATE:
        return name in _STATE_TRACES or (name.startswith("job_") and name.endswith(".json"))
    return parent == ".hydra" or name in _TRACES or path.suffix == ".log"


def _remove_empty(folders: list[Path] | tuple[Path, ...]) -> None:
    """Remove empty folders, innermost first."""
    for folder in reversed(folders):
        with contextlib.suppress(OSError):
            folder.rmdir()
