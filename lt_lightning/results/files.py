"""Files that are whole or not there: what an interrupted run leaves can always be read."""

import os
from pathlib import Path


def write_whole(path: Path, content: str | bytes) -> None:
    """Put `content` at `path`, so that a reader finds the old file or the new one, never a part of either.

    Args:
        path: the file; its folder must exist.
        content: all of it. Text is written as UTF-8, its line ends untouched.

    Raises:
        OSError: the folder is missing or not writable, or the disk is full; what was at `path` is still there.
    """
    data = content.encode() if isinstance(content, str) else content
    # In the same folder, since a rename is atomic only within one file system. Opened like any other file, unlike
    # one from `tempfile`, so that colleagues can read the result as far as the umask lets them.
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
