"""How loops are compiled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

from numba import njit

Loop = TypeVar("Loop", bound=Callable[..., Any])


def compiled(loop: Loop) -> Loop:
    """Compile a function of arrays and numbers when it is first called; the next process finds the machine code.

    Products and sums may be fused, which rounds once instead of twice; nothing else is reordered, so the same numbers
    come out every time. There is no check of bounds: whoever calls sees to it that indices fit.
    """
    options: dict[str, Any] = {"nogil": True, "error_model": "numpy", "fastmath": {"contract"}}
    try:
        return cast(Loop, njit(cache=True, **options)(loop))
    except RuntimeError:  # nowhere to keep it: neither beside the source nor in the user's cache
        return cast(Loop, njit(**options)(loop))
