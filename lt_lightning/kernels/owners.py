"""Check that no other user can have written a file that is kept for this user.

A checksum detects damage, not forgery. Root is trusted. Windows has no such owners and permissions; there a user's
folders are private.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


def is_foreign(about: os.stat_result) -> bool:
    """Return whether a file or folder belongs to another user."""
    return hasattr(os, "geteuid") and about.st_uid not in (0, os.geteuid())


def find_fault(about: os.stat_result) -> str | None:
    """Return why another user can have changed a file or folder, or None."""
    if is_foreign(about):
        return f"it belongs to another user, {about.st_uid}"
    if hasattr(os, "geteuid") and about.st_mode & _OTHERS_WRITE:
        return "other users may write it"
    return None


def make_private(folder: Path) -> bool:
    """Create a folder for this user alone; if it exists, remove other users' permission to write there.

    Returns:
        Whether its content can be trusted: no other user had permission to write there.

    Raises:
        OSError: the folder cannot be created, the path is not a folder, or it belongs to another user.
    """
    try:
        folder.mkdir(mode=0o700, parents=True)  # the mode applies to `folder` only
    except FileExistsError:
        if not folder.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder)) from None
    about = folder.stat()
    if is_foreign(about):
        raise PermissionError(errno.EPERM, str(find_fault(about)), str(folder))
    if find_fault(about) is None:
        return True
    folder.chmod(stat.S_IMODE(about.st_mode) & ~_OTHERS_WRITE)
    return False
