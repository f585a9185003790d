"""Open the storage of a search: a journal, which is a file, or a database."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from lt_lightning.config.typed_paths import typed_path
from lt_lightning.errors import ResumableError, SettingError, first_line
from lt_lightning.storage.atomic import open_regular, writing_to

if TYPE_CHECKING:
    from optuna.storages import BaseStorage

SETTING = "hydra.sweeper.storage"

JOURNAL = "study.journal"
"""The file of a search in its sweep's folder, unless `hydra.sweeper.storage` names another place."""


_SQLITE = re.compile(r"(sqlite[+\w]*:///)(?!/|:memory:|file:)([^?]+)(.*)")
"""The URL of a database in a file, by a relative path."""


def absolute_storage(typed: str) -> str:
    """Return a storage as it is typed, without relative paths, for processes that start elsewhere.

    >>> absolute_storage("mysql://host/db"), absolute_storage("sqlite:////data/search.db?timeout=9")
    ('mysql://host/db', 'sqlite:////data/search.db?timeout=9')
    """
    if "://" not in typed:
        # Processes that reach a journal by different links share its lock.
        return os.path.realpath(typed_path(typed))
    return _SQLITE.sub(lambda url: f"{url[1]}{Path(url[2]).absolute()}{url[3]}", typed)


def create_journal(storage: str) -> None:
    """Create an empty journal if the storage is one and its file is missing; raise a `SettingError` if that fails."""
    if "://" not in storage:
        with writing_to(Path(storage).parent), suppress(FileExistsError):
            Path(storage).open("xb").close()  # does not follow a link


def open_storage(storage: str) -> BaseStorage:
    """Open a storage. A journal is only read until something is recorded.

    Args:
        storage: the path of a journal, or the URL of a database.

    Raises:
        SettingError: it cannot be opened, or the file is no journal of Optuna's.
    """
    return _open_database(storage) if "://" in storage else _open_journal(Path(storage))


def _open_journal(path: Path) -> BaseStorage:
    from optuna.storages import JournalStorage
    from optuna.storages.journal import JournalFileBackend, JournalFileSymlinkLock

    class Lock(JournalFileSymlinkLock):
        """Optuna's lock of a journal, within which the file ends with a whole line."""

        def acquire(self) -> bool:
            acquired = super().acquire()
            try:
                _drop_torn_line(path)
            except BaseException:
                self.release()
                raise
            return acquired

    shown = shown_storage(str(path))
    if path.is_symlink():
        raise SettingError(f"{SETTING}: {shown} is a link; remove it, or give the path that it leads to")
    try:
        open_regular(path).close()  # a pipe would block
        return JournalStorage(JournalFileBackend(str(path), lock_obj=Lock(str(path))))
    except OSError as error:
        raise SettingError(f"{SETTING}: {shown} cannot be opened ({error.strerror}); give another path") from error
    except (LookupError, TypeError, AttributeError, AssertionError, RecursionError, ValueError) as error:
        raise SettingError(
            f"{SETTING}: {shown} is no journal of Optuna's, or damaged ({first_line(error)}); give another path, or "
            "restore it from a copy"
        ) from None


def _drop_torn_line(journal: Path) -> None:
    """Remove the beginning of a line that a killed process left at the end of a journal, which must be locked.

    The next line would continue it, and no process could read the journal again.
    """
    with journal.open("rb+") as file:
        if file.seek(0, 2) == 0:
            return
        file.seek(-1, 2)
        if file.read() != b"\n":
            file.seek(0)
            file.truncate(file.read().rfind(b"\n") + 1)


def _open_database(url: str) -> BaseStorage:
    from optuna.storages import RDBStorage

    try:
        return RDBStorage(url)
    except ImportError as error:
        raise SettingError(f"{SETTING}: needs the package {error.name}; pip install {error.name}") from None
    except Exception as error:  # of SQLAlchemy, Alembic, or a database's driver
        raise SettingError(
            f"{SETTING}: {shown_storage(url)} cannot be opened ({first_line(error)}); give a path, or a URL such as "
            "sqlite:///search.db"
        ) from None


def shown_storage(storage: str) -> str:
    """Return a storage as users type it: a path below the working directory, or a URL without its password."""
    if "://" not in storage:
        path = Path(storage)
        return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)
    scheme, _, rest = storage.partition("://")
    account, at, place = rest.rpartition("@")
    return f"{scheme}://{account.partition(':')[0]}{at}{place}".replace(f":///{Path.cwd()}/", ":///")


def unreachable(what: str, error: BaseException) -> ResumableError:
    """Return the error of a search whose storage cannot be read or written for now.

    Args:
        what: the search or the trial, for the message.
        error: the error of Optuna or of the system.
    """
    reason = first_line(error).removeprefix(f"{SETTING}: ")
    if isinstance(error, SettingError):
        reason = reason.partition("; ")[0]  # with a remedy of its own
    return ResumableError(f"{SETTING}: {what} cannot be recorded ({reason}); make the storage writable, and resume")
