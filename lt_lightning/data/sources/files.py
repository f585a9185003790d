"""Read a corpus from files, without guessing types and without writing anything."""

from __future__ import annotations

import csv
import json
import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import datasets
import pyarrow as pa
import pyarrow.parquet as pq

from lt_lightning.data.labels import as_text, is_text
from lt_lightning.data.sources.delimiters import DETECTED, CsvForm, open_csv
from lt_lightning.errors import SettingError, first_line


class ReadSplits(NamedTuple):
    """Splits read from files.

    Attributes:
        splits: `train`, and `test` if present.
        delimiters: the column delimiter of each split that is a .csv.
    """

    splits: Mapping[str, datasets.Dataset]
    delimiters: Mapping[str, str]


def read_path(path: Path, form: CsvForm = DETECTED) -> ReadSplits:
    """Read `train`, and `test` if present.

    Args:
        path: a folder with `train` and perhaps `test` as .parquet, .csv, .tsv or .jsonl files; a folder that
            `save_to_disk` wrote; or a single file, which is `train`.
        form: how to read a .csv.

    Raises:
        SettingError: the path does not exist, or a file cannot be read.
    """
    if path.is_dir():
        if (path / "dataset_dict.json").exists() or (path / "state.json").exists():
            return ReadSplits(_read_saved(path), {})
        files = _find_splits(path)
    elif path.is_file():
        if path.suffix.lower() not in READERS:
            raise SettingError(f"data.path: {path} ends in none of {_ENDINGS}; give such a file, or a folder of them")
        files = {"train": path}
    else:
        what = f"is {_what(path)}" if os.path.lexists(path) else "does not exist"
        raise SettingError(f"data.path: {path} {what}; give a file, or a folder with train and test files")
    splits = {split: read_file(file, "data.path", form) for split, file in files.items()}
    delimiters = {split: form.find(file) for split, file in files.items() if READERS[file.suffix.lower()] is _read_csv}
    if form.delimiter is not None and not delimiters:
        raise SettingError(f"data.delimiter: no .csv file is read from {path}; leave it out")
    return ReadSplits(splits, delimiters)


def _read_saved(folder: Path) -> dict[str, datasets.Dataset]:
    """Read a `save_to_disk` folder: a DatasetDict, or a single dataset, which is `train`."""
    try:
        if (folder / "dataset_dict.json").exists():
            saved = datasets.DatasetDict.load_from_disk(str(folder))
            return {str(name): split for name, split in saved.items()}
        return {"train": datasets.Dataset.load_from_disk(str(folder))}
    except Exception as error:  # damaged folders raise many types
        raise SettingError(
            f"data.path: {folder} cannot be read as a save_to_disk folder ({first_line(error)}); save it again"
        ) from error


def read_parquet(paths: Sequence[Path]) -> datasets.Dataset:
    """Read parquet files of the same columns as one dataset.

    `datasets.load_dataset` is not used: it reports each use to the Hub.
    """
    tables = []
    for path in paths:
        with pq.ParquetFile(path) as file:
            _check_names(file.schema_arrow.names)
            tables.append(file.read())
    return _dataset(pa.concat_tables(tables, promote_options="default"))


def _find_splits(folder: Path) -> dict[str, Path]:
    """Return the file of each split; raise if `train` is missing or a split has two files."""
    files = {split: file for split in ("train", "test") if (file := _find(folder, split)) is not None}
    if "train" not in files:
        names = sorted(path.name for path in folder.iterdir())
        there = ", ".join(names[:8]) + (", …" if len(names) > 8 else "") or "nothing"
        single = [name for name in names if (folder / name).suffix.lower() in READERS and (folder / name).is_file()]
        perhaps = f"; for a single file give data.path={folder / single[0]}" if len(single) == 1 else ""
        raise SettingError(
            f"data.path: {folder} has no train file; expected train.parquet, .csv, .tsv or .jsonl, there is "
            f"{there}{perhaps}"
        )
    return files


def _find(folder: Path, split: str) -> Path | None:
    found = [folder / f"{split}{ending}" for ending in READERS if (folder / f"{split}{ending}").is_file()]
    odd = [folder / f"{split}{ending}" for ending in READERS if os.path.lexists(folder / f"{split}{ending}")]
    if not found and odd:
        raise SettingError(f"data.path: {odd[0]} is {_what(odd[0])}; put a file there")
    if len(found) > 1:
        raise SettingError(f"data.path: {folder} has {' and '.join(path.name for path in found)}; keep one of them")
    return found[0] if found else None


def _what(path: Path) -> str:
    """Return a description of a path that is not a file."""
    if path.is_symlink():
        return "a link that leads to no file"
    return "a folder" if path.is_dir() else "a pipe or a device"


def read_file(path: Path, setting: str, form: CsvForm = DETECTED) -> datasets.Dataset:
    """Read a file by its ending, one of `READERS`; errors begin with `setting`.

    Raises:
        SettingError: it cannot be read.
    """
    try:
        if not path.stat().st_size:
            raise SettingError(f"{setting}: {path} is empty; fill it, or give another")
        return READERS[path.suffix.lower()](path, form)
    except SettingError:
        raise
    except UnicodeDecodeError as error:
        raise SettingError(
            f"{setting}: {path} is not UTF-8 text (it has a byte {error.object[error.start]:#x}); save it as UTF-8"
        ) from error
    except MemoryError as error:
        raise SettingError(f"{setting}: {path} does not fit into memory; give a smaller file") from error
    except (OSError, ValueError, NotImplementedError, pa.ArrowException) as error:
        remedy = "" if ";" in first_line(error) else "; fix it"
        raise SettingError(f"{setting}: {path} cannot be read as {path.suffix}: {first_line(error)}{remedy}") from error


def _read_csv(path: Path, form: CsvForm) -> datasets.Dataset:
    """Read all columns as text, so that no reader decides what `1` or `None` means."""
    delimiter = form.find(path)
    with open_csv(path) as (file, _):
        lines = csv.reader(_without_nul(file), delimiter=delimiter, strict=True)
        try:
            header, *rows = [row for row in lines if row] or [[]]
        except csv.Error as error:
            raise ValueError(f"line {lines.line_num}: {error}") from error
    for number, row in enumerate(rows, start=1):
        if len(row) != len(header):
            raise ValueError(
                f"row {number} has {len(row)} fields, the first line names {len(header)}; put a field that holds "
                f"{delimiter!r} in quotes, or set data.delimiter"
            )
    _check_names([name for name in header if name])
    columns = {name: pa.array([row[place] for row in rows], pa.large_string()) for place, name in enumerate(header)}
    return _dataset(pa.table(columns))


def _read_jsonl(path: Path, _: CsvForm) -> datasets.Dataset:
    rows = []
    with path.open(encoding="utf-8-sig") as file:
        for number, line in enumerate(_without_nul(file), start=1):
            if line.strip():
                rows.append(_parse(line, number))
    names = dict.fromkeys(name for row in rows for name in row)
    return _dataset(pa.table({name: _column([row.get(name) for row in rows]) for name in names}))


def _parse(line: str, number: int) -> dict[str, Any]:
    """Parse a row of a .jsonl; raise a ValueError with the line's number."""
    try:
        row = json.loads(line)
        if "\\u" in line:
            json.dumps(row, ensure_ascii=False).encode()
    except json.JSONDecodeError as error:
        raise ValueError(f"line {number}, character {error.pos + 1}: {error.msg}") from error
    except UnicodeEncodeError as error:
        half = error.object[error.start]
        raise ValueError(f"line {number} has {half!r}, which is half a character, not text") from error
    except RecursionError as error:
        raise ValueError(f"line {number}: too many brackets within each other") from error
    except ValueError as error:  # Python limits the digits of integers
        raise ValueError(f"line {number} has a number of thousands of digits") from error
    if not isinstance(row, dict):
        raise ValueError(f"line {number} is not an object in braces")
    return row


def _without_nul(lines: Iterable[str]) -> Iterator[str]:
    """Yield the lines; raise a ValueError at a NUL character, which UTF-16 files contain."""
    for number, line in enumerate(lines, start=1):
        if "\0" in line:
            raise ValueError(f"line {number} has a NUL character, as in UTF-16; save it as UTF-8")
        yield line


def _check_names(names: Sequence[str]) -> None:
    if twice := [name for place, name in enumerate(names) if name in names[:place]]:
        raise ValueError(f"two columns are called {twice[0]!r}; name each once")


def _column(values: list[Any]) -> pa.Array:
    """Return values of one type as they are, values of several types as text. NaN is missing."""
    try:
        return pa.array(values)
    except (pa.ArrowException, OverflowError):
        return pa.array([_as_string(value) for value in values])


def _as_string(value: Any) -> str | None:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    return value if isinstance(value, str) else json.dumps(value)


def _dataset(table: pa.Table) -> datasets.Dataset:
    """Return the table with categories and views decoded, without columns whose type `datasets` does not support."""
    for place, field in enumerate(table.schema):
        if is_text(field.type) and not pa.types.is_string(field.type):
            table = table.set_column(place, field.name, as_text(table[place]))
        elif pa.types.is_dictionary(field.type):
            table = table.set_column(place, field.name, table[place].cast(field.type.value_type))
    return datasets.Dataset(table.select([field.name for field in table.schema if _is_known(field)]))


def _is_known(field: pa.Field) -> bool:
    try:
        datasets.Features.from_arrow_schema(pa.schema([field]))
    except ValueError:
        return False
    return True


def _read_parquet(path: Path, _: CsvForm) -> datasets.Dataset:
    return read_parquet([path])


READERS: dict[str, Callable[[Path, CsvForm], datasets.Dataset]] = {
    ".parquet": _read_parquet,
    ".csv": _read_csv,
    ".tsv": _read_csv,
    ".jsonl": _read_jsonl,
}
"""The function that reads a file, by the ending of its name."""

_ENDINGS = ", ".join(READERS)
