"""The four libraries that the built-in corpora are read from: their names, where they lie, and their source files.

Files are read as text, nothing is imported.
"""

from __future__ import annotations

import ast
import importlib.metadata
import importlib.util
import re
import warnings
from collections.abc import Iterator
from pathlib import Path

from lt_lightning.errors import SettingError

LIBRARIES: dict[str, tuple[str, ...]] = {
    "sympy": ("sympy",),
    "networkx": ("networkx", "nx"),
    "pandas": ("pandas", "pd"),
    "matplotlib": ("matplotlib", "mpl_toolkits", "mpl", "pyplot", "plt", "pylab"),
}
"""The classes, in the order of their labels, and the names that would give each away, in lower case."""

# A long name is found wherever it occurs (matplotlibrc, NetworkXError). One of up to four letters also turns up
# inside other words (complt), so it must stand between characters that are neither letters nor digits.
LIBRARY_NAME = re.compile(
    "|".join(
        name if len(name) > 4 else rf"(?<![^\W_]){name}(?![^\W_])"
        for name in sorted((name for names in LIBRARIES.values() for name in names), key=len, reverse=True)
    ),
    re.IGNORECASE,
)
"""Finds any name of any library."""


def mask_libraries(text: str, mask: str) -> str:
    """Put `mask` in place of every name of any library."""
    # Most texts name none, which is found out much faster in lower case; of ASCII alone, since elsewhere there are
    # letters that are the same as others in some case and not in this (ſ).
    lowered = text.lower()
    if text.isascii() and not any(name in lowered for names in LIBRARIES.values() for name in names):
        return text
    return LIBRARY_NAME.sub(mask, text)


def installed(library: str, data: str) -> tuple[str, Path]:
    """Say which version of a library is installed, and where.

    Args:
        library: a key of `LIBRARIES`.
        data: the choice of `data` that reads it, for the error.

    Raises:
        SettingError: if it is not installed.
    """
    try:
        version = importlib.metadata.version(library)
    except importlib.metadata.PackageNotFoundError:
        version = None
    spec = importlib.util.find_spec(library)  # of a top-level name: imports nothing
    if version is None or spec is None or not spec.submodule_search_locations:
        raise SettingError(f"data={data} reads {library}'s source; it is not installed: pip install {library}")
    return version, Path(spec.submodule_search_locations[0])


def parsed_files(root: Path) -> Iterator[tuple[str, ast.Module]]:
    """Parse the source files below a folder, in the order of their names.

    The libraries' tests are left out: they are most of the files and hold a thirtieth of the prose. So are files that
    do not parse.

    Args:
        root: the library's folder.

    Yields:
        The file's name below the folder, with forward slashes on every system, and what is in it.
    """
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
        yield name, tree


Definition = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
"""A class, a function or a method."""


_BLOCKS = ("body", "handlers", "orelse", "finalbody", "cases")  # in the order of the source


def definitions(node: ast.AST) -> Iterator[Definition]:
    """Yield the classes, functions and methods inside a node, outer ones first, in the order of the source."""
    for block in _BLOCKS:  # of statements, handlers and cases: nothing else holds a definition
        for child in getattr(node, block, ()):
            if isinstance(child, Definition):
                yield child
            yield from definitions(child)
