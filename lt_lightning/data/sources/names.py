"""Load Names, the built-in corpus of short strings: which library does a function, class or method belong to?"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import datasets

from lt_lightning.data.sources.built_in import deal, load_built_in
from lt_lightning.data.sources.installed import LIBRARY_NAME, Installed, definitions, parsed_files

# Increase it when this file, `installed` or `built_in` changes the corpus, to invalidate old caches.
FORMAT = 2

# Digits, with a single letter that follows them (2D); capitals, but for one that begins the next word (HTTPServer);
# small letters, with a capital before them. What is no capital of ASCII's counts as a small letter.
_SMALL = r"[^\d_A-Z]"
_WORD = re.compile(rf"\d+(?:[^\d_](?!{_SMALL}|[A-Z](?!{_SMALL})))?|[A-Z]+(?!{_SMALL})|[A-Z]?{_SMALL}+")
# "sympify" names SymPy as well.
_PUN = re.compile("sympif", re.IGNORECASE)


class Name(NamedTuple):
    """A name as it is shown, and its library."""

    text: str
    library: str


def words(name: str) -> list[str]:
    """Split an identifier into its words, in lower case.

    >>> words("read_csv"), words("HTTPServer2D"), words("__toArray3")
    (['read', 'csv'], ['http', 'server', '2d'], ['to', 'array', '3'])
    """
    return [word.lower() for word in _WORD.findall(name)]


def names_a_library(name: str) -> bool:
    """Return whether an identifier contains a library's name: a long one anywhere, a short one (nx) as a whole word."""
    return any(pattern.search(form) for pattern in (LIBRARY_NAME, _PUN) for form in (name, " ".join(words(name))))


def harvest(library: Installed, *, split: bool) -> list[Name]:
    """Return the names of a library's functions, classes and methods, as words or as written, repeats included.

    Reserved names (`__init__`), names of underscores alone and those that contain a library's name are left out.

    Raises:
        SettingError: a file was changed after installation.
    """
    written = (node.name for _, tree in parsed_files(library) for node in definitions(tree))
    return [
        Name(" ".join(words(name)) if split else name, library.name)
        for name in written
        if words(name) and not (name.startswith("__") and name.endswith("__")) and not names_a_library(name)
    ]


def select(found: Iterable[Name]) -> dict[str, list[Name]]:
    """Make the splits `train` and `test`: unique names, none of two libraries, equally many per class.

    Forms of one name (`foo`, `_Foo`) are in the same split, so that no tested name was trained on in another form.
    """
    return deal(found, same=lambda name: name.text, group=plain_form, seed=0)


def plain_form(name: Name) -> str:
    """Return what forms of a name have in common, which differ only in case, underscores and spaces."""
    return re.sub("[_ ]", "", name.text).casefold()


def load_names(cache: Path, split: bool) -> Mapping[Any, datasets.Dataset]:
    """Load the names, as words (`read csv`) or as written (`read_csv`), from their cache, or build it.

    A group is the forms of a name.
    """
    edition = f"v{FORMAT}-{'split' if split else 'written'}"
    return load_built_in(cache, "names", edition, lambda library: harvest(library, split=split), select, plain_form)
