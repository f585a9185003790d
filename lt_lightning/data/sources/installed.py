"""The source files of an installed library: those that its distribution installed, with their digests.

Where Python would import a library from does not count. It may be a folder of that name in the working directory, or
a working copy that changes.
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
    """A library that is installed.

    Attributes:
        name: its name.
        version: its version.
        root: its folder.
        files: the digest of each of its Python files, `sha256=…` as `RECORD` spells it, by name below the folder, with
            forward slashes on every system.
    """

    name: str
    version: str
    root: Path
    files: Mapping[str, str]

    @classmethod
    def of_folder(cls, name: str, version: str, root: Path) -> Installed:
        """Return the library that a folder holds as it is now."""
        paths = {path.relative_to(root).as_posix(): path for path in root.rglob("*.py")}
        return cls(name, version, root, {file: _spell("sha256", paths[file].read_bytes()) for file in paths})

    @property
    def digest(self) -> str:
        """The digest of the version and of all files."""
        content = json.dumps([self.name, self.version, sorted(self.files.items())])
        return hashlib.sha256(content.encode(errors="surrogatepass")).hexdigest()

    def read(self, file: str) -> bytes:
        """Return the content of one of the files.

        Raises:
            SettingError: it is not as it was installed.
        """
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
        data: the choice of `data` that reads it, for the error.

    Raises:
        SettingError: it is not installed, or as a working copy.
    """
    found = _distribution(library)
    if found is None:
        raise SettingError(f"data={data} reads {library}'s source; it is not installed: pip install {library}")
    root, record = Path(str(found.locate_file(library))), found.read_text("RECORD")
    files = _recorded(record, library) if record else {}
    if not all(files.values()) or (not record and root.is_dir()):
        # As some systems' own packages are: without a record, or one without digests.
        return Installed.of_folder(library, found.version, root)
    if not files:
        raise SettingError(
            f"data={data} reads {library}'s source as it was installed, but {library} {found.version} is a working "
            f"copy, or not installed as files; pip install {library}, without -e"
        )
    return Installed(library, found.version, root, files)


def find_folder(distribution: str, folder: str) -> Path | None:
    """Return a top folder of an installed distribution; None if there is no such distribution."""
    found = _distribution(distribution)
    return None if found is None else Path(str(found.locate_file(folder)))


def _distribution(name: str) -> importlib.metadata.Distribution | None:
    return next(iter(importlib.metadata.distributions(name=name, path=search_path())), None)


def _recorded(record: str, library: str) -> dict[str, str]:
    """Return the Python files in a library's folder, and their digests, from the text of `RECORD`."""
    # Most lines are of other files.
    lines = [line for line in record.splitlines() if ".py" in line and line.lstrip('"').startswith(f"{library}/")]
    rows = [row for row in csv.reader(lines) if len(row) > 1 and row[0].endswith(".py")]
    return {row[0].removeprefix(f"{library}/"): row[1] for row in rows}


def _spell(algorithm: str, content: bytes) -> str:
    """Return a digest as `RECORD` spells it: https://packaging.python.org/specifications/recording-installed-packages"""
    digest = base64.urlsafe_b64encode(hashlib.new(algorithm, content).digest()).rstrip(b"=")
    return f"{algorithm}={digest.decode()}"
