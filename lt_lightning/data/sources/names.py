"""Names, the built-in corpus of short strings: what four libraries call their functions, classes and methods.

Which library is a name from? Where the names stand is `libraries`'; the draw of the splits and the cache are
`built_in`'s.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import datasets

from lt_lightning.data.sources.built_in import deal, load_built_in
from lt_lightning.data.sources.installed import Installed
from lt_lightning.data.sources.libraries import LIBRARY_NAME, definitions, parsed_files

# Raise it with every change to this file, `libraries` or `built_in` that changes the corpus: caches of the old one are
# then not read.
FORMAT = 1

# Digits, with a single letter that follows them (2D); capitals, but for one that begins the next word (HTTPServer);
# small letters, with a capital before them. What is no capital of ASCII's counts as a small letter.
_SMALL = r"[^\d_A-Z]"
_WORD = re.compile(rf"\d+(?:[^\d_](?!{_SMALL}|[A-Z](?!{_SMALL})))?|[A-Z]+(?!{_SMALL})|[A-Z]?{_SMALL}+")
# To sympify is to make something SymPy's own: a name of the library as well.
_PUN = re.compile("sympif", re.IGNORECASE)


class Name(NamedTuple):
    """A name as it is shown, and where it comes from."""

    text: str
    library: str


def words(name: str) -> list[str]:
    """Cut an identifier into its words, in lower case.

    Example:
        >>> words("read_csv"), words("HTTPServer2D"), words("__toArray3")
        (['read', 'csv'], ['http', 'server', '2d'], ['to', 'array', '3'])
    """
    return [word.lower() for word in _WORD.findall(name)]


def names_a_library(name: str) -> bool:
    """Whether an identifier holds the name of a library: a long one anywhere, a short one (nx) as a word of its own."""
    return any(pattern.search(form) for pattern in (LIBRARY_NAME, _PUN) for form in (name, " ".join(words(name))))


def harvest(library: Installed, *, split: bool) -> list[Name]:
    """Read the names of all functions, classes and methods of a library, repeats included.

    Left out are names that Python reserves (`__init__`), those of underscores alone, and those that name a library.

    Args:
        library: a key of `LIBRARIES` is its name; which of its files are read is `parsed_files`'.
        split: whether to show a name as its words, with spaces between them, or as it is written.

    Raises:
        SettingError: a file is not as it was installed.
    """
    written = (node.name for _, tree in parsed_files(library) for node in definitions(tree))
    return [
        Name(" ".join(words(name)) if split else name, library.name)
        for name in written
        if words(name) and not (name.startswith("__") and name.endswith("__")) and not names_a_library(name)
    ]


def select(found: Iterable[Name]) -> dict[str, list[Name]]:
    """Make the splits `train` and `test`: no name twice, none of two libraries, as many of each class.

    Names that differ in case, underscores and spaces alone (`foo`, `_Foo`) are in one split, so that no tested name has
    been trained on in another guise; each is kept, for how a name is written tells where it is from.

    Args:
        found: the names of all libraries.
    """
    return deal(
        found,
        same=lambda name: name.text,
        group=lambda name: re.sub("[_ ]", "", name.text).casefold(),
        seed=0,
    )


def load_names(cache: Path, split: bool) -> Mapping[Any, datasets.Dataset]:
    """Load the names from their cache; the first time, and when a library is of other files, read them anew.

    Args:
        cache: the folder below which they are kept; see `load_built_in`.
        split: whether to show a name as its words (`read csv`), or as it is written (`read_csv`).

    Returns:
        The splits `train` and `test` (a DatasetDict) with the columns `text` and `label` (a `ClassLabel` of the four
        libraries).

    Raises:
        SettingError: if a library is not installed, or not as it was installed.
    """
    edition = f"v{FORMAT}-{'split' if split else 'written'}"
    return load_built_in(cache, "names", edition, lambda library: harvest(library, split=split), select)
