"""Where code made the host wait for a device. Imports no torch."""

from __future__ import annotations

import sys
import warnings
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

_HERE = Path(__file__).parents[2]
_OWN = str(Path(__file__).parent)
_SPEC = find_spec("torch")
_TORCH = str(Path(_SPEC.origin).parent) if _SPEC and _SPEC.origin else "torch"


class Wait(NamedTuple):
    """What made the host wait for the device.

    Attributes:
        what: the operation, or the direction of a copy.
        place: the file and the line of the innermost code outside of torch.
    """

    what: str
    place: str


def find_place() -> str:
    """Return the file and the line of the innermost code that is running, torch and these checks apart."""
    frame: Any = sys._getframe(1)
    while frame is not None:
        path = frame.f_code.co_filename
        if not path.startswith((_OWN, _TORCH, warnings.__file__)):
            return f"{shorten(path)}:{frame.f_lineno}"
        frame = frame.f_back
    return "unknown"


def shorten(path: str) -> str:
    """Return the path of a file of this checkout below it, and of another its last three parts.

    >>> shorten("/usr/lib/python3/site-packages/torch/nn/modules/rnn.py")
    'nn/modules/rnn.py'
    """
    found = Path(path)
    in_checkout = found.is_relative_to(_HERE) and "site-packages" not in found.parts
    return str(found.relative_to(_HERE)) if in_checkout else "/".join(found.parts[-3:])
