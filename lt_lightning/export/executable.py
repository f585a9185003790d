"""Put a ticket and the modules that answer with it into one executable file, which needs Python and NumPy alone.

The file is a zip archive that Python runs: https://docs.python.org/3/library/zipapp.html
"""

from __future__ import annotations

import ast
import zipfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import lt_lightning

EXECUTABLE_MARK = "# a ticket of lt-lightning, and all that answers with it but NumPy"
"""The second line of each executable file."""
_FOLDER = Path(lt_lightning.__file__).parents[1]
_ROOTS = ("lt_lightning.predict", "lt_lightning.tickets.ticket", "lt_lightning.tickets.reasons")
"""The program, and what it imports when it answers: the modules whose imports are followed."""
_STYLES = "lt_lightning/tickets/web"
"""The folder of the style sheets of `--html`."""
_TICKET = "ticket.safetensors"

# Any Python can read this, to say that it is too old.
_MAIN = f"""\
import os
import sys


def stop(reason):
    sys.stderr.write("%s: %s\\n" % (os.path.basename(sys.argv[0]), reason))
    sys.exit(2)


if sys.version_info < (3, 10):
    stop("needs Python 3.10 or later, and this is %d.%d; run it with another" % sys.version_info[:2])
try:
    import numpy
except ImportError as error:
    stop("needs NumPy, which cannot be imported (%s); pip install numpy" % str(error).strip().split("\\n")[0])

from pathlib import Path

from lt_lightning.predict import main_of_file
from lt_lightning.runtime.arguments import start_program

ticket = __loader__.get_data("{_TICKET}")
sys.exit(start_program(lambda: main_of_file(Path(sys.argv[0]), ticket)))
"""


def executable(ticket: bytes) -> bytes:
    """Return an executable file that classifies with a ticket. The same ticket gives the same bytes.

    Args:
        ticket: the file of the ticket.
    """
    styles = {f"{_STYLES}/{path.name}": path.read_bytes() for path in (_FOLDER / _STYLES).glob("*.css")}
    members = {"__main__.py": _MAIN.encode(), **styles, **_modules()}
    file = BytesIO()
    file.write(f"#!/usr/bin/env python3\n{EXECUTABLE_MARK}\n".encode())
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for path, content in sorted(members.items()):
            archive.writestr(_member(path), content, zipfile.ZIP_DEFLATED)
        archive.writestr(_member(_TICKET), ticket, zipfile.ZIP_STORED)  # weights hardly become smaller
    return file.getvalue()


def _member(path: str) -> zipfile.ZipInfo:
    member = zipfile.ZipInfo(path)  # of 1980, whenever it is written
    member.create_system, member.external_attr = 3, 0o644 << 16  # as on Unix, wherever it is written
    return member


def _modules() -> dict[str, bytes]:
    """Return the modules of this package that the roots import, by their paths in the archive."""
    found: dict[str, bytes] = {}
    waiting = [*_ROOTS]
    while waiting:
        name = waiting.pop()
        path = _path(name)
        if path is not None and path not in found:
            found[path] = (_FOLDER / path).read_bytes()
            waiting += [name.rpartition(".")[0], *_imported(found[path])]
    return found


def _path(name: str) -> str | None:
    """Return the path of a module in the archive; None if the name is that of another thing."""
    stem = name.replace(".", "/")
    return next((path for path in (f"{stem}.py", f"{stem}/__init__.py") if (_FOLDER / path).is_file()), None)


def _imported(source: bytes) -> Iterator[str]:
    """Yield the names that a module imports from this package at its top level, so whenever it is imported itself."""
    for statement in ast.parse(source).body:
        if isinstance(statement, ast.ImportFrom) and (statement.module or "").startswith("lt_lightning"):
            yield str(statement.module)
            yield from (f"{statement.module}.{one.name}" for one in statement.names)
