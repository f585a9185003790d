"""Split and cache the built-in corpora, whose rows come from installed libraries."""

from __future__ import annotations

import gc
import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, TypeVar, runtime_checkable

import datasets
import numpy as np
import pyarrow as pa

from lt_lightning.data.fingerprint import content_fingerprint
from lt_lightning.data.sources.installed import LIBRARIES, Installed, find_installed
from lt_lightning.storage.cache import Arrays, check_kind, check_offsets, check_range, recall_or_make

SPLITS = ("train", "test")
TEST_SHARE = 0.2  # of the groups of rows that must not be parted


@runtime_checkable
class Labelled(Protocol):
    """A row: a text and the library that it is from."""

    @property
    def text(self) -> str: ...  # noqa: D102
    @property
    def library(self) -> str: ...  # noqa: D102


Row = TypeVar("Row", bound=Labelled)


def deal(
    found: Iterable[Row], same: Callable[[Row], str], group: Callable[[Row], str], seed: int
) -> dict[str, list[Row]]:
    """Make the splits `train` and `test`: unique texts, each group in one split, equally many rows per class.

    A text that two libraries share is dropped; of one that a library repeats, the first stays. Hashes decide which rows
    of larger classes stay, and the order, so that the result is the same on every machine.

    Args:
        found: the rows of all libraries.
        same: returns a key; rows with equal keys count as the same text.
        group: returns a key; rows with equal keys go to the same split.
        seed: changes the selection and the order, but not which group is in which split.
    """
    first: dict[str, Row] = {}
    ambiguous = set()
    for row in found:
        key = same(row)
        if first.setdefault(key, row).library != row.library:
            ambiguous.add(key)
    unique = [row for key, row in first.items() if key not in ambiguous]
    unique.sort(key=lambda row: _draw(f"{seed} {row.text}"))

    splits: dict[str, list[Row]] = {"train": [], "test": []}
    for row in unique:
        splits["test" if _draw(group(row)) < TEST_SHARE else "train"].append(row)
    for split, rows in splits.items():  # keep the first rows of each class, as many as the smallest class has
        left = dict.fromkeys(LIBRARIES, min(Counter(row.library for row in rows).get(one, 0) for one in LIBRARIES))
        kept = []
        for row in rows:
            if left[row.library]:
                left[row.library] -= 1
                kept.append(row)
        splits[split] = kept
    return splits


def _draw(key: str) -> float:
    """Hash a text to a number in [0, 1), independent of Python's hash seed."""
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:6], "big") / 2**48


def load_built_in(
    cache: Path,
    data: str,
    edition: str,
    harvest: Callable[[Installed], list[Row]],
    select: Callable[[Iterable[Row]], Mapping[str, Sequence[Row]]],
    group: Callable[[Row], str],
) -> Mapping[Any, datasets.Dataset]:
    """Load a corpus from its cache, or build it if it is missing or a library has changed.

    Args:
        cache: the cache folder; created if missing. Each edition and each set of library files has its own file.
        data: the name of the `data` choice.
        edition: identifies the way rows are found, shown and drawn.
        harvest: returns the rows of a library.
        select: makes the splits from the rows of all libraries.
        group: returns a key; see `deal`.

    Returns:
        The splits (a DatasetDict) with the columns `text`, `label` (a `ClassLabel` of the four libraries) and `group`
        (a number for each key), and the fingerprints of texts and labels.

    Raises:
        SettingError: a library is not installed, or its files were changed.
    """
    libraries = [find_installed(library, data) for library in LIBRARIES]
    digests = " ".join(library.digest for library in libraries)
    path = cache / f"{data}-{edition}-{hashlib.sha256(digests.encode()).hexdigest()[:16]}.safetensors"

    def make() -> Arrays:
        with _without_garbage_collection():
            found = [row for library in libraries for row in harvest(library)]
        return _as_arrays(select(found), group)

    path.parent.mkdir(parents=True, exist_ok=True)
    return _as_corpus(recall_or_make(path, make, f"data={data}", _check))


def _as_arrays(splits: Mapping[str, Sequence[Row]], group: Callable[[Row], str]) -> Arrays:
    """Return each split's texts as bytes with offsets, and the numbers of their libraries and groups."""
    names = list(LIBRARIES)
    arrays: Arrays = {}
    numbers: dict[str, int] = {}  # of the groups, in the order of the rows
    for split in SPLITS:
        texts = [row.text.encode() for row in splits[split]]
        arrays[f"{split}_letters"] = np.frombuffer(b"".join(texts), np.uint8)
        arrays[f"{split}_places"] = np.cumsum([0, *map(len, texts)], dtype=np.int32)
        arrays[f"{split}_labels"] = np.array([names.index(row.library) for row in splits[split]], np.int64)
        groups = [numbers.setdefault(group(row), len(numbers)) for row in splits[split]]
        arrays[f"{split}_groups"] = np.array(groups, np.int64)
    return arrays


def _check(arrays: Arrays) -> None:
    """Raise a `KeyError` or a `ValueError` unless arrays are such splits."""
    for split in SPLITS:
        letters, places, labels = (arrays[f"{split}_{part}"] for part in ("letters", "places", "labels"))
        check_kind(letters, np.uint8, (None,))
        check_kind(labels, np.int64, (None,))
        check_kind(arrays[f"{split}_groups"], np.int64, (len(labels),))
        check_kind(places, np.int32, (len(labels) + 1,))
        check_offsets(places, len(letters))
        check_range(labels, 0, len(LIBRARIES))
        _texts(arrays, split).validate(full=True)  # pyright: ignore[reportAttributeAccessIssue]


def _texts(arrays: Arrays, split: str) -> pa.StringArray:
    letters, places = (pa.py_buffer(arrays[f"{split}_{part}"]) for part in ("letters", "places"))
    return pa.StringArray.from_buffers(len(arrays[f"{split}_labels"]), places, letters)


def _as_corpus(arrays: Arrays) -> Mapping[Any, datasets.Dataset]:
    """Return the splits, with the fingerprints of their content."""
    labels, groups = datasets.ClassLabel(names=list(LIBRARIES)), datasets.Value("int64")
    schema = datasets.Features({"text": datasets.Value("string"), "label": labels, "group": groups}).arrow_schema
    corpus = datasets.DatasetDict()
    for split in SPLITS:
        numbers = {"label": arrays[f"{split}_labels"], "group": arrays[f"{split}_groups"]}
        table = pa.table({"text": _texts(arrays, split), **numbers}, schema=schema)
        letters, places, codes = (arrays[f"{split}_{part}"] for part in ("letters", "places", "labels"))
        fingerprint = content_fingerprint(places.astype(np.int64), letters.tobytes(), codes)
        corpus[split] = datasets.Dataset(table, split=datasets.NamedSplit(split), fingerprint=fingerprint)
    return corpus


@contextmanager
def _without_garbage_collection() -> Iterator[None]:
    """Pause garbage collection, which takes a third of the time although syntax trees hold no cycles."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
