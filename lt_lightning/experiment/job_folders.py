"""Assign each job of a sweep its own folder, and the same one when the sweep is resumed.

The folder is `hydra.sweep.subdir` as it was when the job first began, recorded in the sweep's `state/job_N.json`. So
resuming with other settings keeps the name, and jobs with the same name get different folders.
"""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

from filelock import FileLock
from omegaconf import OmegaConf, open_dict

from lt_lightning.errors import SettingError
from lt_lightning.storage.atomic import write_whole, writing_to
from lt_lightning.storage.lock import STATE

NAME_KEY = "hydra.callbacks.check.subdir"
"""The setting that keeps the sweep's own `hydra.sweep.subdir`."""

_RESOLVER = "job_folder"
SUBDIR = f"hydra.sweep.subdir=${{{_RESOLVER}:}}"
"""The override by which Hydra asks for a job's folder, just before it makes it."""


def assign_folders(config: Any, quote: Any) -> None:
    """Change a sweep's configuration so that this module assigns the jobs' folders; `quote` quotes text for Hydra."""
    template = OmegaConf.to_container(config.hydra.sweep, resolve=False)["subdir"]  # pyright: ignore
    with open_dict(config.hydra):
        config.hydra.callbacks.check.subdir = str(template)
        config.hydra.sweep.subdir = SUBDIR.partition("=")[2]
        config.hydra.overrides.hydra.extend([f"+{NAME_KEY}={quote(str(template))}", SUBDIR])


def find_folder(sweep: Path, job: int, name: str) -> str:
    """Return the folder of a job relative to the sweep's, and record it if the job is new.

    Args:
        sweep: the sweep's folder.
        job: the number of the job.
        name: the requested folder; a free sibling, such as `x_2`, if another job has it.

    Raises:
        SettingError: the folder lies outside of the sweep's, or the record cannot be read or written.
    """
    state = sweep / STATE
    with writing_to(sweep):
        state.mkdir(parents=True, exist_ok=True)
        with FileLock(state / "jobs.lock"):
            taken = read_folders(sweep)
            if job in taken:
                return taken[job]
            folder, number = _inside(name, "hydra.sweep.subdir"), 1
            while folder in taken.values():
                number += 1
                folder = f"{os.path.normpath(name)}_{number}"
            write_record(sweep, job, folder)
            return folder


def write_record(sweep: Path, job: int, folder: str) -> None:
    """Record a job's folder."""
    write_whole(_path(sweep, job), json.dumps({"job": job, "folder": folder}) + "\n")


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
        except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            if isinstance(error, SettingError):
                raise
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
                write_record(sweep, number, path.parents[1].relative_to(sweep).as_posix())


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
