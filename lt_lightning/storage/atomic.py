"""Write files atomically, so that an interrupted run leaves only complete files; open only regular files to read.

Reading a pipe may block, and a device may never end.
"""

from __future__ import annotations

import errno
import os
import re
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from lt_lightning.errors import ResumableError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

_TEMPORARY = ".lt_lightning_{}.tmp"
# Version 0.4 wrote to .NAME.PID.tmp.
_LEFT = re.compile(r"\.lt_lightning_[0-9a-f]{16}\.tmp|\..+\.[0-9]+\.tmp")
_ABANDONED = 24 * 3600
"""Seconds after which a temporary file counts as abandoned on a file system without locks."""
# None of these flags exists on Windows.
_NEW = os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)


UNWRITABLE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES})
"""The numbers of errors that say that nothing can be written: a full disk, a quota, no permission."""


class WriteError(ResumableError):
    """A file cannot be written (disk full or no permission); what was written before is intact."""


def write_whole(path: Path, *content: str | bytes | memoryview) -> None:
    """Write `content` to `path` atomically: a reader finds the old file or the new one. Text is written as UTF-8.

    Raises:
        OSError: the folder is missing or not writable, or the disk is full; the old file is intact.
    """
    with open_whole(path) as file:
        for piece in content:
            file.write(piece.encode() if isinstance(piece, str) else piece)


@contextmanager
def open_whole(path: Path, name: Callable[[], str] | None = None, mode: int = 0o666) -> Iterator[BinaryIO]:
    """Open a file that appears at `path` once its content is complete.

    The content goes to a locked file of a random name in the same folder, which is then renamed. Temporary files that
    killed processes left in the folder are removed.

    Args:
        path: the file; its folder must exist. A link there is replaced, not followed.
        name: returns another file name once the content is complete, such as one made of its checksum.
        mode: the permissions of the file, before the umask.

    Raises:
        OSError: as `write_whole` does.
    """
    temporary: Path | None = None
    try:
        # In the same folder, since a rename is atomic only within one file system.
        temporary, descriptor = _create(path.parent, mode)
        with open(temporary, "wb", opener=lambda *_: descriptor) as file:  # keeps its name
            yield file
            file.flush()
            os.fsync(file.fileno())
            if fcntl is None:
                file.close()  # Windows renames closed files only
            temporary.replace(path if name is None else path.with_name(name()))
    except BaseException as error:
        if temporary is not None:
            temporary.unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno is not None:
            raise OSError(error.errno, error.strerror, str(path)) from error  # the name that users know
        raise
    with suppress(OSError):
        for left in path.parent.glob(_TEMPORARY.format("[0-9a-f]" * 16)):
            _remove_abandoned(left)


def clear_temporaries(folder: Path) -> None:
    """Remove the temporary files that killed processes left in a folder or below it; keep those still being written."""
    for path in folder.rglob(".*.tmp"):
        if _LEFT.fullmatch(path.name):
            _remove_abandoned(path)


def remove_links(*paths: Path) -> None:
    """Remove links and pipes at `paths`, so that a library does not write through them."""
    for path in paths:
        with suppress(FileNotFoundError, NotADirectoryError):
            kind = path.lstat().st_mode
            if not stat.S_ISREG(kind) and not stat.S_ISDIR(kind):
                path.unlink()


def _create(folder: Path, mode: int) -> tuple[Path, int]:
    """Create and lock a file of a random name, never opening an existing file or link."""
    while True:
        path = folder / _TEMPORARY.format(os.urandom(8).hex())
        try:
            descriptor = os.open(path, os.O_WRONLY | _NEW, mode)
        except FileExistsError:
            continue
        # Another process may have removed it as abandoned before it was locked.
        if _lock(descriptor) is not False and _is_at(path, descriptor):
            return path, descriptor
        os.close(descriptor)


def _remove_abandoned(path: Path) -> None:
    """Remove a temporary file unless its writer lives: the system releases a lock when a process ends."""
    flags = os.O_RDWR | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOFOLLOW", 0)
    with suppress(OSError):  # it is gone, is a link, or belongs to another user
        descriptor = os.open(path, flags)
        try:
            about, locked = os.fstat(descriptor), _lock(descriptor)
            is_old = time.time() - about.st_mtime > _ABANDONED
            if stat.S_ISREG(about.st_mode) and (locked or (locked is None and is_old)) and _is_at(path, descriptor):
                path.unlink()
        finally:
            os.close(descriptor)


def _lock(descriptor: int) -> bool | None:
    """Return whether an open file could be locked; None if the file system has no locks."""
    if fcntl is None:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def _is_at(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(path.lstat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


@contextmanager
def writing_to(folder: Path) -> Iterator[None]:
    """Turn an OSError within the block into a `WriteError` that names the file and the remedy."""
    try:
        yield
    except OSError as error:
        raise unwritable(error, folder) from None


def unwritable(error: OSError, place: Path | str) -> WriteError:
    """Return the `WriteError` for an OSError; `place` is used if the error has no file name."""
    where = error.filename2 or error.filename or place  # filename2 is the target of a move
    return WriteError(f"{where}: cannot be written ({error.strerror}); free some disk space or check permissions")


_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)


def open_regular(path: Path, most: int | None = None) -> BinaryIO:
    """Open a regular file, or a link to one, for reading bytes.

    Raises:
        OSError: the file does not exist, is a folder, a pipe or a device, or is larger than `most` bytes; `strerror`
            gives the reason.
    """
    # Check before opening, since opening a device can act on it, and again on what was opened.
    _check(path, path.stat(), most)
    file = open(path, "rb", opener=lambda name, _: os.open(name, _FLAGS))  # noqa: SIM115 (is returned)
    try:
        _check(path, os.fstat(file.fileno()), most)
    except OSError:
        file.close()
        raise
    return file


def read_regular(path: Path, most: int) -> bytes:
    """Return the bytes of a regular file of at most `most` bytes; raise as `open_regular` does."""
    with open_regular(path, most) as file:
        # Python allocates as much memory as it is asked to read.
        return file.read(min(most, os.fstat(file.fileno()).st_size))


def _check(path: Path, about: os.stat_result, most: int | None) -> None:
    if stat.S_ISDIR(about.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(about.st_mode):
        raise OSError(errno.EINVAL, "it is a pipe or a device, not a file", str(path))
    if most is not None and about.st_size > most:
        raise OSError(errno.EFBIG, f"it has {about.st_size:,} bytes, more than {most:,}", str(path))
