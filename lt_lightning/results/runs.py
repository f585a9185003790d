"""A run directory, read: its rows, and `run.json` as it is."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lt_lightning.errors import SettingError
from lt_lightning.results.records import ConfusionRecord, EpochRecord, LayerRecord, Record, read_records


@dataclass(frozen=True)
class Run:
    """What a run has left behind so far.

    Attributes:
        folder: the run directory.
        description: `run.json`; any key of it may be missing.
        records: the rounds 0, 1, 2, … without a gap; at least one.
        layers: the parameters of those rounds.
        epochs: the epochs of those rounds; none where the run kept no `epochs.csv`.
        confusion: what the tests of those rounds took for what; none where the run kept no `confusion.csv`.
    """

    folder: Path
    description: Mapping[str, Any]
    records: tuple[Record, ...]
    layers: tuple[LayerRecord, ...]
    epochs: tuple[EpochRecord, ...]
    confusion: tuple[ConfusionRecord, ...]


def read_run(folder: Path) -> Run:
    """Read a run directory, also while the run is still going.

    Raises:
        SettingError: there is no such folder, it is no run, it has no rounds yet, or a file of it is damaged.
    """
    if not folder.is_dir():
        raise SettingError(f"{folder}: no such folder; give a run directory, outputs/<experiment>/<date>_<time>")
    description, results = folder / "run.json", folder / "results.csv"
    if not description.exists() and not results.exists():
        raise SettingError(f"{folder}: not a run directory, it has no run.json; {_instead(folder)}")
    described = read_description(description)
    if not results.exists():
        raise SettingError(f"{folder}: no rounds yet; wait until results.csv has its first row")
    records = read_records(results, Record)
    if not records:
        raise SettingError(f"{results}: no rounds yet; wait until it has its first row")
    for expected, record in enumerate(records):
        if record.round != expected:
            raise SettingError(
                f"{results}: line {expected + 2}: round {record.round} where round {expected} belongs; "
                "put the rows in order, or delete that line and all lines after it"
            )
    layers = read_records(folder / "layers.csv", LayerRecord)
    curves = folder / "epochs.csv"
    epochs = read_records(curves, EpochRecord) if curves.exists() else []
    mistakes = folder / "confusion.csv"
    confusion = read_records(mistakes, ConfusionRecord) if mistakes.exists() else []
    # A run that is still going writes its tables one after the other: one of them may be a round ahead.
    last = len(records) - 1
    return Run(
        folder,
        described,
        tuple(records),
        tuple(layer for layer in layers if layer.round <= last),
        tuple(epoch for epoch in epochs if epoch.round <= last),
        tuple(row for row in confusion if row.round <= last),
    )


def _instead(folder: Path) -> str:
    inside = sorted(path.parent for path in folder.glob("*/run.json"))
    if not inside:
        return "give a run directory, outputs/<experiment>/<date>_<time>"
    return f"give one of the {len(inside)} runs in it, e.g. {inside[0]}"


def read_description(path: Path) -> Mapping[str, Any]:
    """Read `run.json`.

    Raises:
        SettingError: there is no such file, or it is not a JSON object.
    """
    try:
        description = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SettingError(f"{path}: no such file, but the run's tables are there; restore it from a copy") from None
    except (OSError, ValueError, RecursionError) as error:
        raise SettingError(f"{path}: cannot be read as JSON ({error}); restore it from a copy") from None
    if not isinstance(description, dict):
        raise SettingError(f"{path}: is not a JSON object; restore it from a copy")
    return description
