"""Read and write the record of a run's trackers: its runs there, and whether they are complete. Imports no torch."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lt_lightning.storage.atomic import open_regular, write_whole, writing_to
from lt_lightning.storage.lock import STATE

if TYPE_CHECKING:
    from lt_lightning.config.schema import Config

_RECORD = "trackers.json"
_DONE = "done"


def read_trackers(run: Path) -> dict[str, Mapping[str, Any]]:
    """Return the record of each tracker, by its setting; nothing if the file is missing or damaged."""
    with suppress(OSError, ValueError), open_regular(run / STATE / _RECORD) as file:
        found = json.load(file)
        if isinstance(found, dict):
            return {name: one for name, one in found.items() if isinstance(one, dict)}
    return {}


def write_trackers(run: Path, trackers: Mapping[str, Mapping[str, Any]]) -> None:
    """Write the record."""
    with writing_to(run):
        (run / STATE).mkdir(exist_ok=True)
        write_whole(run / STATE / _RECORD, json.dumps(trackers) + "\n")


def mark_done(run: Path, names: Collection[str]) -> None:
    """Record that the trackers of these names have all of a complete run, until they are opened again."""
    trackers = read_trackers(run)
    write_trackers(run, {name: {**one, _DONE: True} if name in names else one for name, one in trackers.items()})


def find_unfinished(run: Path, config: Config) -> list[str]:
    """Return the names of the chosen trackers that lack a part of a complete run, or have another place than before."""
    known, chosen = read_trackers(run), config.logger.places(Path.cwd())
    of_trainer = [name for name in known if name.startswith("trainer.logger")] if config.trainer.logger else []
    # Runs of 0.4 have no record of the loggers of `trainer.logger`.
    return [
        name
        for name in (*chosen, *of_trainer)
        if _DONE not in known.get(name, {}) or known[name].get("where") != chosen.get(name)
    ]
