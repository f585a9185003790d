"""A run directory, read: its rows, and `run.json` as it is."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from lt_lightning.errors import SettingError
from lt_lightning.runs.description import Description
from lt_lightning.runs.metrics import Metric
from lt_lightning.runs.records import (
    ConfusionRecord,
    EpochRecord,
    ExampleRecord,
    LayerRecord,
    Record,
    read_sound_records,
)
from lt_lightning.runs.rounds import find_changed_tables
from lt_lightning.storage.regular import read_regular

_LARGEST = 2**26
"""Bytes of `run.json`, which has a few thousand."""

# The tables beside `results.csv`, in the order of the attributes of `Run`.
_BESIDE: Mapping[str, type[Any]] = MappingProxyType(
    {"layers": LayerRecord, "epochs": EpochRecord, "confusion": ConfusionRecord, "examples": ExampleRecord}
)


CHANGED = "changed since it was written: its checksum does not fit"
"""The fault of a file whose content is not the one that was sealed."""


@dataclass(frozen=True)
class Run:
    """What a run has left behind so far.

    Attributes:
        folder: the run directory.
        description: `run.json`; any value of it may be missing.
        records: the rounds 0, 1, 2, … without a gap; at least one.
        layers: the parameters of those rounds.
        epochs: the epochs of those rounds; none where the run kept no `epochs.csv`.
        confusion: what the tests of those rounds took for what; none where the run kept no `confusion.csv`.
        examples: what the tickets of those rounds make of some texts; none where the run kept no `examples.csv`.
        damages: a line for each file that is damaged: what is wrong with it, and what to do. What it holds before the
            damage is above.
    """

    folder: Path
    description: Description
    records: tuple[Record, ...]
    layers: tuple[LayerRecord, ...]
    epochs: tuple[EpochRecord, ...]
    confusion: tuple[ConfusionRecord, ...]
    examples: tuple[ExampleRecord, ...] = ()
    damages: tuple[str, ...] = ()

    @property
    def metric(self) -> Metric:
        """What the rounds are judged by."""
        return self.description.metric_for(self.records)


def is_run(folder: Path) -> bool:
    """Whether a folder is a run directory, of a whole run or of a damaged one."""
    # os.path knows an answer for every path; pathlib raises for one that is too long.
    return os.path.exists(folder / "run.json") or os.path.exists(folder / "results.csv")  # noqa: PTH110


def read_run(folder: Path) -> Run:
    """Read a run directory as far as it is sound, also while the run is still going.

    Raises:
        SettingError: there is no such folder, it is no run, `run.json` is damaged, or no sound round is left.
    """
    if os.path.isfile(folder):  # noqa: PTH113
        raise SettingError(f"{folder}: is a file; give a run directory, outputs/<experiment>/<date>_<time>")
    if not os.path.isdir(folder):  # noqa: PTH112
        raise SettingError(f"{folder}: no such folder; give a run directory, outputs/<experiment>/<date>_<time>")
    if not is_run(folder):
        raise SettingError(f"{folder}: not a run directory, it has no run.json; {suggest_run(folder)}")
    described = read_description(folder / "run.json")
    changed = [] if described.is_as_written else [f"{folder / 'run.json'}: {CHANGED}; restore it from a copy"]
    records, damages = _read_rounds(folder / "results.csv", bool(described.finished))
    tables: list[list[Any]] = []
    for name, kind in _BESIDE.items():
        path = folder / f"{name}.csv"
        rows, damage = [], None
        if kind is LayerRecord or path.exists():
            rows, damage = _read_beside(path, kind)
        # A run that is still going writes its tables one after the other: one of them may be a round ahead.
        tables.append([row for row in rows if row.round < len(records)])
        damages += [damage] if damage else []
    if not damages:
        damages += find_changed_tables(folder)
    layers, epochs, confusion, examples = map(tuple, tables)
    return Run(folder, described, tuple(records), layers, epochs, confusion, examples, (*changed, *damages))


def _read_rounds(path: Path, finished: bool) -> tuple[list[Record], list[str]]:
    """The sound rounds, at least one, and what is wrong with those after them."""
    if not path.exists() and finished:
        raise SettingError(f"{path}: no such file, but the run has finished; restore it from a copy")
    if not path.exists():
        raise SettingError(f"{path.parent}: no rounds yet; wait until results.csv has its first row")
    records, damage = read_sound_records(path, Record)
    for expected, record in enumerate(records):
        if record.round != expected:
            records = records[:expected]
            damage = (
                f"{path}: line {expected + 2}: round {record.round} where round {expected} belongs; "
                "put the rows in order, or delete that line and all lines after it"
            )
            break
    if not records:
        raise SettingError(damage or f"{path}: no rounds yet; wait until it has its first row")
    return records, [damage] if damage else []


def _read_beside(path: Path, kind: type[Any]) -> tuple[list[Any], str | None]:
    """The sound rows of a table beside `results.csv`, and what is wrong with it."""
    if not path.exists():
        return [], f"{path}: no such file, but results.csv is there; restore it from a copy"
    try:
        rows, damage = read_sound_records(path, kind)
    except SettingError as error:
        return [], str(error)
    if damage is None or kind in (EpochRecord, ExampleRecord):
        return rows, damage
    # Sums over a round that lacks some of its rows would be wrong, and look right.
    last = max((row.round for row in rows), default=0)
    sizes = [sum(_weight(row) for row in rows if row.round == round_) for round_ in (0, last)]
    return rows if last and sizes[0] == sizes[1] else [row for row in rows if row.round != last], damage


def _weight(row: Any) -> int:
    return row.count if isinstance(row, ConfusionRecord) else 1


def suggest_run(folder: Path) -> str:
    """What to say to whoever gave a folder that is no run: one of those in it, or where runs lie."""
    inside = sorted(path.parent for path in folder.glob("*/run.json"))
    if not inside:
        return "give a run directory, outputs/<experiment>/<date>_<time>"
    return (
        f"give one of the {len(inside)} runs in it, e.g. {inside[0]}"
        if inside[1:]
        else f"give the one in it, {inside[0]}"
    )


def read_description(path: Path) -> Description:
    """Read `run.json`.

    Raises:
        SettingError: there is no such file, or it is not a JSON object.
    """
    return Description.from_json(read_object(path))


def read_object(path: Path) -> Mapping[str, Any]:
    """Read a JSON object that a run or a sweep has written.

    Raises:
        SettingError: there is no such file, or it is not a JSON object.
    """
    try:
        content = json.loads(read_regular(path, _LARGEST).decode())
    except FileNotFoundError:
        raise SettingError(f"{path}: no such file, but the run's tables are there; restore it from a copy") from None
    except OSError as error:
        raise SettingError(f"{path}: cannot be read ({error.strerror}); restore it from a copy") from None
    except (ValueError, RecursionError) as error:
        raise SettingError(f"{path}: cannot be read as JSON ({error}); restore it from a copy") from None
    if not isinstance(content, dict):
        raise SettingError(f"{path}: is not a JSON object; restore it from a copy")
    return content
