"""PyDocs, the built-in corpus: the docstrings of four libraries, a paragraph a row; which library is it from?

It needs no download, as every installation has the libraries. How prose is found in their files is `docstrings`';
here are the draw of the splits and the cache.
"""

from __future__ import annotations

import gc
import hashlib
import importlib.metadata
import importlib.util
import re
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import datasets

from lt_lightning.data.docstrings import LIBRARIES, Paragraph, harvest
from lt_lightning.errors import SettingError

# Raise it with every change to this file or to `docstrings` that changes the corpus: caches of the old one are then
# not read.
FORMAT = 1
TEST_SHARE = 0.2  # of the files


def select(found: Iterable[Paragraph], seed: int = 0) -> dict[str, list[Paragraph]]:
    """Make the splits `train` and `test`: no text twice, a file wholly in one of them, as many rows of each class.

    Texts that differ in case, digits and punctuation alone count as the same. One that two libraries share has no
    right label and goes; of one that a library repeats, the first stays. Which rows of the larger classes stay, and
    the order of all, is drawn by a hash, so it is the same on every machine.

    Args:
        found: The paragraphs of all libraries.
        seed: Another seed is another draw and order; which files are in which split remains.
    """
    first: dict[str, Paragraph] = {}
    ambiguous = set()
    for paragraph in found:
        words = re.sub(r"[\W\d_]+", " ", paragraph.text).casefold()
        if first.setdefault(words, paragraph).library != paragraph.library:
            ambiguous.add(words)
    unique = [paragraph for words, paragraph in first.items() if words not in ambiguous]
    unique.sort(key=lambda paragraph: _draw(f"{seed} {paragraph.text}"))

    splits: dict[str, list[Paragraph]] = {"train": [], "test": []}
    for paragraph in unique:
        in_test = _draw(f"{paragraph.library}/{paragraph.file}") < TEST_SHARE
        splits["test" if in_test else "train"].append(paragraph)
    return {split: _capped(rows) for split, rows in splits.items()}


def _capped(rows: list[Paragraph]) -> list[Paragraph]:
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


def load_pydocs(cache: Path, seed: int = 0) -> Mapping[Any, datasets.Dataset]:
    """Load PyDocs from its cache; the first time, and when a library has changed its version, read it anew.

    Args:
        cache: The folder below which it is kept, in a folder of its own for each set of library versions.
        seed: Draws which rows of the larger classes are kept, and the order of all; see `select`.

    Returns:
        The splits `train` and `test` (a DatasetDict) with the columns `text` and `label` (a `ClassLabel` of the four
        libraries).

    Raises:
        SettingError: A library is not installed, or the cache cannot be written.
    """
    installed = {library: _installed(library) for library in LIBRARIES}
    versions = " ".join(f"{library}=={version}" for library, (version, _) in installed.items())
    folder = cache / f"pydocs-v{FORMAT}-seed{seed}-{hashlib.sha256(versions.encode()).hexdigest()[:16]}"
    if not folder.exists():
        with _without_garbage_collection():
            found = [row for library, (_, root) in installed.items() for row in harvest(root, library)]
        try:
            _save(_datasets(select(found, seed)), folder)
        except OSError as error:
            why = error.strerror or error
            raise SettingError(f"cannot keep PyDocs in {cache} ({why}): name a folder that can be written") from error
    return datasets.DatasetDict.load_from_disk(str(folder))


def _installed(library: str) -> tuple[str, Path]:
    """Say which version is installed, and where."""
    try:
        version = importlib.metadata.version(library)
    except importlib.metadata.PackageNotFoundError:
        version = None
    spec = importlib.util.find_spec(library)  # of a top-level name: imports nothing
    if version is None or spec is None or not spec.submodule_search_locations:
        raise SettingError(f"data=pydocs reads {library}'s docstrings; it is not installed: pip install {library}")
    return version, Path(spec.submodule_search_locations[0])


def _datasets(splits: Mapping[str, Sequence[Paragraph]]) -> Mapping[Any, datasets.Dataset]:
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
