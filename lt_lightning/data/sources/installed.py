"""Find and parse the source files of installed libraries, with the digests that their distributions recorded.

A folder of the same name in the working directory does not count. No library is imported.
"""

from __future__ import annotations

import ast
import base64
import csv
import hashlib
import importlib.metadata
import json
import re
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lt_lightning.errors import SettingError
from lt_lightning.storage.site_packages import search_path


@dataclass(frozen=True)
class Installed:
    """An installed library.

    Attributes:
        name: its name.
        version: its version.
        root: its folder.
        files: the digest of each Python file, `sha256=…` as in `RECORD`, by its path below the folder with forward
            slashes.
    """

    name: str
    version: str
    root: Path
    files: Mapping[str, str]

    @classmethod
    def of_folder(cls, name: str, version: str, root: Path) -> Installed:
        """Return the library that a folder holds now."""
        paths = {path.relative_to(root).as_posix(): path for path in root.rglob("*.py")}
        return cls(name, version, root, {file: _spell("sha256", paths[file].read_bytes()) for file in paths})

    @property
    def digest(self) -> str:
        """Return the digest of the version and of all files."""
        content = json.dumps([self.name, self.version, sorted(self.files.items())])
        return hashlib.sha256(content.encode(errors="surrogatepass")).hexdigest()

    def read(self, file: str) -> bytes:
        """Return the content of a file; raise a `SettingError` if it was changed after installation."""
        path = self.root / file
        try:
            content = path.read_bytes()
        except OSError as error:
            raise self._changed(path, error.strerror or str(error)) from None
        if _spell(self.files[file].partition("=")[0], content) != self.files[file]:
            raise self._changed(path, "changed")
        return content

    def _changed(self, path: Path, what: str) -> SettingError:
        return SettingError(
            f"data: {path} is not as {self.name} {self.version} was installed ({what}); "
            f"pip install --force-reinstall --no-deps {self.name}=={self.version}"
        )


def find_installed(library: str, data: str) -> Installed:
    """Find a library's installed files; errors name the `data` choice.

    Raises:
        SettingError: it is not installed, or installed as a working copy.
    """
    found = _distribution(library)
    if found is None:
        raise SettingError(
            f"data={data} reads {library}'s source; it is not installed: pip install 'lt-lightning[pydocs]'"
        )
    root, record = Path(str(found.locate_file(library))), found.read_text("RECORD")
    files = _recorded(record, library) if record else {}
    if not all(files.values()) or (not record and root.is_dir()):
        # Some systems' packages have no record, or one without digests.
        return Installed.of_folder(library, found.version, root)
    if not files:
        raise SettingError(
            f"data={data} reads {library}'s source as it was installed, but {library} {found.version} is a working "
            f"copy, or not installed as files; pip install {library}, without -e"
        )
    return Installed(library, found.version, root, files)


def find_version(distribution: str) -> str | None:
    """Return the version of an installed distribution; None if it is not installed."""
    found = _distribution(distribution)
    return None if found is None else found.version


def find_folder(distribution: str, folder: str) -> Path | None:
    """Return a top folder of an installed distribution; None if it is not installed."""
    found = _distribution(distribution)
    return None if found is None else Path(str(found.locate_file(folder)))


def _distribution(name: str) -> Any:
    """Return an installed distribution, or None. It is one of the package importlib_metadata where that is imported."""
    return next(iter(importlib.metadata.distributions(name=name, path=search_path())), None)


def _recorded(record: str, library: str) -> dict[str, str]:
    """Return the digests of a library's Python files from the text of `RECORD`."""
    lines = [line for line in record.splitlines() if ".py" in line and line.lstrip('"').startswith(f"{library}/")]
    rows = [row for row in csv.reader(lines) if len(row) > 1 and row[0].endswith(".py")]
    return {row[0].removeprefix(f"{library}/"): row[1] for row in rows}


def _spell(algorithm: str, content: bytes) -> str:
    """Return a digest in `RECORD` form: https://packaging.python.org/specifications/recording-installed-packages"""
    digest = base64.urlsafe_b64encode(hashlib.new(algorithm, content).digest()).rstrip(b"=")
    return f"{algorithm}={digest.decode()}"


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
