"""A corpus from files of one's own. They are read as they stand: no type is guessed, nothing is written beside them."""

from __future__ import annotations

import csv
import json
import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.parquet as pq

from lt_lightning.data.labels import as_text, is_text
from lt_lightning.errors import SettingError

LONGEST_FIELD = 2**31 - 1
"""Of a .csv, in characters: a text may be a book. Python's own limit is 131,072."""


def read_folder(folder: Path) -> Mapping[str, datasets.Dataset]:
    """Read `train` and `test` from a folder.

    Args:
        folder: holds `train` and `test` as .parquet, .csv or .jsonl files, or is what `save_to_disk` wrote.

    Raises:
        SettingError: if it does not, or a file cannot be read.
    """
    if not folder.is_dir():
        what = "is a file, not a folder" if folder.exists() else "does not exist"
        raise SettingError(f"data.path: {folder} {what}; give a folder with train and test files")
    if (folder / "dataset_dict.json").exists():
        try:
            saved = datasets.DatasetDict.load_from_disk(str(folder))
        except Exception as error:  # whatever a damaged folder makes the library raise
            raise SettingError(
                f"data.path: {folder} cannot be read as a save_to_disk folder ({_say(error)}); save it anew"
            ) from error
        return {str(name): split for name, split in saved.items()}
    if (folder / "state.json").exists() and (folder / "dataset_info.json").exists():
        raise SettingError(
            f"data.path: {folder} is one data set, saved without splits; save a DatasetDict with train and test"
        )
    return {split: read_file(_find(folder, split), "data.path") for split in ("train", "test")}


def read_parquet(paths: Sequence[Path]) -> datasets.Dataset:
    """Read parquet files of the same columns as one.

    Not by `datasets.load_dataset`: it reports each use to the Hub, whether there is a network or not.
    """
    tables = []
    for path in paths:
        with pq.ParquetFile(path) as file:
            _check_names(file.schema_arrow.names)
            tables.append(file.read())
    return _dataset(pa.concat_tables(tables, promote_options="default"))


def _find(folder: Path, split: str) -> Path:
    found = [folder / f"{split}{ending}" for ending in READERS if (folder / f"{split}{ending}").is_file()]
    odd = [folder / f"{split}{ending}" for ending in READERS if os.path.lexists(folder / f"{split}{ending}")]
    if not found and odd:
        raise SettingError(f"data.path: {odd[0]} is {_what(odd[0])}; put a file there")
    if not found:
        names = sorted(path.name for path in folder.iterdir())
        there = ", ".join(names[:8]) + (", …" if len(names) > 8 else "") or "nothing"
        raise SettingError(
            f"data.path: {folder} has no {split} file; expected {split}.parquet, .csv or .jsonl, there is {there}"
        )
    if len(found) > 1:
        raise SettingError(f"data.path: {folder} has {' and '.join(path.name for path in found)}; keep one of them")
    return found[0]


def _what(path: Path) -> str:
    """What is there in place of a file."""
    if path.is_symlink():
        return "a link that leads to no file"
    return "a folder" if path.is_dir() else "a pipe or a device"


def read_file(path: Path, setting: str) -> datasets.Dataset:
    """Read a file by the ending of its name, one of `READERS`.

    Args:
        path: a file that is there.
        setting: what it was named by, for the error.

    Raises:
        SettingError: if it cannot be read.
    """
    try:
        if not path.stat().st_size:
            raise SettingError(f"{setting}: {path} is empty; fill it, or give another")
        return READERS[path.suffix](path)
    except SettingError:
        raise
    except UnicodeDecodeError as error:
        raise SettingError(
            f"{setting}: {path} is not UTF-8 text (it has a byte {error.object[error.start]:#x}); save it as UTF-8"
        ) from error
    except (OSError, ValueError, NotImplementedError, pa.ArrowException) as error:
        remedy = "" if ";" in _say(error) else "; mend it"
        raise SettingError(f"{setting}: {path} cannot be read as {path.suffix}: {_say(error)}{remedy}") from error


def _read_csv(path: Path) -> datasets.Dataset:
    """All columns as text: whether `1` is a number, and `None` a missing value, is not for a reader to say."""
    before = csv.field_size_limit(LONGEST_FIELD)
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            lines = csv.reader(_without_nul(file), strict=True)
            try:
                header, *rows = [row for row in lines if row] or [[]]
            except csv.Error as error:
                raise ValueError(f"line {lines.line_num}: {error}") from error
    finally:
        csv.field_size_limit(before)
    for number, row in enumerate(rows, start=1):
        if len(row) != len(header):
            raise ValueError(f"row {number} has {len(row)} fields, the first line names {len(header)}")
    _check_names([name for name in header if name])
    columns = {name: pa.array([row[place] for row in rows], pa.large_string()) for place, name in enumerate(header)}
    return _dataset(pa.table(columns))


def _read_jsonl(path: Path) -> datasets.Dataset:
    rows = []
    with path.open(encoding="utf-8-sig") as file:
        for number, line in enumerate(_without_nul(file), start=1):
            if line.strip():
                rows.append(_parse(line, number))
    names = dict.fromkeys(name for row in rows for name in row)
    return _dataset(pa.table({name: _column([row.get(name) for row in rows]) for name in names}))


def _parse(line: str, number: int) -> dict[str, Any]:
    """A row of a .jsonl.

    Raises:
        ValueError: it is none; the message has the line's number.
    """
    try:
        row = json.loads(line)
        if "\\u" in line:
            json.dumps(row, ensure_ascii=False).encode()
    except json.JSONDecodeError as error:
        raise ValueError(f"line {number}, character {error.pos + 1}: {error.msg}") from error
    except UnicodeEncodeError as error:
        half = error.object[error.start]
        raise ValueError(f"line {number} has {half!r}, which is half a character and no text") from error
    except RecursionError as error:
        raise ValueError(f"line {number}: too many brackets within each other") from error
    except ValueError as error:  # Python reads no longer ones
        raise ValueError(f"line {number} has a number of thousands of digits") from error
    if not isinstance(row, dict):
        raise ValueError(f"line {number} is not an object in braces")
    return row


def _without_nul(lines: Iterable[str]) -> Iterator[str]:
    """The lines, as long as they are text: zeros between the letters are what UTF-16 looks like to UTF-8.

    Raises:
        ValueError: a line has a zero.
    """
    for number, line in enumerate(lines, start=1):
        if "\0" in line:
            raise ValueError(f"line {number} has a NUL character, as in UTF-16; save it as UTF-8")
        yield line


def _check_names(names: Sequence[str]) -> None:
    if twice := [name for place, name in enumerate(names) if name in names[:place]]:
        raise ValueError(f"two columns are called {twice[0]!r}; name each once")


def _column(values: list[Any]) -> pa.Array:
    """Return values of one type as they are, and values of several types as text. NaN is a missing value."""
    try:
        return pa.array(values)
    except (pa.ArrowException, OverflowError):
        return pa.array([_as_string(value) for value in values])


def _as_string(value: Any) -> str | None:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    return value if isinstance(value, str) else json.dumps(value)


def _dataset(table: pa.Table) -> datasets.Dataset:
    """Return the table with categories and views written out, as `datasets` does not know them."""
    for place, field in enumerate(table.schema):
        if is_text(field.type) and not pa.types.is_string(field.type):
            table = table.set_column(place, field.name, as_text(table[place]))
        elif pa.types.is_dictionary(field.type):
            table = table.set_column(place, field.name, table[place].cast(field.type.value_type))
    return datasets.Dataset(table)


def _say(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")


READERS: dict[str, Callable[[Path], datasets.Dataset]] = {
    ".parquet": lambda path: read_parquet([path]),
    ".csv": _read_csv,
    ".jsonl": _read_jsonl,
}
"""What reads a file, by the ending of its name."""
