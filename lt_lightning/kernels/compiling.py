"""Compile loops, and cache the machine code.

Numba's cache holds pickles, which run code when they are loaded. It is kept in a folder that no other user can write
to, and not where Numba would put it.
"""

from __future__ import annotations

import logging
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar, cast

from numba import njit
from numba.core import config as numba_config

from lt_lightning.kernels.owners import find_fault, make_private

log = logging.getLogger(__name__)
config: Any = numba_config

_IS_DISABLED = bool(config.DISABLE_JIT)  # pyright: ignore[reportAttributeAccessIssue]
if _IS_DISABLED:
    log.warning("NUMBA_DISABLE_JIT is set: loops run uncompiled, some hundred times slower; unset it to compile them")

Loop = TypeVar("Loop", bound=Callable[..., Any])


def compiled(loop: Loop) -> Loop:
    """Compile a function of arrays and numbers at its first call, or load its machine code from the cache.

    Products and sums may be fused, which rounds once instead of twice; nothing else is reordered, so results are
    reproducible. Indices are not checked: the caller must make sure that they fit.

    With `NUMBA_DISABLE_JIT=1` the function is returned as it is: Python runs it, and rounds each product and sum.
    """
    if _IS_DISABLED:
        return loop
    options: dict[str, Any] = {"nogil": True, "error_model": "numpy", "fastmath": {"contract"}}
    folder = code_folder()
    if folder is None:
        return cast(Loop, njit(**options)(loop))
    before, config.CACHE_DIR = config.CACHE_DIR, str(folder)
    try:
        with _private_files():
            dispatcher = njit(cache=True, **options)(loop)
    except RuntimeError:  # the folder cannot be written
        return cast(Loop, njit(**options)(loop))
    finally:
        config.CACHE_DIR = before
    # `_cache` is private: Numba has no public way to survive a damaged cache. NUMBA_CACHE_LOCATOR_CLASSES can choose
    # another folder, whose owner is not checked.
    if not Path(dispatcher._cache.cache_path).is_relative_to(folder):  # pyright: ignore[reportAttributeAccessIssue]
        return cast(Loop, njit(**options)(loop))
    dispatcher._cache = _LenientCache(dispatcher._cache)  # pyright: ignore[reportAttributeAccessIssue]
    return cast(Loop, dispatcher)


@lru_cache(maxsize=1)
def code_folder() -> Path | None:
    """Return the folder of this user's machine code, below `NUMBA_CACHE_DIR` or the user's cache, or None.

    If another user owns or may have written a file in it, the content is deleted with a warning that names the file.
    """
    try:
        folder = _base() / "lt_lightning" / "machine_code"
        trusted = make_private(folder)
    except (OSError, RuntimeError) as error:  # RuntimeError: there is no home folder
        log.warning("compiled loops cannot be kept (%s); set NUMBA_CACHE_DIR to a folder of your own", error)
        return None
    fault = _find_fault_below(folder) if trusted else (folder, "other users could write in it")
    if fault is None:
        return folder
    log.warning("the cache of compiled loops is not trusted (%s: %s); compiling again", *fault)
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
    return None if any(folder.iterdir()) else folder


def _find_fault_below(folder: Path) -> tuple[Path, str] | None:
    """Return the first path below `folder` that another user can have changed, and why; or None."""
    for parent, folders, files in os.walk(folder):  # ignores folders that another process removes
        for name in (*folders, *files):
            with suppress(FileNotFoundError):
                if why := find_fault((path := Path(parent, name)).lstat()):
                    return path, why
    return None


def _base() -> Path:
    """Return the user's or the system's folder for caches."""
    if named := os.environ.get("NUMBA_CACHE_DIR") or os.environ.get("XDG_CACHE_HOME"):
        return Path(named).absolute()
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    return Path.home() / ("Library/Caches" if sys.platform == "darwin" else ".cache")


class _LenientCache:
    """Numba's cache of one function, which recompiles if the cache is damaged and ignores failed writes."""

    def __init__(self, cache: Any) -> None:
        self._cache = cache

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cache, name)

    def load_overload(self, *arguments: Any) -> Any:
        try:
            return self._cache.load_overload(*arguments)
        except Exception as error:  # the unpickler may raise any error on damaged bytes
            log.warning("the cache of compiled loops is damaged (%r in %s); compiling again", error, self.cache_path)
            with suppress(OSError):
                self._cache.flush()
            return None

    def save_overload(self, *arguments: Any) -> None:
        with suppress(OSError), _private_files():
            self._cache.save_overload(*arguments)


@contextmanager
def _private_files() -> Iterator[None]:
    """Create files that no other user may read or write."""
    before = os.umask(0o077)
    try:
        yield
    finally:
        os.umask(before)
