"""How loops are compiled."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import suppress
from typing import Any, TypeVar, cast

from numba import njit

log = logging.getLogger(__name__)

Loop = TypeVar("Loop", bound=Callable[..., Any])


def compiled(loop: Loop) -> Loop:
    """Compile a function of arrays and numbers when it is first called; the next process finds the machine code.

    Products and sums may be fused, which rounds once instead of twice; nothing else is reordered, so the same numbers
    come out every time. There is no check of bounds: whoever calls sees to it that indices fit.
    """
    options: dict[str, Any] = {"nogil": True, "error_model": "numpy", "fastmath": {"contract"}}
    try:
        dispatcher = njit(cache=True, **options)(loop)
    except RuntimeError:  # nowhere to keep it: neither beside the source nor in the user's cache
        return cast(Loop, njit(**options)(loop))
    dispatcher._cache = _LenientCache(dispatcher._cache)  # pyright: ignore[reportAttributeAccessIssue]
    return cast(Loop, dispatcher)


class _LenientCache:
    """Numba's cache of one function; where it is damaged or cannot be written, the function is compiled again."""

    def __init__(self, cache: Any) -> None:
        self._cache = cache

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cache, name)

    def load_overload(self, *arguments: Any) -> Any:
        try:
            return self._cache.load_overload(*arguments)
        except Exception as error:  # bytes that are no pickle make the unpickler fail in any way whatever
            log.warning("the cache of compiled loops is damaged (%r in %s); compiling again", error, self.cache_path)
            with suppress(OSError):
                self._cache.flush()
            return None

    def save_overload(self, *arguments: Any) -> None:
        with suppress(OSError):  # the next process compiles again
            self._cache.save_overload(*arguments)
