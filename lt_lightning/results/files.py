"""Files that are whole or not there: what an interrupted run leaves can always be read."""

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from lt_lightning.errors import ResumableError


class WriteError(ResumableError):
    """Something cannot be written: for want of room, or of leave. What was written before is still there."""


def write_whole(path: Path, *content: str | bytes | memoryview) -> None:
    """Put `content` at `path`, so that a reader finds the old file or the new one, never a part of either.

    Args:
        path: the file; its folder must exist.
        content: all of it, in one piece or several. Text is written as UTF-8, its line ends untouched.

    Raises:
        OSError: the folder is missing or not writable, or the disk is full; what was at `path` is still there.
    """
    with open_whole(path) as file:
        for piece in content:
            file.write(piece.encode() if isinstance(piece, str) else piece)


@contextmanager
def open_whole(path: Path, name: Callable[[], str] | None = None) -> Iterator[BinaryIO]:
    """A file to write whose content is at `path` once it is all there; for what is too large to hold in memory.

    Args:
        path: the file; its folder must exist.
        name: gives the file another name once its content is there, such as one made of its checksum.

    Raises:
        OSError: as `write_whole` does.
    """
    # In the same folder, since a rename is atomic only within one file system. Opened like any other file, unlike
    # one from `tempfile`, so that colleagues can read the result as far as the umask lets them.
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path if name is None else path.with_name(name()))
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno is not None:
            raise OSError(error.errno, error.strerror, str(path)) from error  # the file that people know
        raise


def clear_temporaries(folder: Path) -> None:
    """Remove what killed processes had begun to write in a folder or below it. Nobody may be writing there now."""
    for path in folder.rglob(".*.tmp"):
        if re.fullmatch(r"\..+\.[0-9]+\.tmp", path.name) and path.is_file():
            path.unlink(missing_ok=True)


@contextmanager
def writing_to(folder: Path) -> Iterator[None]:
    """Within it, say of what cannot be written where it is and what to do.

    Raises:
        WriteError: in place of an OSError.
    """
    try:
        yield
    except OSError as error:
        raise unwritable(error, folder) from None


def unwritable(error: OSError, place: Path | str) -> WriteError:
    """What to say of something that could not be written; of where, if the error does not know it."""
    where = error.filename2 or error.filename or place  # of a move, the place that it was for
    return WriteError(f"{where}: cannot be written ({error.strerror}); make room or give leave to write")
