"""PyDocs, the built-in corpus: the docstrings of four libraries, a paragraph a row; which library is it from?

It needs no download, as every installation has the libraries. How prose is found in their files is `docstrings`';
the draw of the splits and the cache are `built_in`'s.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import datasets

from lt_lightning.data.sources.built_in import deal, load_built_in
from lt_lightning.data.sources.docstrings import Paragraph, harvest

# Raise it with every change to this file, `docstrings`, `libraries` or `built_in` that changes the corpus: caches of
# the old one are then not read.
FORMAT = 1


def select(found: Iterable[Paragraph], seed: int = 0) -> dict[str, list[Paragraph]]:
    """Make the splits `train` and `test`: no text twice, a file wholly in one of them, as many rows of each class.

    Texts that differ in case, digits and punctuation alone count as the same.

    Args:
        found: The paragraphs of all libraries.
        seed: Another seed is another draw and order; which files are in which split remains.
    """
    return deal(
        found,
        same=lambda paragraph: re.sub(r"[\W\d_]+", " ", paragraph.text).casefold(),
        group=lambda paragraph: f"{paragraph.library}/{paragraph.file}",
        seed=seed,
    )


def load_pydocs(cache: Path, seed: int = 0) -> Mapping[Any, datasets.Dataset]:
    """Load PyDocs from its cache; the first time, and when a library is of other files, read it anew.

    Args:
        cache: The folder below which it is kept; see `load_built_in`.
        seed: Draws which rows of the larger classes are kept, and the order of all; see `select`.

    Returns:
        The splits `train` and `test` (a DatasetDict) with the columns `text` and `label` (a `ClassLabel` of the four
        libraries).

    Raises:
        SettingError: A library is not installed, or not as it was installed.
    """
    return load_built_in(cache, "pydocs", f"v{FORMAT}-seed{seed}", harvest, lambda found: select(found, seed))
