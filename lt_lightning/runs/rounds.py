"""The finished rounds of a run, a sealed file each, from which tables are written and a run is resumed.

A round is over once `state/round_NN.json` is there, which appears as a whole after the round's ticket. Tables are
copies of these files: a table that is damaged, or was not yet written when the run was killed, is written again.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path
from types import MappingProxyType
from typing import Any

from lt_lightning.errors import SettingError
from lt_lightning.runs.bases import REWIND, BaseFile
from lt_lightning.runs.branch import read_plan
from lt_lightning.runs.csv_files import render_records, write_records
from lt_lightning.runs.masks import Masks
from lt_lightning.runs.records import ConfusionRecord, EpochRecord, ExampleRecord, LayerRecord, MaskRecord, Record
from lt_lightning.runs.seals import check_seal, check_ticket
from lt_lightning.storage.atomic import read_regular, write_whole
from lt_lightning.storage.lock import STATE
from lt_lightning.storage.sealed_json import seal_json

_FORMAT, _VERSION = "lt-lightning round", "1"
_LARGEST = 2**28
"""Bytes of a table or a round's record."""

_TABLES: Mapping[str, type[Any]] = MappingProxyType(
    {
        "results": Record, "layers": LayerRecord, "epochs": EpochRecord, "masks": MaskRecord,
        "confusion": ConfusionRecord, "examples": ExampleRecord,
    }
)  # fmt: skip


@dataclass(frozen=True)
class PlayedRound:
    """The rows that a round adds to each table, and the seals of its files.

    Attributes:
        results: its one row of `results.csv`.
        layers: its rows of `layers.csv`; and so on.
        ticket: the seal of its ticket.
        rewind: the seal of the weights that later rounds rewind to, if any.
        settings: `config` and the corpus's `fingerprint`, as in `run.json`; None in older records.
        masks: its rows of `masks.csv`, which older records lack.
        memory: the seal of what the criterion needs to know of the weights so far, if it asks for any.
    """

    results: tuple[Record]
    layers: tuple[LayerRecord, ...]
    epochs: tuple[EpochRecord, ...]
    confusion: tuple[ConfusionRecord, ...]
    examples: tuple[ExampleRecord, ...]
    ticket: str
    rewind: str | None
    settings: Mapping[str, Any] | None = None
    masks: tuple[MaskRecord, ...] = ()
    memory: str | None = None

    @property
    def record(self) -> Record:
        """Its row of `results.csv`."""
        return self.results[0]


@dataclass(frozen=True)
class Standing:
    """The state of a run directory.

    Attributes:
        rounds: the rounds that are over and sound, from the first of the run's plan on without a gap.
        damages: a line for each damaged file with its fault.
        stale: the tables that differ from the rounds, such as `results.csv`.
    """

    rounds: tuple[PlayedRound, ...]
    damages: tuple[str, ...]
    stale: tuple[str, ...]


def ticket_path(run: Path, number: int) -> Path:
    """Return the path of a round's ticket."""
    return run / "tickets" / f"round_{number:02}.safetensors"


def rewind_path(run: Path) -> Path:
    """Return the path of the weights that rounds rewind to."""
    return run / REWIND


def memory_path(run: Path, number: int) -> Path:
    """Return the path of what a criterion needs to know after a round, besides its ticket."""
    return run / STATE / f"memory_{number:02}.safetensors"


def write_round(run: Path, played: PlayedRound) -> None:
    """Record that a round is over; its ticket must be there. Raise OSError if the file cannot be written."""
    write_whole(_path(run, played.record.round), seal_json({"format": _FORMAT, "version": _VERSION, **asdict(played)}))


def write_tables(run: Path, rounds: Sequence[PlayedRound]) -> None:
    """Write the tables of these rounds, each whole or not at all; `results.csv`, whose rows are counted, last.

    Raises:
        OSError: if a file cannot be written.
    """
    for name in reversed(tuple(_TABLES)):
        path = run / f"{name}.csv"
        if rows := _rows(rounds, name):
            write_records(path, rows)
        else:
            path.unlink(missing_ok=True)


def find_standing(run: Path) -> Standing:
    """Check every file of every round of a run against its seal.

    Tickets before the newest may be missing: they were not kept, and resuming needs none of them.

    Raises:
        SettingError: if the record of a branch's trunk is damaged.
    """
    rounds: list[PlayedRound] = []
    damages: list[str] = []
    masks: Masks | None = None
    plan = read_plan(run)
    sound: set[BaseFile] = set()
    try:
        for played in _recorded(run):
            ticket, files = ticket_path(run, played.record.round), []
            if ticket.exists():
                found = check_ticket(ticket, played.ticket, masks if plan.is_nested else None)
                masks, files = found.masks, [] if found.base is None else [found.base]
            if played.rewind is not None:
                files.append(BaseFile(rewind_path(run), played.rewind))
            for file in sorted({*files} - sound):
                check_seal(*file)
                sound.add(file)
            if played.memory is not None:
                check_seal(memory_path(run, played.record.round), played.memory)
            rounds.append(played)
    except SettingError as error:
        damages.append(str(error))
    if rounds and not (newest := ticket_path(run, rounds[-1].record.round)).exists():
        damages.append(f"{newest}: no such file, and it is the newest ticket")
    while rounds and not ticket_path(run, rounds[-1].record.round).exists():
        rounds.pop()  # back to a round from whose ticket the run can be resumed
    stale, changed = _compare_tables(run, rounds)
    if not damages:
        damages += [f"{line}; it is written anew" for line in changed]
    return Standing(tuple(rounds), tuple(damages), tuple(stale))


def find_changed_tables(run: Path) -> list[str]:
    """Return a line for each table that differs from the rounds on record; none without a record.

    Reads no ticket, which makes it quick, also for a run that is still going.
    """
    try:
        rounds = list(_recorded(run))
    except SettingError as error:
        return [str(error)]
    _, changed = _compare_tables(run, rounds)
    return [f"{line}; python -m lt_lightning.train resume={run} writes it anew" for line in changed if rounds]


def has_records(run: Path) -> bool:
    """Return whether a round is on record, sound or not."""
    return bool(recorded_numbers(run))


def read_record(run: Path, number: int) -> PlayedRound:
    """Read the record of a round of a run; raise SettingError if it is missing or damaged."""
    return read_round(_path(run, number), number)


def set_aside_rounds(run: Path, first: int) -> None:
    """Move the records of the rounds from `first` on, which will be trained again, to `state/before_TIME`.

    The tables with their rows are copied there, too.
    """
    later = [number for number in recorded_numbers(run) if number >= first]
    if not later:
        return
    folder = run / STATE / f"before_{datetime.now(timezone.utc):%Y-%m-%d_%H-%M-%S-%f}"
    folder.mkdir()
    for name, content in _tables(run).items():
        if content is not None:
            write_whole(folder / f"{name}.csv", content)
    for number in later:
        _path(run, number).replace(folder / _path(run, number).name)


def _recorded(run: Path) -> Iterator[PlayedRound]:
    """Yield the rounds on record; raise SettingError at the first that is missing or damaged."""
    for number in read_plan(run).until(max(recorded_numbers(run), default=-1)):
        yield read_round(_path(run, number), number)


def recorded_numbers(run: Path) -> list[int]:
    """Return the rounds that are on record, sound or not, in their order."""
    names = [path.stem.removeprefix("round_") for path in (run / STATE).glob("round_*.json")]
    return sorted(int(name) for name in names if re.fullmatch("[0-9]{2,6}", name))


def _path(run: Path, number: int) -> Path:
    return run / STATE / f"round_{number:02}.json"


def _tables(run: Path) -> dict[str, bytes | None]:
    """Return the bytes of each table: None if it is missing, empty if it cannot be read, so that it is damaged."""
    tables: dict[str, bytes | None] = {}
    for name in _TABLES:
        path = run / f"{name}.csv"
        try:
            tables[name] = read_regular(path, _LARGEST) if path.is_file() else None
        except OSError:
            tables[name] = b""
    return tables


def _compare_tables(run: Path, rounds: Sequence[PlayedRound]) -> tuple[list[str], list[str]]:
    """Return the tables that differ from the rounds, and a line with the fault of each that is damaged."""
    there, content, before = _tables(run), _render(rounds), _render(rounds[:-1])
    stale = [name for name in _TABLES if there[name] != content[name]]
    # A run that was killed between its record of a round and a table has lost nothing.
    changed = [name for name in stale if there[name] != before[name]]
    fault = {name: "no such file" if there[name] is None else "changed since it was written" for name in changed}
    return [f"{name}.csv" for name in stale], [f"{run / f'{name}.csv'}: {fault[name]}" for name in changed]


def _render(rounds: Sequence[PlayedRound]) -> dict[str, bytes | None]:
    """Return the tables as they should be; None for one that should not be there."""
    return {name: render_records(rows) if (rows := _rows(rounds, name)) else None for name in _TABLES}


def _rows(rounds: Sequence[PlayedRound], name: str) -> list[Any]:
    return [row for played in rounds for row in getattr(played, name)]


def read_round(path: Path, number: int) -> PlayedRound:
    """Read the record of round `number` from a file that `write_round` wrote.

    Raises:
        SettingError: if it is not there, or damaged.
    """
    if not path.is_file():
        raise SettingError(f"{path}: no such file, but later rounds are there")
    try:
        text = read_regular(path, _LARGEST)
        content = json.loads(text)
        del content["sha256"]
        if seal_json(content) != text or (content["format"], content["version"]) != (_FORMAT, _VERSION):
            raise ValueError
        given = {"masks": (), **content}
        if not all(isinstance(given[name], (list, tuple)) for name in _TABLES):
            raise ValueError
        rows = {name: tuple(map(_maker(kind), given[name])) for name, kind in _TABLES.items()}
        settings = content.get("settings")
        if not isinstance(settings, (dict, type(None))):
            raise ValueError
        seals = {key: content.get(key) if key == "memory" else content[key] for key in ("ticket", "rewind", "memory")}
        played = PlayedRound(**rows, **seals, settings=settings)
        if played.record.round != number:
            raise ValueError
        _render([played])
    except OSError as error:
        raise SettingError(f"{path}: cannot be read ({error.strerror})") from None
    except (ValueError, TypeError, KeyError, AttributeError, IndexError, OverflowError, RecursionError):
        raise SettingError(f"{path}: cut off or changed since it was written: its checksum does not fit") from None
    return played


def _maker(kind: type[Any]) -> Callable[[Mapping[str, Any]], Any]:
    """Return a function that makes a row of a table from its JSON, in which a shape is a list."""
    return lambda values: kind(
        **{name: tuple(value) if isinstance(value, list) else value for name, value in values.items()}
    )
