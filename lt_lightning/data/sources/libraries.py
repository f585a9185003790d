"""Parse the source files of the four libraries of the built-in corpora, without importing them."""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Iterator

from lt_lightning.data.sources.installed import Installed

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
    """Replace every name of any library by `mask`."""
    # Fast path for the many texts without names; ASCII alone, since other letters have unusual case folding (ſ).
    lowered = text.lower()
    if text.isascii() and not any(name in lowered for names in LIBRARIES.values() for name in names):
        return text
    return LIBRARY_NAME.sub(mask, text)


def parsed_files(library: Installed) -> Iterator[tuple[str, ast.Module]]:
    """Parse a library's source files in the order of their names, except tests and files that do not parse.

    Yields:
        The file's path below the folder, with forward slashes, and its syntax tree.

    Raises:
        SettingError: a file was changed after installation.
    """
    for name in sorted(library.files):
        *folders, file = name.split("/")
        if "tests" in folders or file.startswith("test_"):
            continue
        content = library.read(name)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # about escapes in a library's strings
                tree = ast.parse(content.decode().replace("\r\n", "\n").replace("\r", "\n"))
        except (SyntaxError, ValueError):  # ValueError: not utf-8, or null bytes
            continue
        yield name, tree


Definition = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
"""A class, a function or a method."""


_BLOCKS = ("body", "handlers", "orelse", "finalbody", "cases")  # in the order of the source


def definitions(node: ast.AST) -> Iterator[Definition]:
    """Yield the classes, functions and methods inside a node, outer ones first, in source order."""
    for block in _BLOCKS:  # of statements, handlers and cases: nothing else holds a definition
        for child in getattr(node, block, ()):
            if isinstance(child, Definition):
                yield child
            yield from definitions(child)
