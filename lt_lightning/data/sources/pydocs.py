"""Load PyDocs, the built-in corpus of docstring paragraphs of four libraries; it needs no download."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import datasets

from lt_lightning.data.sources.built_in import deal, load_built_in
from lt_lightning.data.sources.docstrings import Paragraph, harvest

# Increase it when this file, `docstrings`, `libraries` or `built_in` changes the corpus, to invalidate old caches.
FORMAT = 1


def select(found: Iterable[Paragraph], seed: int = 0) -> dict[str, list[Paragraph]]:
    """Make the splits `train` and `test`: unique texts, a file wholly in one split, equally many rows per class.

    Texts that differ only in case, digits and punctuation count as the same. `seed` changes which rows are kept and
    their order, but not which file is in which split.
    """
    return deal(
        found,
        same=lambda paragraph: re.sub(r"[\W\d_]+", " ", paragraph.text).casefold(),
        group=lambda paragraph: f"{paragraph.library}/{paragraph.file}",
        seed=seed,
    )


def load_pydocs(cache: Path, seed: int = 0) -> Mapping[Any, datasets.Dataset]:
    """Load PyDocs from its cache, or build it; see `load_built_in` and `select`."""
    return load_built_in(cache, "pydocs", f"v{FORMAT}-seed{seed}", harvest, lambda found: select(found, seed))
