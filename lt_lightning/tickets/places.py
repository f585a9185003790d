"""Pack the places of a tensor's living entries (C order, ascending) into bytes.

Two forms are written, whichever is shorter. `rice`: for each living entry the number of dead ones since the last, as a
Rice code (Rice and Plaunt 1971, https://doi.org/10.1109/TCOM.1971.1090789): within some per cent of the entropy where
places are random, and quick to read with NumPy, as quotients and remainders stand apart. `bits`: a bit for each entry.
A third one, `gaps`, is in files of version 1: the same numbers in LEB128.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

Form = Literal["rice", "bits", "gaps"]
_HEAD = 5
"""Bytes before a Rice code: the number of bits of a remainder, and the number of gaps."""
_WIDEST = 40
"""Bits of a remainder at most: tensors have at most 2⁴⁰ entries."""
_LONGEST = 9
"""Bytes of a gap in LEB128: 63 bits."""


def pack(places: np.ndarray, total: int) -> tuple[Form, np.ndarray]:
    """Return the form and the packed bytes, uint8.

    Args:
        places: (living,) int64, ascending, each in [0, total).
        total: the number of entries, living or dead.

    Examples:
        >>> pack(np.array([0, 1, 3]), 8)
        ('bits', array([11], dtype=uint8))
        >>> pack(np.array([100, 200]), 1000)  # gaps of 100 and 99: remainders of 6 bits, quotients of 1
        ('rice', array([  6,   2,   0,   0,   0, 228,   8,  10], dtype=uint8))
    """
    gaps = np.diff(places, prepend=-1) - 1
    sizes = [len(gaps) * (width + 1) + int((gaps >> width).sum()) for width in range(_WIDEST + 1)]
    width = sizes.index(min(sizes))
    if len(gaps) >> 32 or _HEAD + sizes[width] // 8 >= -(-total // 8):
        alive = np.zeros(total, bool)
        alive[places] = True
        return "bits", np.packbits(alive, bitorder="little")
    remainders = (gaps[:, None] >> np.arange(width) & 1).astype(np.uint8)
    quotients = np.zeros(sizes[width] - width * len(gaps), np.uint8)
    quotients[(gaps >> width).cumsum() + np.arange(len(gaps))] = 1
    head = np.frombuffer(bytes([width]) + len(gaps).to_bytes(4, "little"), np.uint8)
    parts = [head, *(np.packbits(bits.reshape(-1), bitorder="little") for bits in (remainders, quotients))]
    return "rice", np.concatenate(parts)


def unpack(form: Form, packed: np.ndarray, total: int) -> np.ndarray:
    """Return the places as int64.

    Raises:
        ValueError: these bytes are not the places of living ones among so many entries; the message says why.
    """
    if form != "bits":
        return _places_of(_read_rice(packed, total) if form == "rice" else _read_leb128(packed, total), total)
    if len(packed) != -(-total // 8):
        raise ValueError(f"{len(packed):,} bytes are not the bits of {total:,} entries")
    alive = np.unpackbits(packed, bitorder="little")
    if alive[total:].any():
        raise ValueError("a place lies beyond the last entry")
    return np.flatnonzero(alive)


def _places_of(gaps: np.ndarray, total: int) -> np.ndarray:
    # As floats first: an int64 sum could overflow.
    if gaps.sum(dtype=np.float64) > total or (len(gaps) and int(gaps.sum()) + len(gaps) > total):
        raise ValueError("a place lies beyond the last entry")
    return np.cumsum(gaps + 1) - 1


def _read_rice(packed: np.ndarray, total: int) -> np.ndarray:
    head = packed[:_HEAD].tobytes()
    width, count = (head or b"\xff")[0], int.from_bytes(head[1:], "little")
    end = _HEAD + -(-count * width // 8)
    if len(head) < _HEAD or width > _WIDEST or count > total or end > len(packed):
        raise ValueError("its bytes are cut off, or too many")
    bits = np.unpackbits(packed[_HEAD:end], bitorder="little")
    ends = np.flatnonzero(np.unpackbits(packed[end:], bitorder="little"))
    if len(ends) != count or bits[count * width :].any() or len(packed) - end != -(-(ends.max(initial=-1) + 1) // 8):
        raise ValueError(f"its bytes are not those of {count:,} gaps")
    quotients = np.diff(ends, prepend=-1) - 1
    if int(quotients.max(initial=0)) << width > total:
        raise ValueError("a place lies beyond the last entry")
    gaps = quotients << width
    for bit in range(width):
        gaps |= bits[bit : count * width : width].astype(np.int64) << bit
    return gaps


def _read_leb128(packed: np.ndarray, total: int) -> np.ndarray:
    """Return gaps of seven bits a byte, the lowest first, the eighth set if more follow (https://dwarfstd.org, 7.6)."""
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
    return np.add.reduceat((packed & 127).astype(np.int64) << shifts, starts)
