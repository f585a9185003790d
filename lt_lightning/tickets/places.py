"""Pack the places of a tensor's living entries (C order, ascending) into bytes.

There are two forms; the smaller is used. `gaps`: for each living entry the number of dead ones since the last, in
LEB128 (seven bits a byte, lowest first, the eighth set if more follow; https://dwarfstd.org, section 7.6); for sparse
tensors close to the entropy. `bits`: a bit for each entry, lowest first.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

Form = Literal["gaps", "bits"]
_LONGEST = 9
"""Bytes of a gap: 63 bits."""


def pack(places: np.ndarray, total: int) -> tuple[Form, np.ndarray]:
    """Return the form and the packed bytes, uint8.

    Args:
        places: (living,) int64, ascending, each in [0, total).
        total: the number of entries, living or dead.

    Examples:
        >>> pack(np.array([2, 3, 300]), 1000)
        ('gaps', array([  2,   0, 168,   2], dtype=uint8))
        >>> pack(np.array([0, 1, 3]), 8)
        ('bits', array([11], dtype=uint8))
    """
    gaps = np.diff(places, prepend=-1) - 1
    sizes = np.ones(len(gaps), np.int64)
    for bits in range(7, 63, 7):
        sizes += gaps >= 1 << bits
    if sizes.sum() > -(-total // 8):
        alive = np.zeros(total, bool)
        alive[places] = True
        return "bits", np.packbits(alive, bitorder="little")
    starts = sizes.cumsum() - sizes
    packed = np.empty(int(sizes.sum()), np.uint8)
    for byte in range(int(sizes.max(initial=0))):
        has = sizes > byte
        more = np.where(sizes[has] > byte + 1, 128, 0)
        packed[starts[has] + byte] = (gaps[has] >> (7 * byte) & 127) | more
    return "gaps", packed


def unpack(form: Form, packed: np.ndarray, total: int) -> np.ndarray:
    """Return the places as int64.

    Raises:
        ValueError: `pack` cannot have returned these bytes for so many entries; the message says why.
    """
    if form == "gaps":
        return _unpack_gaps(packed, total)
    if len(packed) != -(-total // 8):
        raise ValueError(f"{len(packed):,} bytes are not the bits of {total:,} entries")
    alive = np.unpackbits(packed, bitorder="little")
    if alive[total:].any():
        raise ValueError("a place lies beyond the last entry")
    return np.flatnonzero(alive)


def _unpack_gaps(packed: np.ndarray, total: int) -> np.ndarray:
    if not len(packed):
        return np.empty(0, np.int64)
    ends = np.flatnonzero(packed < 128)
    if not len(ends) or ends[-1] != len(packed) - 1:
        raise ValueError("its last gap is cut off")
    starts = np.concatenate([[0], ends[:-1] + 1])
    sizes = ends - starts + 1
    if sizes.max() > _LONGEST or len(sizes) > total:
        raise ValueError("a gap is too long" if sizes.max() > _LONGEST else "it has more places than entries")
    shifts = 7 * (np.arange(len(packed)) - np.repeat(starts, sizes))
    gaps = np.add.reduceat((packed & 127).astype(np.int64) << shifts, starts)
    # As floats first: an int64 sum could overflow.
    if gaps.sum(dtype=np.float64) > total or (places := np.cumsum(gaps + 1) - 1)[-1] >= total:
        raise ValueError("a place lies beyond the last entry")
    return places
