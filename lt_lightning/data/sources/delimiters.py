"""Detect the column delimiter of a .csv file, unless `data.delimiter` sets it."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from lt_lightning.config.typed_paths import parse_delimiter

if TYPE_CHECKING:
    from lt_lightning.config.sources import TextConfig

DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "vertical bars"}
"""The delimiters to detect, in this order, and their names."""

LONGEST_FIELD = 2**31 - 1
"""The longest field of a .csv, in characters; Python's default is 131,072."""

_SAMPLE = 50
"""The number of rows to examine."""


@dataclass(frozen=True)
class CsvForm:
    """How to read .csv files.

    Attributes:
        delimiter: the column delimiter; None to detect it.
        columns: the expected columns; the delimiter that finds them all is the right one.
    """

    delimiter: str | None = None
    columns: tuple[str, ...] = ()

    @classmethod
    def of(cls, config: TextConfig) -> CsvForm:
        """Return the form that the `data` group sets."""
        columns = (config.text_column, config.label_column)
        delimiter = None if config.delimiter is None else parse_delimiter(config.delimiter)
        return cls(delimiter, tuple(column for column in columns if column is not None))

    def find(self, path: Path) -> str:
        """Return a file's delimiter: set, declared by the file, or detected."""
        if self.delimiter is not None:
            return self.delimiter
        with open_csv(path) as (_, declared):
            pass
        return declared or detect(path, self.columns)


DETECTED = CsvForm()
"""Detect the delimiter, without expected columns."""


def detect(path: Path, columns: Sequence[str]) -> str:
    """Return the delimiter that finds all of `columns`, else the one that splits the first rows most evenly.

    A file that is not text gets a comma; reading it raises the error.
    """
    best, score = ",", (-1.0, 0)
    for delimiter in DELIMITERS:
        rows = _first_rows(path, delimiter, 1)
        header = rows[0] if rows else []
        if columns and set(columns) <= set(header):
            return delimiter
        if len(header) > 1:
            rows = _first_rows(path, delimiter, _SAMPLE)
            even = sum(len(row) == len(header) for row in rows) / len(rows)
            if (even, len(header)) > score:
                best, score = delimiter, (even, len(header))
    return best


def _first_rows(path: Path, delimiter: str, most: int) -> list[list[str]]:
    rows: list[list[str]] = []
    try:
        with open_csv(path) as (file, _):
            lines = csv.reader(file, delimiter=delimiter, strict=True)
            rows.extend(islice(filter(None, lines), most))
    except (csv.Error, ValueError):  # ValueError: no UTF-8
        pass
    return rows


@contextmanager
def open_csv(path: Path) -> Iterator[tuple[TextIO, str | None]]:
    """Open a .csv after its byte order mark and a `sep=;` line; yield the file and the declared delimiter, if any."""
    before = csv.field_size_limit(LONGEST_FIELD)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            first = file.readline(16).strip().strip('"')
            declared = first[4] if len(first) == 5 and first.lower().startswith("sep=") else None
            if declared is None:
                file.seek(0)
            yield file, declared
    finally:
        csv.field_size_limit(before)
