"""What separates the columns of a .csv file: the setting `data.delimiter`, or what the file itself shows."""

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
"""What is looked for, in this order, and the words for it."""

LONGEST_FIELD = 2**31 - 1
"""Of a .csv, in characters: a text may be a book. Python's own limit is 131,072."""

_SAMPLE = 50
"""How many rows are looked at."""


@dataclass(frozen=True)
class CsvForm:
    """How .csv files are to be read.

    Attributes:
        delimiter: the character between columns; None to detect it.
        columns: the columns that the file should have. The delimiter that finds them all is the right one.
    """

    delimiter: str | None = None
    columns: tuple[str, ...] = ()

    @classmethod
    def of(cls, config: TextConfig) -> CsvForm:
        """Return what the `data` group says."""
        columns = (config.text_column, config.label_column)
        delimiter = None if config.delimiter is None else parse_delimiter(config.delimiter)
        return cls(delimiter, tuple(column for column in columns if column is not None))

    def find(self, path: Path) -> str:
        """Return the delimiter of a file: the one that is set, declared by the file, or detected in it."""
        if self.delimiter is not None:
            return self.delimiter
        with open_csv(path) as (_, declared):
            pass
        return declared or detect(path, self.columns)


DETECTED = CsvForm()
"""Nothing is known of a file: its delimiter is detected."""


def detect(path: Path, columns: Sequence[str]) -> str:
    """Return the delimiter that finds all of `columns`; otherwise the one that cuts the first rows most evenly.

    A file that cannot be read as text has a comma here: reading it raises the error.
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
    """Open a .csv behind its byte order mark and the line `sep=;` that spreadsheets write; fields may be long.

    Returns:
        The file, and the delimiter that it declares, if any.
    """
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
