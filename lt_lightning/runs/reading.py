"""Find run directories and read each into one `Run`."""

import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from lt_lightning.errors import SettingError
from lt_lightning.runs.branch import Plan
from lt_lightning.runs.csv_files import read_sound_records
from lt_lightning.runs.description import Description
from lt_lightning.runs.metrics import Metric
from lt_lightning.runs.records import ConfusionRecord, EpochRecord, ExampleRecord, LayerRecord, Record
from lt_lightning.runs.rounds import find_changed_tables
from lt_lightning.storage.atomic import read_regular

_LARGEST = 2**26
"""Bytes of `run.json`, which has a few thousand."""

# The tables beside `results.csv`, in the order of the attributes of `Run`.
_BESIDE: Mapping[str, type[Any]] = MappingProxyType(
    {"layers": LayerRecord, "epochs": EpochRecord, "confusion": ConfusionRecord, "examples": ExampleRecord}
)

CHANGED = "changed since it was written: its checksum does not fit"
"""The fault of a file whose content is not the one that was sealed."""

_GIVE_RUN = "give a run directory, outputs/<experiment>/<date>_<time>"


@dataclass(frozen=True)
class Run:
    """The content of a run directory, also of a run that is still going.

    Attributes:
        folder: the run directory.
        description: `run.json`; any value of it may be missing.
        records: the rounds 0, 1, 2, …, or those of a branch, without a gap; at least one.
        layers: the parameters of those rounds.
        epochs: the epochs of those rounds; none if the run kept no `epochs.csv`.
        confusion: the confusions of those rounds; none if the run kept no `confusion.csv`.
        examples: the answers of those rounds to some texts; none if the run kept no `examples.csv`.
        damages: a line for each file that is damaged: the fault and the remedy. The rows before the damage are above.
        reference: the full network that another run has trained, if the run is compared with that.
        parts: the runs that were joined into this one, if it is no run directory; see `report.comparison.joining`.
    """

    folder: Path
    description: Description
    records: tuple[Record, ...]
    layers: tuple[LayerRecord, ...]
    epochs: tuple[EpochRecord, ...]
    confusion: tuple[ConfusionRecord, ...]
    examples: tuple[ExampleRecord, ...] = ()
    damages: tuple[str, ...] = ()
    reference: Record | None = None
    parts: tuple["Run", ...] = ()

    @property
    def metric(self) -> Metric:
        """The metric that judges the rounds."""
        return self.description.metric_for(self.compared)

    @property
    def full(self) -> Record:
        """The full network that tickets are compared with: round 0, of a branch its trunk's."""
        if self.reference is not None:
            return self.reference
        branch = self.description.branch
        return self.records[0] if branch is None else branch.full

    @property
    def has_own_full(self) -> bool:
        """Whether the full network is the run's own round 0."""
        return self.reference is None and self.description.branch is None

    @property
    def compared(self) -> tuple[Record, ...]:
        """The full network, and behind it the run's other rounds."""
        return self.records if self.has_own_full else (self.full, *self.records)

    def record(self, round: int) -> Record | None:
        """Return the record of a round; None if the run has no such round."""
        return next((record for record in self.records if record.round == round), None)


def is_run(folder: Path) -> bool:
    """Return whether a folder is a run directory, also a damaged one."""
    # os.path knows an answer for every path; pathlib raises for one that is too long.
    return os.path.exists(folder / "run.json") or os.path.exists(folder / "results.csv")  # noqa: PTH110


def natural(text: str) -> tuple[tuple[int, int, str], ...]:
    """Return a key that sorts numbers within names by their size.

    >>> sorted(["job 10", "job 9", "10", "9"], key=natural)
    ['9', '10', 'job 9', 'job 10']
    """
    parts = re.split(r"([0-9]+)", text)
    # Of two numbers without leading zeros, the one with more digits is larger.
    return tuple(
        (0, len(part.lstrip("0")), part.lstrip("0")) if i % 2 else (1, 0, part) for i, part in enumerate(parts) if part
    )


def find_runs(folder: Path) -> list[Path]:
    """Return the run directories in a folder, however deep, or the folder itself if it is one; in natural order.

    Links to folders are followed, to each folder once, so that a study can be gathered from links.
    """
    if is_run(folder):
        return [folder]
    return sorted(_below(folder), key=lambda run: [natural(part) for part in run.relative_to(folder).parts])


def _below(folder: Path) -> Iterator[Path]:
    seen = set()
    for inside, names, _ in os.walk(folder, followlinks=True):
        real = os.path.realpath(inside)
        if real in seen:
            names.clear()  # a link led here before; os.walk goes no deeper
            continue
        seen.add(real)
        if is_run(Path(inside)):
            names.clear()  # no run lies within a run
            yield Path(inside)
        names.sort()


def suggest_run(folder: Path) -> str:
    """Return what to do about a folder that is no run: name one of the runs in it, or where runs are."""
    inside = sorted(path.parent for path in folder.glob("*/run.json"))
    if not inside:
        return _GIVE_RUN
    return f"give {f'one of the {len(inside)} runs in it, e.g.' if inside[1:] else 'the one in it,'} {inside[0]}"


def read_run(folder: Path) -> Run:
    """Read a run directory as far as it is sound, also while the run is still going.

    Raises:
        SettingError: there is no such folder, it is no run, `run.json` is damaged, or no sound round is left.
    """
    if os.path.isfile(folder):  # noqa: PTH113
        raise SettingError(f"{folder}: is a file; {_GIVE_RUN}")
    if not os.path.isdir(folder):  # noqa: PTH112
        raise SettingError(f"{folder}: no such folder; {_GIVE_RUN}")
    if not is_run(folder):
        raise SettingError(f"{folder}: not a run directory, it has no run.json; {suggest_run(folder)}")
    described = read_description(folder / "run.json")
    changed = [] if described.is_as_written else [f"{folder / 'run.json'}: {CHANGED}; restore it from a copy"]
    records, damages = _read_rounds(folder / "results.csv", bool(described.finished), described.plan)
    there, tables = {record.round for record in records}, []
    for name, kind in _BESIDE.items():
        rows, damage = _read_beside(folder / f"{name}.csv", kind)
        # A run that is still going writes its tables one after the other: one of them may be a round ahead.
        tables.append(tuple(row for row in rows if row.round in there))
        damages += [damage] if damage else []
    if not damages:
        damages += find_changed_tables(folder)
    return Run(folder, described, tuple(records), *tables, damages=(*changed, *damages))


def _read_rounds(path: Path, finished: bool, plan: Plan) -> tuple[list[Record], list[str]]:
    """Return the sound rounds, at least one, and a line about those after them if they are damaged."""
    if not path.exists() and finished:
        raise SettingError(f"{path}: no such file, but the run has finished; restore it from a copy")
    if not path.exists():
        raise SettingError(f"{path.parent}: no rounds yet; wait until results.csv has its first row")
    records, damage = read_sound_records(path, Record)
    for place, record in enumerate(records):
        expected = plan.number(place)
        if record.round != expected:
            records = records[:place]
            belongs = "no round" if expected is None else f"round {expected}"
            damage = (
                f"{path}: line {place + 2}: round {record.round} where {belongs} belongs; "
                "put the rows in order, or delete that line and all lines after it"
            )
            break
    if not records:
        raise SettingError(damage or f"{path}: no rounds yet; wait until it has its first row")
    return records, [damage] if damage else []


def _read_beside(path: Path, kind: type[Any]) -> tuple[list[Any], str | None]:
    """Return the sound rows of a table beside `results.csv`, and its damage."""
    if not path.exists():
        is_kept = kind is LayerRecord  # the others may be missing
        return [], f"{path}: no such file, but results.csv is there; restore it from a copy" if is_kept else None
    try:
        rows, damage = read_sound_records(path, kind)
    except SettingError as error:
        return [], str(error)
    if damage is None or kind in (EpochRecord, ExampleRecord):
        return rows, damage
    # Sums over a round that lacks some of its rows would be wrong, and look right.
    first, last = (end((row.round for row in rows), default=0) for end in (min, max))
    sizes = [sum(getattr(row, "count", 1) for row in rows if row.round == round_) for round_ in (first, last)]
    return rows if last > first and sizes[0] == sizes[1] else [row for row in rows if row.round != last], damage


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
