"""A corpus from files of one's own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import datasets

from lt_lightning.errors import SettingError

FORMATS = {".parquet": "parquet", ".csv": "csv", ".jsonl": "json"}
"""File name ending to the loader of `datasets` that reads it."""


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
            saved = datasets.load_from_disk(str(folder))
        except Exception as error:  # whatever a damaged folder makes the library raise
            raise SettingError(
                f"data.path: {folder} cannot be read as a save_to_disk folder: {_first_line(error)}"
            ) from error
        assert isinstance(saved, datasets.DatasetDict)
        return {str(name): split for name, split in saved.items()}
    return {split: _read_file(_find(folder, split)) for split in ("train", "test")}


def _find(folder: Path, split: str) -> Path:
    found = [folder / f"{split}{ending}" for ending in FORMATS if (folder / f"{split}{ending}").is_file()]
    if not found:
        there = ", ".join(sorted(path.name for path in folder.iterdir())[:8]) or "nothing"
        raise SettingError(
            f"data.path: {folder} has no {split} file; expected {split}.parquet, .csv or .jsonl, there is {there}"
        )
    if len(found) > 1:
        raise SettingError(f"data.path: {folder} has {' and '.join(path.name for path in found)}; keep one of them")
    return found[0]


def _read_file(path: Path) -> datasets.Dataset:
    if not path.stat().st_size:
        raise SettingError(f"data.path: {path} is empty")
    try:
        split = datasets.load_dataset(FORMATS[path.suffix], data_files={"rows": str(path)}, split="rows")
    except Exception as error:  # parsers raise whatever they like; the cause names the line
        raise SettingError(
            f"data.path: {path} cannot be read as {path.suffix}: {_first_line(error.__cause__ or error)}"
        ) from error
    assert isinstance(split, datasets.Dataset)
    return split


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
