"""Check that the values in a ticket's header are plain JSON that can be computed with, shown and written again."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from lt_lightning.errors import shown

_DEEPEST = 16
"""Objects and lists within each other; tickets have four."""
_SHARES = ("sparsity", "density", "test_acc", "full_test_acc", "half_test_acc")
_COUNTS = ("round", "alive", "total")


def check_plain(content: Any) -> None:
    """Check that values can be written as JSON and as UTF-8, and are not nested deeper than code can follow.

    Args:
        content: what `json.loads` returned.

    Raises:
        ValueError: a value is NaN or infinite, half of a surrogate pair, or too deep.
    """
    # Without recursion: how deep this goes is up to the file.
    waiting = [(content, 0)]
    while waiting:
        value, depth = waiting.pop()
        if isinstance(value, dict):
            waiting += [(inside, depth + 1) for pair in value.items() for inside in pair]
        elif isinstance(value, list):
            waiting += [(inside, depth + 1) for inside in value]
        elif isinstance(value, float) and not math.isfinite(value):
            raise ValueError(f"its header holds {value}, which is no number of JSON")
        elif isinstance(value, str) and not _is_unicode(value):
            raise ValueError(f"its header holds {shown(value)}, half of a surrogate pair, which no file can hold")
        if depth > _DEEPEST:
            raise ValueError(f"its header has objects or lists more than {_DEEPEST} deep")


def check_numbers(about: Mapping[str, Any]) -> None:
    """Check the numbers that are computed with where the ticket is evaluated, described or exported.

    Args:
        about: what a ticket says of itself; any of these may be missing, or null where a run did not measure it.

    Raises:
        ValueError: one is not a share in [0, 1], or not a count.
    """
    for key in _SHARES:
        value = about.get(key)
        if value is not None and not (_is_number(value, int, float) and 0 <= value <= 1):
            raise ValueError(f"its {key} is {shown(value)}, which is no share between 0 and 1")
    for key in _COUNTS:
        value = about.get(key)
        if value is not None and not (_is_number(value, int) and 0 <= value < 1 << 63):
            raise ValueError(f"its {key} is {shown(value)}, which is no count")


def _is_number(value: Any, *kinds: type) -> bool:
    return isinstance(value, kinds) and not isinstance(value, bool)


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
