"""Find the source files of an installed library and their digests, as its distribution recorded them.

A folder of the same name in the working directory does not count.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import importlib.metadata
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

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
    """Find a library's installed files.

    Args:
        library: the name of the distribution and of its top folder.
        data: the name of the `data` choice, for errors.

    Raises:
        SettingError: it is not installed, or installed as a working copy.
    """
    found = _distribution(library)
    if found is None:
        raise SettingError(f"data={data} reads {library}'s source; it is not installed: pip install {library}")
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


def find_folder(distribution: str, folder: str) -> Path | None:
    """Return a top folder of an installed distribution; None if it is not installed."""
    found = _distribution(distribution)
    return None if found is None else Path(str(found.locate_file(folder)))


def _distribution(name: str) -> importlib.metadata.Distribution | None:
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
