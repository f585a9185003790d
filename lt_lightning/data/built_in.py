"""What the built-in corpora share: how rows found in the libraries are dealt to splits, and the cache of the result."""

from __future__ import annotations

import gc
import hashlib
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, TypeVar, runtime_checkable

import datasets

from lt_lightning.data.libraries import LIBRARIES, installed
from lt_lightning.errors import SettingError

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
    harvest: Callable[[Path, str], list[Row]],
    select: Callable[[Iterable[Row]], Mapping[str, Sequence[Row]]],
) -> Mapping[Any, datasets.Dataset]:
    """Load a corpus from its cache; the first time, and when a library has changed its version, read it anew.

    Args:
        cache: the folder below which it is kept, in a folder of its own for each edition and set of library versions.
        data: the choice of `data` that asks for it.
        edition: what else tells this corpus from others: how its rows are found, shown and drawn.
        harvest: finds the rows of a library in its folder.
        select: makes the splits of the rows of all.

    Returns:
        The splits (a DatasetDict) with the columns `text` and `label` (a `ClassLabel` of the four libraries).

    Raises:
        SettingError: if a library is not installed, or the cache cannot be written.
    """
    libraries = {library: installed(library, data) for library in LIBRARIES}
    versions = " ".join(f"{library}=={version}" for library, (version, _) in libraries.items())
    folder = cache / f"{data}-{edition}-{hashlib.sha256(versions.encode()).hexdigest()[:16]}"
    if not folder.exists():
        with _without_garbage_collection():
            found = [row for library, (_, root) in libraries.items() for row in harvest(root, library)]
        try:
            _save(_datasets(select(found)), folder)
        except OSError as error:
            why = error.strerror or error
            raise SettingError(
                f"data={data} cannot be kept in {cache} ({why}): name a folder that can be written"
            ) from error
    return datasets.DatasetDict.load_from_disk(str(folder))


def _datasets(splits: Mapping[str, Sequence[Labelled]]) -> Mapping[Any, datasets.Dataset]:
    names = list(LIBRARIES)
    features = datasets.Features({"text": datasets.Value("string"), "label": datasets.ClassLabel(names=names)})
    corpus = datasets.DatasetDict()
    for split, rows in splits.items():
        columns = {"text": [row.text for row in rows], "label": [names.index(row.library) for row in rows]}
        corpus[split] = datasets.Dataset.from_dict(columns, features=features, split=datasets.NamedSplit(split))
    return corpus


def _save(corpus: Mapping[Any, datasets.Dataset], folder: Path) -> None:
    """Write so that the folder is there wholly or not at all, whoever else writes it at the same time."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as scratch:
        written = Path(scratch) / folder.name
        with _without_progress_bars():
            datasets.DatasetDict(corpus).save_to_disk(str(written))
        try:
            written.rename(folder)
        except OSError:
            if not folder.exists():  # where it does, another process was first, with the same content
                raise


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


@contextmanager
def _without_progress_bars() -> Iterator[None]:
    shown = not datasets.are_progress_bars_disabled()
    if shown:
        datasets.disable_progress_bars()
    try:
        yield
    finally:
        if shown:
            datasets.enable_progress_bars()
