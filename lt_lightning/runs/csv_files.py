"""Write a run's tables as CSV, and read them. Imports the standard library alone."""

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import fields
from operator import index
from pathlib import Path
from types import MappingProxyType
from typing import Any, get_type_hints

from lt_lightning.errors import SettingError
from lt_lightning.runs.records import (
    LOGGED,
    Row,
    columns,
    extra_columns,
    format_shape,
    optional_columns,
    parse_shape,
    parse_whole,
)
from lt_lightning.storage.atomic import read_regular, write_whole

_LARGEST = 2**28
"""Bytes of a table; one of 3,000 rounds and 60 parameters has 2**23."""


_Cell = tuple[Callable[[Any], str], Callable[[str], Any]]


def _optional(cell: _Cell) -> _Cell:
    write, read = cell
    return lambda value: "" if value is None else write(value), lambda text: read(text) if text else None


# How a column of each type is written and read. float() and index() turn NumPy and torch scalars into Python numbers;
# repr() is the shortest decimal that reads back as the same float.
_WHOLE: _Cell = (lambda value: str(index(value)), parse_whole)


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
        cells += [write_extra(getattr(record, LOGGED).get(name)) for name in extra]
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
        readers = {name: _CELLS[hint][1] for name, hint in get_type_hints(kind).items() if name != LOGGED}
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
    if logged and LOGGED in [one.name for one in fields(kind)]:
        values[LOGGED] = logged
    return kind(**values)
