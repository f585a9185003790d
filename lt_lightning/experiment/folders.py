"""Reserve the folder of a run or a sweep before anything is written into it, and assign a sweep's jobs their folders.

A folder with a time-stamped name is created under a free name; a folder that the user named is locked first. A start
that fails before its run began leaves no folder.

A job's folder is `hydra.sweep.subdir` as it was when the job first began, recorded in the sweep's `state/job_N.json`.
So resuming with other settings keeps the name, and jobs with the same name get different folders.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from filelock import FileLock
from omegaconf import OmegaConf, open_dict

from lt_lightning.config.quoting import quoted
from lt_lightning.errors import SettingError
from lt_lightning.storage.atomic import write_whole, writing_to
from lt_lightning.storage.lock import STATE, hold

NAME_KEY = "hydra.callbacks.check.subdir"
"""The setting that keeps the sweep's own `hydra.sweep.subdir`."""

_RESOLVER = "job_folder"
SUBDIR = f"hydra.sweep.subdir=${{{_RESOLVER}:}}"
"""The override by which Hydra asks for a job's folder, just before it makes it."""

SUBMITTED = ".submitit"
"""The folder within a sweep's for submitit's files."""

_TRACES = frozenset({"sweep.json", "multirun.yaml"})
_STATE_TRACES = frozenset({"lock", "holder.json", "jobs.lock"})
_MOST_SIBLINGS = 10_000


@dataclass(frozen=True)
class _Reserved:
    """A folder that this process holds."""

    folder: Path  # its absolute path
    made: tuple[Path, ...]  # the folders that were created for it, outermost first
    ours: bool  # whether this start wrote all of its content
    held: ExitStack  # releases the lock when closed


_reserved: list[_Reserved] = []


def reserve(folder: Path, *, stamped: bool, sweep: bool = False) -> Path:
    """Create a folder and hold its lock until `release`; return it, or the sibling that was free.

    Args:
        folder: the folder.
        stamped: whether its name is a time stamp, so that a free sibling such as `…_2` will do.
        sweep: whether it is a sweep's folder; other processes may write in its jobs' folders.

    Raises:
        SettingError: another process holds the folder, or it cannot be written.
    """
    with writing_to(folder):
        place, made = _make(folder, stamped)
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


def _make(folder: Path, stamped: bool) -> tuple[Path, list[Path]]:
    """Create a folder, if its name is `stamped` under the first free name of `x`, `x_2`, …; return what was created."""
    for number in range(1, _MOST_SIBLINGS):
        place = folder if number == 1 else folder.with_name(f"{folder.name}_{number}")
        made = [path for path in reversed(place.parents) if not path.exists()]
        place.parent.mkdir(parents=True, exist_ok=True)
        try:
            _make_one(place)
            return place, [*made, place]
        except FileExistsError:
            if not stamped:
                return place, made
    raise SettingError(f"{folder}: this name and its {_MOST_SIBLINGS} siblings are taken; give another folder")


def _make_one(folder: Path) -> None:
    try:
        folder.mkdir()
    except FileNotFoundError:  # another start that failed removed the empty parent in between
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir()


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
        return name in _STATE_TRACES or (name.startswith("job_") and path.suffix in (".json", ".log"))
    return parent == ".hydra" or SUBMITTED in path.parts or name in _TRACES or path.suffix == ".log"


def _remove_empty(folders: list[Path] | tuple[Path, ...]) -> None:
    """Remove empty folders, innermost first."""
    for folder in reversed(folders):
        with contextlib.suppress(OSError):
            folder.rmdir()


def assign_folders(config: Any) -> None:
    """Change a sweep's configuration so that this module assigns the jobs' folders."""
    template: Any = OmegaConf.to_container(config.hydra.sweep, resolve=False)
    subdir = str(template["subdir"])
    with open_dict(config.hydra):
        config.hydra.callbacks.check.subdir = subdir
        config.hydra.sweep.subdir = SUBDIR.partition("=")[2]
        config.hydra.overrides.hydra.extend([f"+{NAME_KEY}={quoted(subdir)}", SUBDIR])


def find_folder(sweep: Path, job: int, name: str) -> str:
    """Return the folder of a job relative to the sweep's, and record it if the job is new.

    A new job gets the folder `name`, or a free sibling such as `x_2` if another job has it.

    Raises:
        SettingError: the folder lies outside of the sweep's, or the record cannot be read or written.
    """
    with writing_to(sweep):
        (sweep / STATE).mkdir(parents=True, exist_ok=True)
        with FileLock(sweep / STATE / "jobs.lock"):
            taken = read_folders(sweep)
            if job not in taken:
                first = _inside(name, "hydra.sweep.subdir")
                siblings = (first if number == 1 else f"{first}_{number}" for number in count(1))
                taken[job] = next(folder for folder in siblings if folder not in taken.values())
                _write_record(sweep, job, taken[job])
            return taken[job]


def read_folders(sweep: Path) -> dict[int, str]:
    """Return the recorded folders by job number; raise a `SettingError` if a record is damaged."""
    found = {}
    for path in (sweep / STATE).glob("job_*.json"):
        if not re.fullmatch(r"job_[0-9]{1,9}", path.stem):
            continue
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
            found[record["job"]] = _inside(record["folder"], str(path))
            if path != _path(sweep, record["job"]):
                raise ValueError
        except SettingError:
            raise
        except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
            raise SettingError(f"{path}: does not say which folder the job has; restore it from a copy") from None
    return found


def recover_records(sweep: Path) -> None:
    """Record the folders of a sweep by an older version without such records, from Hydra's notes."""
    if read_folders(sweep):
        return
    with writing_to(sweep):
        for path in sorted(sweep.rglob(".hydra/hydra.yaml")):
            number = _job_number(path)
            if number is not None and not _path(sweep, number).exists():
                (sweep / STATE).mkdir(exist_ok=True)
                _write_record(sweep, number, path.parents[1].relative_to(sweep).as_posix())


def _job_number(path: Path) -> int | None:
    """Return the job number that Hydra noted in a folder, or None."""
    from omegaconf.errors import OmegaConfBaseException
    from yaml import YAMLError

    try:
        noted: Any = OmegaConf.to_container(OmegaConf.load(path), resolve=False)
        number = noted["hydra"]["job"]["num"]
    except (OSError, ValueError, KeyError, TypeError, YAMLError, OmegaConfBaseException):
        return None
    return number if isinstance(number, int) else None


def _write_record(sweep: Path, job: int, folder: str) -> None:
    write_whole(_path(sweep, job), json.dumps({"job": job, "folder": folder}) + "\n")


def _inside(name: str, source: str) -> str:
    folder = os.path.normpath(name)  # not resolved: links within the sweep's folder stay
    if Path(folder).is_absolute() or folder == os.curdir or Path(folder).parts[0] in (os.pardir, STATE):
        raise SettingError(f"{source}: {name} is no folder of its own within the sweep's; give another")
    return folder


def _path(sweep: Path, job: int) -> Path:
    return sweep / STATE / f"job_{job}.json"


def _resolve(*, _root_: Any) -> str:
    hydra = _root_.hydra
    return find_folder(Path(hydra.sweep.dir), int(hydra.job.num), str(hydra.callbacks.check.subdir))


OmegaConf.register_new_resolver(_RESOLVER, _resolve, replace=True)
