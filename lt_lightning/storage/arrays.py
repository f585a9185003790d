"""Read the arrays of a sealed file with NumPy alone. Format: https://huggingface.co/docs/safetensors"""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any

import numpy as np

from lt_lightning.errors import shown

_MOST_DIMENSIONS, _LARGEST = 8, 1 << 48
_TYPES = {"F32": np.float32, "F16": np.float16, "U8": np.uint8}


def read_arrays(header: Mapping[str, Any], tensors: memoryview) -> dict[str, np.ndarray]:
    """Return the arrays that `header` (`dtype`, `shape`, `data_offsets` of each) describes, without copying `tensors`.

    Raises:
        ValueError: the bytes do not hold an array; the message names it.
    """
    return {name: _array(name, said, tensors) for name, said in header.items()}


def _array(name: str, said: Any, tensors: memoryview) -> np.ndarray:
    known = isinstance(said, Mapping) and said.keys() == {"dtype", "shape", "data_offsets"}
    if not known or said["dtype"] not in tuple(_TYPES):
        raise ValueError(f"{shown(name)} is not an array of a type that tickets have")
    kind, shape, offsets = np.dtype(_TYPES[said["dtype"]]), said["shape"], said["data_offsets"]
    if not all(
        isinstance(sizes, list)
        and len(sizes) <= _MOST_DIMENSIONS
        and all(type(one) is int and 0 <= one <= _LARGEST for one in sizes)
        for sizes in (shape, offsets)
    ):
        raise ValueError(f"{shown(name)} has invalid sizes")
    count = prod(shape)
    if len(offsets) != 2 or offsets[1] > len(tensors) or offsets[1] - offsets[0] != count * kind.itemsize:
        raise ValueError(f"{shown(name)} has invalid offsets")
    return np.frombuffer(tensors[offsets[0] : offsets[1]], kind).reshape(shape)
