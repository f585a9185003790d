"""Decide whether a command starts a run or goes on with it: `resume=auto`.

A scheduler repeats the command of a job that it stopped. A folder that the command names holds the run then. Of a
folder that is named by the clock, the job keeps a record: `outputs/NAME/.slurm/JOB_….json`.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from filelock import FileLock
from omegaconf import OmegaConf

from lt_lightning.experiment.resume.compare import AUTO, without_resume
from lt_lightning.runtime.cluster import attempt, job_key, may_start_again
from lt_lightning.storage.atomic import write_whole, writing_to

STAMP = "${now:"
"""The interpolation by which a folder's name contains the time."""

_RECORDS = ".slurm"


def find_resume(resume: str | None, overrides: Iterable[str], environ: Mapping[str, str]) -> str | None:
    """Return the value of `resume` that counts: `auto` by default where a scheduler may repeat the command.

    Args:
        resume: its value in the configuration.
        overrides: those of the command line; `resume=null` there turns `auto` off.
        environ: the environment.
    """
    typed = any(one.lstrip("+~").partition("=")[0] == "resume" for one in overrides)
    return AUTO if resume is None and not typed and may_start_again(environ) else resume


def is_stamped(place: Any) -> bool:
    """Return whether a folder's name, `hydra.run` or `hydra.sweep`, contains the time."""
    return STAMP in _template(place)


class FirstStart:
    """The record of the folder that a batch job's command got when it first started.

    A job may give one command several times. When it starts again, the n-th of them gets the n-th folder.

    Args:
        config: the composed configuration, Hydra's part included.
        group: `run` or `sweep`.
        environ: the environment, with SLURM's variables.
    """

    def __init__(self, config: Any, group: str, environ: Mapping[str, str]) -> None:
        self._attempt = attempt(environ)
        job = job_key(environ)
        typed: Any = OmegaConf.to_container(config.hydra.overrides, resolve=False)
        command = [group, *without_resume(typed["task"]), *typed["hydra"]]
        digest = hashlib.sha256(json.dumps(command).encode()).hexdigest()[:16]
        self._base = _stamps_base(config, group)
        self._path = None if job is None else self._base / _RECORDS / f"{job}_{digest}.json"

    def find(self) -> Path | None:
        """Return the folder of an earlier start of this job; None if this is its first, or outside of batch jobs."""
        if self._path is None or not self._path.exists():
            return None
        with self._lock():
            folders, taken = self._read()
            if taken >= len(folders):
                return None
            self._write(folders, taken + 1)
            return self._base / folders[taken]

    def record(self, folder: Path) -> None:
        """Record the folder that this start got."""
        if self._path is not None:
            with writing_to(self._path.parent):
                self._path.parent.mkdir(parents=True, exist_ok=True)
                with self._lock():
                    folders, _ = self._read()
                    self._write([*folders, os.path.relpath(folder, self._base)], len(folders) + 1)

    def _lock(self) -> FileLock:
        assert self._path is not None
        return FileLock(self._path.with_name("lock"))

    def _read(self) -> tuple[list[str], int]:
        """Return the folders of the job, and how many of them this attempt has taken."""
        assert self._path is not None
        try:
            record = json.loads(self._path.read_text(encoding="utf-8"))
            folders = [os.path.normpath(folder) for folder in record["folders"]]
            if any(Path(folder).is_absolute() or ".." in Path(folder).parts for folder in folders):
                return [], 0  # it leads elsewhere: no start wrote this record
            return folders, int(record["taken"]) if record["attempt"] == self._attempt else 0
        except (OSError, ValueError, TypeError, KeyError, RecursionError):
            return [], 0  # a damaged record: the run starts anew

    def _write(self, folders: Collection[str], taken: int) -> None:
        assert self._path is not None
        content = {"attempt": self._attempt, "taken": taken, "folders": list(folders)}
        write_whole(self._path, json.dumps(content) + "\n")


def _template(place: Any) -> str:
    template: Any = OmegaConf.to_container(place, resolve=False)
    return str(template["dir"])


def _stamps_base(config: Any, group: str) -> Path:
    """Return the folder above the first part of a folder's name that contains the time."""
    place = config.hydra[group]
    template = _template(place)
    place.dir = template.partition(STAMP)[0].rpartition("/")[0] or "."
    try:
        return Path(str(place.dir))
    finally:
        place.dir = template
