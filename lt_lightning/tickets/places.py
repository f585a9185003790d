"""Which entries of a tensor live: places in C order, ascending, packed into bytes.

Two forms, whichever is smaller. `gaps`: for each living entry, how many dead ones lie between it and the one before, in
LEB128 (seven bits a byte, lowest first, the eighth says that more follow; https://dwarfstd.org, section 7.6): a byte
each for most, where entries are far between, about what entropy asks for. `bits`: a bit for each entry, lowest first.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

Form = Literal["gaps", "bits"]
_LONGEST = 9
"""Bytes of a gap: 63 bits."""


def pack(places: np.ndarray, total: int) -> tuple[Form, np.ndarray]:
    """Pack places.

    Args:
        places: (living,) int64, ascending, each in [0, total).
        total: the number of entries, living or dead.

    Returns:
        The form, and the bytes, uint8.

    Example:
        >>> pack(np.array([2, 3, 300]), 1000)
        ('gaps', array([  2,   0, 168,   2], dtype=uint8))
        >>> pack(np.array([0, 1, 3]), 8)
        ('bits', array([11], dtype=uint8))
    """
    gaps = _pack_gaps(places)
    if len(gaps) <= -(-total // 8):
        return "gaps", gaps
    alive = np.zeros(total, bool)
    alive[places] = True
    return "bits", np.packbits(alive, bitorder="little")


def unpack(form: Form, packed: np.ndarray, total: int) -> np.ndarray:
    """The places that were packed, int64.

    Raises:
        ValueError: no `pack` of so many entries gives these bytes; the message says why.
    """
    return _unpack_gaps(packed, total) if form == "gaps" else _unpack_bits(packed, total)


def _pack_gaps(places: np.ndarray) -> np.ndarray:
    gaps = np.diff(places, prepend=-1) - 1
    sizes = np.ones(len(gaps), np.int64)
    for bits in range(7, 63, 7):
        sizes += gaps >= 1 << bits
    starts = sizes.cumsum() - sizes
    packed = np.empty(int(sizes.sum()), np.uint8)
    for byte in range(int(sizes.max(initial=0))):
        has = sizes > byte
        more = np.where(sizes[has] > byte + 1, 128, 0)
        packed[starts[has] + byte] = (gaps[has] >> (7 * byte) & 127) | more
    return packed


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
    # Without overflow first: the sum of absurd ones could come out as anything.
    if gaps.sum(dtype=np.float64) > total or (places := np.cumsum(gaps + 1) - 1)[-1] >= total:
        raise ValueError("a place lies beyond the last entry")
    return places


def _unpack_bits(packed: np.ndarray, total: int) -> np.ndarray:
    if len(packed) != -(-total // 8):
        raise ValueError(f"{len(packed):,} bytes are not the bits of {total:,} entries")
    alive = np.unpackbits(packed, bitorder="little")
    if alive[total:].any():
        raise ValueError("a place lies beyond the last entry")
    return np.flatnonzero(alive)
