"""PyDocs, the built-in corpus: the docstrings of four libraries, a paragraph a row; which library is it from?

It needs no download, as every installation has the libraries. Their files are read as text, nothing is imported.
"""

from __future__ import annotations

import ast
import gc
import hashlib
import importlib.metadata
import importlib.util
import inspect
import re
import tempfile
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import datasets

from lt_lightning.errors import SettingError

LIBRARIES: dict[str, tuple[str, ...]] = {
    "sympy": ("sympy",),
    "networkx": ("networkx", "nx"),
    "pandas": ("pandas", "pd"),
    "matplotlib": ("matplotlib", "mpl_toolkits", "mpl", "pyplot", "plt", "pylab"),
}
"""The classes, in the order of their labels, and the names that would give each away, in lower case."""

# Stands for every name of every library. It is a word, so that sentences still read, and the same one for all four:
# that a library is named here may be known, which one may not.
MASK = "library"

FORMAT = 1  # raise it with every change to this file that changes the corpus: caches of the old one are then not read
TEST_SHARE = 0.2  # of the files
MIN_WORDS = 8
MIN_LETTERS = 0.75  # of the characters that are not white space; what has fewer is a formula, code or a table

# A long name is masked wherever it occurs (matplotlibrc, NetworkXError). One of up to four letters also turns up
# inside other words (complt), so it must stand between characters that are neither letters nor digits.
_NAME = re.compile(
    "|".join(
        name if len(name) > 4 else rf"(?<![^\W_]){name}(?![^\W_])"
        for name in sorted((name for names in LIBRARIES.values() for name in names), key=len, reverse=True)
    ),
    re.IGNORECASE,
)

# Which lines of a docstring are something other than running text.
_UNDERLINE = re.compile(r"([=\-~^\"'`#*+])\1{2,}$")
_CODE_OR_TABLE = re.compile(r">>>|In \[|Traceback |\$ |[|+]|[=-]{2,}(?:\s+[=-]{2,})+$")
_BULLET = re.compile(r"(?:[-*+•]|\(?\w{1,2}[.)]|#\.)\s+(?=\S)")
_PROSE_DIRECTIVE = re.compile(r"\.\. +(?:note|warning|tip|hint|important|caution)::", re.IGNORECASE)
_ASIDE = re.compile(r"\.\.(?:\s|$)|:\w[^:`]*:(?:\s|$)")  # other directives, comments, footnotes; field lists
_TERM = re.compile(r"`*\*{0,2}\w+`*(?:, ?\S+)* : ")  # x, y : int
_UNREAD_SECTIONS = frozenset({"references", "reference", "bibliography", "see also"})

# Inline markup, and what is left of it.
_MARKUP = (
    (re.compile(r"(?<=\])_(?!\w)"), ""),  # of a reference to a footnote: [1]_
    (re.compile(r"(?<!`)(?:(?::[\w+.-]+)+:)?`([^`<]+?)\s*<[^`>]*>`_*(?!`)"), r"\1"),  # roles and links with a title
    (re.compile(r"``(.*?)``"), r"\1"),  # literals
    (re.compile(r"(?:(?::[\w+.-]+)+:)?`[~!.]*([^`]*)`_*"), r"\1"),  # roles, links and names
    (re.compile(r"(?<![\w*])\*{1,2}(\w[^*]*)\*{1,2}(?![\w*])"), r"\1"),  # emphasis
    (re.compile(r"<?https?://[^\s>]+>?"), ""),
)


class Paragraph(NamedTuple):
    """A paragraph and where it comes from."""

    text: str
    library: str
    file: str  # below the library's folder, with forward slashes on every system


def paragraphs(docstring: str) -> Iterator[str]:
    r"""Yield the paragraphs of running text in a docstring, without markup, white space collapsed, names masked.

    A paragraph is text between blank lines; an item of a list and the description of a parameter are one each.
    Left out are titles, what a description is of (`x : int`), doctests, literal blocks, tables, directives (but
    for notes and warnings), references, and what has few words or is not mostly letters.

    Args:
        docstring: As it stands in the source, indentation and all.

    Example:
        >>> list(paragraphs("Add up all the numbers in the :class:`pandas.Series`.\n\n    ------"))
        ['Add up all the numbers in the library.Series.']
    """
    lines = inspect.cleandoc(docstring).splitlines()
    for block in _blocks([*_running_text(_read_sections(lines))]):
        text = " ".join(block)
        if len(text.split()) < MIN_WORDS:  # most blocks: spare them the rest
            continue
        for pattern, kept in _MARKUP:
            text = pattern.sub(kept, text)
        words = _NAME.sub(MASK, text).split()
        characters = "".join(words)
        letters = sum(character.isalpha() for character in characters)
        if len(words) >= MIN_WORDS and letters >= MIN_LETTERS * len(characters):
            yield " ".join(words)


def _read_sections(lines: list[str]) -> Iterator[str]:
    """Drop the sections that hold no prose, and the titles of the others."""
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
    """Part lines at blank ones, at the items of a list and where the indentation changes."""
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


def harvest(root: Path, library: str) -> list[Paragraph]:
    """Read all paragraphs of the docstrings below a folder, repeats included, in the order of the files' names.

    The libraries' tests are left out: they are most of the files and hold a thirtieth of the paragraphs. So are files
    that do not parse.

    Args:
        root: The library's folder.
        library: Its name, a key of `LIBRARIES`.
    """
    found = []
    files = {path.relative_to(root).as_posix(): path for path in root.rglob("*.py")}
    for name in sorted(files):
        if "tests" in name.split("/") or files[name].name.startswith("test_"):
            continue
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # about escapes in a library's strings: not our user's concern
                tree = ast.parse(files[name].read_text(encoding="utf-8"))
        except (SyntaxError, ValueError):  # ValueError: not utf-8, or null bytes
            continue
        for docstring in _docstrings(tree):
            found += [Paragraph(text, library, name) for text in paragraphs(docstring)]
    return found


def _docstrings(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
        yield ast.get_docstring(node, clean=False) or ""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.stmt | ast.excepthandler | ast.match_case):  # nothing else holds a definition
            yield from _docstrings(child)


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


def load_pydocs(cache: Path, seed: int = 0) -> datasets.DatasetDict:
    """Load PyDocs from its cache; the first time, and when a library has changed its version, read it anew.

    Args:
        cache: The folder below which it is kept, in a folder of its own for each set of library versions.
        seed: Draws which rows of the larger classes are kept, and the order of all; see `select`.

    Returns:
        The splits `train` and `test` with the columns `text` and `label` (a `ClassLabel` of the four libraries).

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
            _save(_dataset(select(found, seed)), folder)
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


def _dataset(splits: dict[str, list[Paragraph]]) -> datasets.DatasetDict:
    names = list(LIBRARIES)
    features = datasets.Features({"text": datasets.Value("string"), "label": datasets.ClassLabel(names=names)})
    corpus = datasets.DatasetDict()
    for split, rows in splits.items():
        columns = {"text": [row.text for row in rows], "label": [names.index(row.library) for row in rows]}
        corpus[split] = datasets.Dataset.from_dict(columns, features=features, split=datasets.NamedSplit(split))
    return corpus


def _save(corpus: datasets.DatasetDict, folder: Path) -> None:
    """Write so that the folder is there wholly or not at all, whoever else writes it at the same time."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as scratch:
        written = Path(scratch) / folder.name
        with _without_progress_bars():
            corpus.save_to_disk(str(written))
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
