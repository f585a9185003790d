"""Load PyDocs, the built-in corpus of docstring paragraphs of four libraries; it needs no download.

Paragraphs are prose without markup, code, tables, titles and the libraries' names.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import datasets

from lt_lightning.data.sources.built_in import deal, load_built_in
from lt_lightning.data.sources.installed import Installed, definitions, mask_libraries, parsed_files

# Replaces every name of every library; a word, so that sentences remain readable.
MASK = "library"

MIN_WORDS = 8
MIN_LETTERS = 0.75  # of the non-space characters; formulas, code and tables have fewer

# Lines of a docstring that are not prose.
_UNDERLINE = re.compile(r"([=\-~^\"'`#*+])\1{2,}$")
_CODE_OR_TABLE = re.compile(r">>>|In \[|Traceback |\$ |[|+]|[=-]{2,}(?:\s+[=-]{2,})+$")
_BULLET = re.compile(r"(?:[-*+•]|\(?\w{1,2}[.)]|#\.)\s+(?=\S)")
_PROSE_DIRECTIVE = re.compile(r"\.\. +(?:note|warning|tip|hint|important|caution)::", re.IGNORECASE)
_ASIDE = re.compile(r"\.\.(?:\s|$)|:\w[^:`]*:(?:\s|$)")  # other directives, comments, footnotes; field lists
_TERM = re.compile(r"`*\*{0,2}\w+`*(?:, ?\S+)* : ")  # x, y : int
_UNREAD_SECTIONS = frozenset({"references", "reference", "bibliography", "see also"})

# Inline markup: a string that it contains (a fast test), the pattern, and the replacement.
_MARKUP = (
    ("]_", re.compile(r"(?<=\])_(?!\w)"), ""),  # of a reference to a footnote: [1]_
    ("<", re.compile(r"(?<!`)(?:(?::[\w+.-]+)+:)?`([^`<]+?)\s*<[^`>]*>`_*(?!`)"), r"\1"),  # roles, links with a title
    ("``", re.compile(r"``(.*?)``"), r"\1"),  # literals
    ("`", re.compile(r"(?:(?::[\w+.-]+)+:)?`[~!.]*([^`]*)`_*"), r"\1"),  # roles, links and names
    ("*", re.compile(r"(?<![\w*])\*{1,2}(\w[^*]*)\*{1,2}(?![\w*])"), r"\1"),  # emphasis
    ("://", re.compile(r"<?https?://[^\s>]+>?"), ""),
)


class Paragraph(NamedTuple):
    """A paragraph and its source."""

    text: str
    library: str
    file: str  # below the library's folder, with forward slashes on every system


def paragraphs(docstring: str) -> Iterator[str]:
    r"""Yield the paragraphs of prose in a docstring, without markup, white space collapsed, names masked.

    List items and parameter descriptions are paragraphs, too. Titles, terms (`x : int`), doctests, literal blocks,
    tables, directives (except notes and warnings), references, and text with few words or letters are left out.

    Args:
        docstring: as it stands in the source, with indentation.

    Examples:
        >>> list(paragraphs("Add up all the numbers in the :class:`pandas.Series`.\n\n    ------"))
        ['Add up all the numbers in the library.Series.']
    """
    for block in _blocks([*_running_text(_read_sections(_clean(docstring)))]):
        text = " ".join(block)
        if len(text.split()) < MIN_WORDS:  # most blocks end here
            continue
        for mark, pattern, kept in _MARKUP:
            if mark in text:
                text = pattern.sub(kept, text)
        words = mask_libraries(text, MASK).split()
        characters = "".join(words)
        letters = sum(map(str.isalpha, characters))
        if len(words) >= MIN_WORDS and letters >= MIN_LETTERS * len(characters):
            yield " ".join(words)


def _clean(docstring: str) -> list[str]:
    """Return the lines of a docstring without their common indentation, and without empty ones at both ends.

    Python's own `inspect.cleandoc` is another one since version 3.13, and the corpus must not depend on that.
    """
    first, *others = docstring.expandtabs().split("\n")
    margin = min((_indent(line) for line in others if line.strip()), default=0)
    lines = [first.lstrip(), *(line[margin:] for line in others)]
    return "\n".join(lines).strip("\n").splitlines()


def _read_sections(lines: list[str]) -> Iterator[str]:
    """Drop sections without prose, and the titles of the others."""
    read = True
    for line, following in pairwise([*lines, ""]):
        if line.strip() and _UNDERLINE.match(following.strip()):
            read = line.strip().lower().rstrip(":") not in _UNREAD_SECTIONS
            yield ""
        elif read and not _UNDERLINE.match(line.strip()):
            yield line


def _running_text(lines: Iterable[str]) -> Iterator[str]:
    """Drop terms; doctests and tables, to the next blank line; asides and literal blocks, as far as indented."""
    in_code = False
    aside: int | None = None  # the indentation of the line that opened it
    for line in lines:
        text = line.strip()
        if not text:
            in_code = False
            yield ""
            continue
        if in_code or (aside is not None and _indent(line) > aside):
            continue
        in_code = bool(_CODE_OR_TABLE.match(text))
        aside = None
        if directive := _PROSE_DIRECTIVE.match(text):
            yield ""
            yield " " * _indent(line) + text[directive.end() :]
        elif _ASIDE.match(text):
            aside = _indent(line)
            yield ""
        elif in_code or _TERM.match(text):
            yield ""
        else:
            if text.endswith("::"):  # a literal block follows
                aside, line = _indent(line), line.rstrip()[:-1]
            yield line


def _blocks(lines: list[str]) -> Iterator[list[str]]:
    """Split lines at blank ones, at list items and where the indentation changes."""
    block: list[str] = []
    indent: int | None = None  # of the block's lines; None below the first line of an item, which hangs out
    in_item = False
    for line, following in pairwise([*lines, ""]):
        text, bullet = line.strip(), _BULLET.match(line.strip())
        if block and not in_item and not block[-1].endswith(":"):
            bullet = None  # a wrapped line that happens to begin like an item
        if not text or bullet or indent not in (None, _indent(line)):
            yield block
            block, indent, in_item = [], None, False
        describes_next = _indent(following) > _indent(line) and not text.endswith(":")
        if text and (block or bullet or not describes_next):
            in_item = in_item or bool(bullet)
            indent = None if bullet else _indent(line)
            block.append(text[bullet.end() :] if bullet else text)
    yield block


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def harvest(library: Installed) -> list[Paragraph]:
    """Return all paragraphs of a library's docstrings, repeats included, in the order of the files' names.

    Raises:
        SettingError: a file was changed after installation.
    """
    return [
        Paragraph(text, library.name, name)
        for name, tree in parsed_files(library)
        for node in (tree, *definitions(tree))
        for text in paragraphs(ast.get_docstring(node, clean=False) or "")
    ]


# Increase it when this file, `installed` or `built_in` changes the corpus, to invalidate old caches.
FORMAT = 2


def select(found: Iterable[Paragraph], seed: int = 0) -> dict[str, list[Paragraph]]:
    """Make the splits `train` and `test`: unique texts, a file wholly in one split, equally many rows per class.

    Texts that differ only in case, digits and punctuation count as the same. `seed` changes which rows are kept and
    their order, but not which file is in which split.
    """
    return deal(
        found,
        same=lambda paragraph: re.sub(r"[\W\d_]+", " ", paragraph.text).casefold(),
        group=source_file,
        seed=seed,
    )


def source_file(paragraph: Paragraph) -> str:
    """Return the file of a paragraph with its library's folder."""
    return "/".join((paragraph.library, paragraph.file))


def load_pydocs(cache: Path, seed: int = 0) -> Mapping[Any, datasets.Dataset]:
    """Load PyDocs from its cache, or build it; see `load_built_in` and `select`. A group is a source file."""
    edition = f"v{FORMAT}-seed{seed}"
    return load_built_in(cache, "pydocs", edition, harvest, lambda found: select(found, seed), source_file)
