"""The rows of a run's tables, which are written and read as CSV. Imports the standard library alone."""

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import MISSING, dataclass, field, fields
from operator import index
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar, get_type_hints

from lt_lightning.errors import SettingError
from lt_lightning.storage.atomic import read_regular, write_whole

_LOGGED = "logged"
"""The field of a record for values that have no field of their own."""

_LARGEST = 2**28
"""Bytes of a table; one of 3,000 rounds and 60 parameters has 2**23."""


def _density(alive: int, total: int) -> float:
    return alive / total if total else 1.0  # a parameter may have no entries


def _check_counts(round_: int, alive: int, total: int) -> None:
    if round_ < 0:
        raise ValueError(f"round must not be negative, not {round_}")
    if not 0 <= alive <= total:
        raise ValueError(f"alive must be within 0 … total, not {alive} of {total}")


@dataclass(frozen=True)
class Record:
    """A row of `results.csv`: one round. Accuracies and sparsity are fractions, not per cents.

    If the network answers letter by letter, `test_acc` is the share of right letters, and `test_exact` that of test
    rows that are right in every letter. `test_perplexity` is a language model's, per letter. If the test columns are of
    some rows of the test part alone, `tested_rows` is their number. `valid_f1` and `test_f1` are macro F1, which runs
    of 0.4 lack. `logged` has further values that a LightningModule logged, by name; each is a column of its own.
    """

    round: int
    sparsity: float
    alive: int
    total: int
    epochs: int
    train_loss: float
    valid_loss: float
    valid_acc: float
    test_loss: float
    test_acc: float
    seconds: float
    test_perplexity: float | None = None
    test_exact: float | None = None
    tested_rows: int | None = None
    valid_f1: float | None = None
    test_f1: float | None = None
    logged: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _check_counts(self.round, self.alive, self.total)

    @property
    def density(self) -> float:
        """The share of prunable entries that are alive, in [0, 1]."""
        return _density(self.alive, self.total)


@dataclass(frozen=True)
class LayerRecord:
    """A row of `layers.csv`: one parameter in one round."""

    round: int
    parameter: str
    alive: int
    total: int
    shape: tuple[int, ...]

    def __post_init__(self) -> None:
        _check_counts(self.round, self.alive, self.total)

    @property
    def density(self) -> float:
        """The share of the parameter's entries that are alive, in [0, 1]."""
        return _density(self.alive, self.total)


@dataclass(frozen=True)
class EpochRecord:
    """A row of `epochs.csv`: one epoch of one round. `epoch` counts from 1 in every round; `logged` as in `Record`."""

    round: int
    epoch: int
    train_loss: float
    valid_loss: float
    valid_acc: float
    valid_f1: float | None = None
    logged: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.round < 0 or self.epoch < 1:
            raise ValueError(f"rounds count from 0 and epochs from 1, not {self.round} and {self.epoch}")


@dataclass(frozen=True)
class ConfusionRecord:
    """A row of `confusion.csv`: the number of test rows of class `label` (from 0) taken for class `predicted`."""

    round: int
    label: int
    predicted: int
    count: int

    def __post_init__(self) -> None:
        if min(self.round, self.label, self.predicted, self.count) < 0:
            raise ValueError("round, label, predicted and count must not be negative")


@dataclass(frozen=True)
class ExampleRecord:
    """A row of `examples.csv`: the answer of a round's ticket to a text, and the right answer if there is one."""

    round: int
    given: str
    expected: str
    answer: str

    def __post_init__(self) -> None:
        if self.round < 0:
            raise ValueError(f"round must not be negative, not {self.round}")


Row = TypeVar("Row", Record, LayerRecord, EpochRecord, ConfusionRecord, ExampleRecord)


def columns(kind: type[Row]) -> tuple[str, ...]:
    """Return the columns that every table with rows of `kind` has, in order.

    >>> columns(EpochRecord)
    ('round', 'epoch', 'train_loss', 'valid_loss', 'valid_acc')
    """
    return tuple(one.name for one in fields(kind) if one.default is MISSING and one.name != _LOGGED)


def optional_columns(kind: type[Row]) -> tuple[str, ...]:
    """Return the columns that follow if a row of the table has a value for them.

    >>> optional_columns(Record), optional_columns(EpochRecord)
    (('test_perplexity', 'test_exact', 'tested_rows', 'valid_f1', 'test_f1'), ('valid_f1',))
    """
    return tuple(one.name for one in fields(kind) if one.default is not MISSING)


def extra_columns(records: Sequence[Row]) -> tuple[str, ...]:
    """Return the names of the logged values of some records, the last columns of their table."""
    return tuple(dict.fromkeys(name for record in records for name in getattr(record, _LOGGED, ())))


def measured_columns(kind: type[Row]) -> tuple[str, ...]:
    """Return the columns that a LightningModule can fill by logging values of their names."""
    return tuple(one.name for one in fields(kind) if one.name.startswith(("train_", "valid_", "test_")))


def format_shape(shape: tuple[int, ...]) -> str:
    """Return a shape as in `layers.csv`; that of a scalar is the word `scalar`.

    >>> format_shape((100, 100, 3)), format_shape((4,)), format_shape(())
    ('100x100x3', '4', 'scalar')
    """
    return "x".join(map(str, shape)) or "scalar"


def parse_shape(text: str) -> tuple[int, ...]:
    """Read what `format_shape` wrote; raise ValueError for any other text."""
    return () if text == "scalar" else tuple(_parse_whole(size) for size in text.split("x"))


def _parse_whole(text: str) -> int:
    """Read a whole number of at most 64 bits; nothing larger can be drawn."""
    if not -(2**63) <= (value := int(text)) < 2**63:
        raise ValueError("a number too large")
    return value


_Cell = tuple[Callable[[Any], str], Callable[[str], Any]]


def _optional(cell: _Cell) -> _Cell:
    write, read = cell
    return lambda value: "" if value is None else write(value), lambda text: read(text) if text else None


# How a column of each type is written and read. float() and index() turn NumPy and torch scalars into Python numbers;
# repr() is the shortest decimal that reads back as the same float.
_WHOLE: _Cell = (lambda value: str(index(value)), _parse_whole)
_FLOAT: _Cell = (lambda value: repr(float(value)), float)
_CELLS: Mapping[Any, _Cell] = MappingProxyType(
    {
        int: _WHOLE, float: _FLOAT, int | None: _optional(_WHOLE), float | None: _optional(_FLOAT),
        str: (str, str), tuple[int, ...]: (format_shape, parse_shape),
    }
)  # fmt: skip


def render_records(records: Sequence[Row]) -> bytes:
    """Return a table as the bytes of its file; raise ValueError unless all records, at least one, are of one kind."""
    kinds = {type(record) for record in records}
    if len(kinds) != 1:
        raise ValueError(f"a table holds records of one kind, not of {len(kinds)}")
    hints = get_type_hints(kind := kinds.pop())
    held = [name for name in optional_columns(kind) if any(getattr(record, name) is not None for record in records)]
    writers = {name: _CELLS[hints[name]][0] for name in (*columns(kind), *held)}
    extra, write_extra = extra_columns(records), _optional(_FLOAT)[0]
    text = io.StringIO()
    rows, quoted = (csv.writer(text, lineterminator="\n", quoting=how) for how in (csv.QUOTE_MINIMAL, csv.QUOTE_ALL))
    rows.writerow([*writers, *extra])
    for record in records:
        cells = [write(getattr(record, name)) for name, write in writers.items()]
        cells += [write_extra(getattr(record, _LOGGED).get(name)) for name in extra]
        # csv takes a carriage return for a line end, but does not quote it.
        (quoted if any("\r" in cell for cell in cells) else rows).writerow(cells)
    # A lone surrogate is no reason to lose a round.
    return text.getvalue().encode(errors="surrogatepass")


def write_records(path: Path, records: Sequence[Row]) -> None:
    """Write a table, see `render_records`, whole or not at all; raise OSError if the file cannot be written."""
    write_whole(path, render_records(records))


def read_records(path: Path, kind: type[Row]) -> list[Row]:
    """Read a table that `write_records` wrote. Columns are found by name; further columns of numbers become `logged`.

    Raises:
        SettingError: there is no such file, it lacks a column, or a row of it is damaged.
    """
    records, damage = read_sound_records(path, kind)
    if damage is not None:
        raise SettingError(damage)
    return records


def read_sound_records(path: Path, kind: type[Row]) -> tuple[list[Row], str | None]:
    """Read a table, as `read_records` does, as far as it is sound.

    Returns:
        The rows before the first damaged one, and a line that names file, line, fault and remedy, or None.

    Raises:
        SettingError: there is no such file, it is no table, or it lacks a column.
    """
    try:
        text = read_regular(path, _LARGEST).decode(errors="surrogatepass")
    except FileNotFoundError:
        raise SettingError(f"{path}: no such file; give the directory of a run that has finished a round") from None
    except (OSError, UnicodeDecodeError) as error:
        fault = error.strerror if isinstance(error, OSError) else error
        raise SettingError(f"{path}: cannot be read as a table ({fault}); restore it from a copy") from None
    # newline="" leaves line ends to csv, which tells those within quotes from those between rows.
    rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    records: list[Row] = []
    try:
        header = next(rows, [])
        missing = [name for name in columns(kind) if name not in header]
        if missing:
            raise SettingError(f"{path}: line 1: no column {', '.join(missing)}; the first line must name the columns")
        readers = {name: _CELLS[hint][1] for name, hint in get_type_hints(kind).items() if name != _LOGGED}
        for row in rows:
            records.append(_parse(kind, readers, header, row))  # noqa: PERF401 (those before a damaged row are kept)
        # A number that was cut short is still a number; only the line end is missing.
        if not text.endswith("\n"):
            del records[-1:]
            raise ValueError("the line is cut off")
    except SettingError:
        raise
    except (ValueError, csv.Error) as error:
        return records, f"{path}: line {rows.line_num}: {error}; correct the line, or delete it and all lines after it"
    return records, None


def _parse(kind: type[Row], readers: dict[str, Callable[[str], Any]], header: list[str], row: list[str]) -> Row:
    if len(row) != len(header):
        raise ValueError(f"{len(row)} values for {len(header)} columns")
    values, logged = dict[str, Any](), dict[str, float]()
    for name, text in zip(header, row, strict=True):
        if name in readers:
            try:
                values[name] = readers[name](text)
            except ValueError:
                raise ValueError(f"{name} cannot be {text if len(text) <= 40 else f'{text[:37]}...'!r}") from None
        elif text:
            with suppress(ValueError):
                logged[name] = float(text)
    if logged and _LOGGED in [one.name for one in fields(kind)]:
        values[_LOGGED] = logged
    return kind(**values)
