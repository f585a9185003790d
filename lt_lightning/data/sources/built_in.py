"""What the built-in corpora share: how rows found in the libraries are dealt to splits, and the cache of the result."""

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

from lt_lightning.data.sources.installed import Installed, find_installed
from lt_lightning.data.sources.libraries import LIBRARIES
from lt_lightning.storage.cache import Arrays, check_kind, check_offsets, check_range, recall_or_make

SPLITS = ("train", "test")
TEST_SHARE = 0.2  # of the groups of rows that must not be parted


@runtime_checkable
class Labelled(Protocol):
    """A row: a text, and the library that it is from."""

    @property
    def text(self) -> str: ...  # noqa: D102
    @property
    def library(self) -> str: ...  # noqa: D102


Row = TypeVar("Row", bound=Labelled)


def deal(
    found: Iterable[Row], same: Callable[[Row], str], group: Callable[[Row], str], seed: int
) -> dict[str, list[Row]]:
    """Make the splits `train` and `test`: no text twice, a group wholly in one of them, as many rows of each class.

    A text that two libraries share has no right label and goes; of one that a library repeats, the first stays. Which
    rows of the larger classes stay, and the order of all, is drawn by a hash, so it is the same on every machine.

    Args:
        found: the rows of all libraries.
        same: what two rows have in common whose texts count as the same.
        group: what rows have in common that must be in one split.
        seed: another seed is another draw and order; which groups are in which split remains.
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
    return {split: _capped(rows) for split, rows in splits.items()}


def _capped(rows: list[Row]) -> list[Row]:
    """Keep the first rows of each class, as many as the smallest class has."""
    sizes = Counter(row.library for row in rows)
    size = min(sizes[library] for library in LIBRARIES)
    seen: Counter[str] = Counter()
    kept = []
    for row in rows:
        seen[row.library] += 1
        if seen[row.library] <= size:
            kept.append(row)
    return kept


def _draw(key: str) -> float:
    """Hash a text to a number in [0, 1), the same in every process, as Python's own hash is not."""
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:6], "big") / 2**48


def load_built_in(
    cache: Path,
    data: str,
    edition: str,
    harvest: Callable[[Installed], list[Row]],
    select: Callable[[Iterable[Row]], Mapping[str, Sequence[Row]]],
) -> Mapping[Any, datasets.Dataset]:
    """Load a corpus from its cache; the first time, and when a library is of other files, read it anew.

    Args:
        cache: the folder where it is kept, in a file of its own for each edition and each set of files of the
            libraries; created if missing.
        data: the choice of `data` that asks for it.
        edition: what else tells this corpus from others: how its rows are found, shown and drawn.
        harvest: finds the rows of a library.
        select: makes the splits of the rows of all.

    Returns:
        The splits (a DatasetDict) with the columns `text` and `label` (a `ClassLabel` of the four libraries).

    Raises:
        SettingError: if a library is not installed, or not as it was installed.
    """
    libraries = [find_installed(library, data) for library in LIBRARIES]
    digests = " ".join(library.digest for library in libraries)
    path = cache / f"{data}-{edition}-{hashlib.sha256(digests.encode()).hexdigest()[:16]}.safetensors"

    def make() -> Arrays:
        with _without_garbage_collection():
            found = [row for library in libraries for row in harvest(library)]
        return _as_arrays(select(found))

    path.parent.mkdir(parents=True, exist_ok=True)
    return _as_corpus(path.name, recall_or_make(path, make, f"data={data}", _check))


def _as_arrays(splits: Mapping[str, Sequence[Labelled]]) -> Arrays:
    """Return texts as one string of bytes and where each starts in it, and the numbers of their libraries."""
    names = list(LIBRARIES)
    arrays: Arrays = {}
    for split in SPLITS:
        texts = [row.text.encode() for row in splits[split]]
        arrays[f"{split}_letters"] = np.frombuffer(b"".join(texts), np.uint8)
        arrays[f"{split}_places"] = np.cumsum([0, *map(len, texts)], dtype=np.int32)
        arrays[f"{split}_labels"] = np.array([names.index(row.library) for row in splits[split]], np.int64)
    return arrays


def _check(arrays: Arrays) -> None:
    """Raise a `KeyError` or a `ValueError` unless arrays are such splits."""
    for split in SPLITS:
        letters, places, labels = (arrays[f"{split}_{part}"] for part in ("letters", "places", "labels"))
        check_kind(letters, np.uint8, (None,))
        check_kind(labels, np.int64, (None,))
        check_kind(places, np.int32, (len(labels) + 1,))
        check_offsets(places, len(letters))
        check_range(labels, 0, len(LIBRARIES))
        _texts(arrays, split).validate(full=True)  # pyright: ignore[reportAttributeAccessIssue]


def _texts(arrays: Arrays, split: str) -> pa.StringArray:
    letters, places = (pa.py_buffer(arrays[f"{split}_{part}"]) for part in ("letters", "places"))
    return pa.StringArray.from_buffers(len(arrays[f"{split}_labels"]), places, letters)


def _as_corpus(name: str, arrays: Arrays) -> Mapping[Any, datasets.Dataset]:
    """Return the splits; the name of their file tells them from those of others."""
    labels = datasets.ClassLabel(names=list(LIBRARIES))
    schema = datasets.Features({"text": datasets.Value("string"), "label": labels}).arrow_schema
    corpus = datasets.DatasetDict()
    for split in SPLITS:
        table = pa.table({"text": _texts(arrays, split), "label": arrays[f"{split}_labels"]}, schema=schema)
        fingerprint = hashlib.blake2b(f"{name} {split}".encode(), digest_size=8).hexdigest()
        corpus[split] = datasets.Dataset(table, split=datasets.NamedSplit(split), fingerprint=fingerprint)
    return corpus


@contextmanager
def _without_garbage_collection() -> Iterator[None]:
    """Save a third of the time: trees hold no cycles, yet for each of them Python looks through all that is loaded."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
