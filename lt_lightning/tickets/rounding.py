"""Round the living weights of a tensor to few levels, each named by a number of 8 or 4 bits.

The levels are a codebook, or equally spaced with a scale for the tensor or for each of its rows: whichever is nearest
to the weights. A codebook is found by Lloyd's algorithm (Lloyd 1982, https://doi.org/10.1109/TIT.1982.1056489; of
pruned weights Han et al. 2016, https://arxiv.org/abs/1510.00149).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

WHOLE, HALF, BITS = 32, 16, (8, 4)
"""The bits of a weight: of float32 as it was trained, of float16, and of codes."""
_BINS, _TURNS = 1024, 200
_CODES, _LEVELS, _SCALES = "codes", "levels", "scales"


@dataclass(frozen=True)
class Codes:
    """Weights that are rounded to levels.

    Attributes:
        bits: 8 or 4.
        numbers: (living,) uint8, the number of each weight's level.
        levels: (at most 2^bits,) float16, ascending; None if the levels are equally spaced.
        scales: (1,) or (rows,) float32, the distance of levels that are equally spaced, of the tensor or of each row
            of its first axis; number 2^(bits − 1) is zero. None if there are `levels`.
    """

    bits: int
    numbers: np.ndarray
    levels: np.ndarray | None = None
    scales: np.ndarray | None = None

    def values(self, rows: np.ndarray | None) -> np.ndarray:
        """Return the rounded weights, (living,) float32.

        Args:
            rows: (living,) the row of each weight; needed if each row has its own scale.
        """
        if self.levels is not None:
            return self.levels.astype(np.float32)[self.numbers]
        assert self.scales is not None
        scales = self.scales if len(self.scales) == 1 or rows is None else self.scales[rows]
        return scales * (self.numbers.astype(np.float32) - _zero(self.bits))

    def arrays(self, name: str) -> dict[str, np.ndarray]:
        """Return the tensors of a file that hold the codes of a parameter."""
        packed = self.numbers
        if self.bits == 4:
            even, odd = packed[::2], packed[1::2]
            packed = even | np.pad(odd, (0, len(even) - len(odd))) << 4
        found = {f"{name}/{_CODES}": packed}
        found |= {} if self.levels is None else {f"{name}/{_LEVELS}": self.levels}
        return found | ({} if self.scales is None else {f"{name}/{_SCALES}": self.scales})

    @property
    def size(self) -> int:
        """The number of bytes in a file."""
        return sum(array.nbytes for array in self.arrays("").values())


def round_values(values: np.ndarray, rows: np.ndarray, count: int, bits: int) -> Codes | None:
    """Return the codes that are nearest to weights, in the mean of squares.

    Args:
        values: (living,) float32.
        rows: (living,) the row of each weight.
        count: the number of rows.
        bits: 8 or 4.

    Returns:
        The codes; None if they would take as much room as float16.
    """
    if not len(values):
        return None
    found = [codes for codes in _candidates(values, rows, count, bits) if codes.size < 2 * len(values)]
    errors = [float(((codes.values(rows) - values) ** 2).mean(dtype=np.float64)) for codes in found]
    return found[errors.index(min(errors))] if found else None


def _candidates(values: np.ndarray, rows: np.ndarray, count: int, bits: int) -> Iterator[Codes]:
    with np.errstate(over="ignore"):
        levels = np.unique(_codebook(values, 1 << bits).astype(np.float16))
    if np.isfinite(levels).all():
        borders = (levels[1:].astype(np.float32) + levels[:-1].astype(np.float32)) / 2
        yield Codes(bits, np.searchsorted(borders, values).astype(np.uint8), levels=levels)
    largest = np.zeros(count, np.float32)
    np.maximum.at(largest, rows, np.abs(values))
    for scales in (largest.max(keepdims=True), largest):
        scales = np.where(scales > 0, scales, 1) / np.float32(_zero(bits) - 1)
        numbers = np.rint(values / (scales if len(scales) == 1 else scales[rows])) + _zero(bits)
        yield Codes(bits, numbers.astype(np.uint8), scales=scales)


def _codebook(values: np.ndarray, count: int) -> np.ndarray:
    """Return at most `count` levels, ascending, that are near to the values in the mean of squares."""
    ordered = np.sort(values.astype(np.float64))
    levels = np.unique(ordered)
    if len(levels) <= count:
        return levels
    # Of many levels the best are as dense as the cube root of the weights' density (Panter and Dite 1951).
    sizes, edges = np.histogram(ordered, min(_BINS, max(count, len(ordered) // 8)))
    share = np.concatenate([[0], np.cbrt(sizes).cumsum()])
    levels = np.interp((np.arange(count) + 0.5) / count, share / share[-1], edges)
    sums, bounds = np.concatenate([[0], ordered.cumsum()]), np.empty(0, np.int64)
    for _ in range(_TURNS):
        inside = np.searchsorted(ordered, (levels[1:] + levels[:-1]) / 2)
        if np.array_equal(bounds, now := np.concatenate([[0], inside, [len(ordered)]])):
            break
        bounds, sizes = now, np.diff(now)
        means = np.diff(sums[now]) / np.maximum(sizes, 1)
        levels = np.where(sizes > 0, means, levels)
    return levels


def read_codes(name: str, bits: int, living: int, rows: int, arrays: Mapping[str, np.ndarray]) -> Codes:
    """Return the codes of a parameter of a file.

    Args:
        name: its name.
        bits: 8 or 4.
        living: the number of its living entries.
        rows: the length of its first axis.
        arrays: the tensors of the file.

    Raises:
        ValueError: the tensors do not hold such codes; the message names the parameter.
    """
    packed, levels, scales = (arrays.get(f"{name}/{kind}") for kind in (_CODES, _LEVELS, _SCALES))
    if packed is None or packed.dtype != np.uint8 or packed.shape != (-(-living * bits // 8),):
        raise ValueError(f"{name!a} has no codes of {bits} bits for {living:,} weights")
    numbers = packed if bits == 8 else np.stack([packed & 15, packed >> 4], axis=1).reshape(-1)
    if numbers[living:].any():
        raise ValueError(f"{name!a} has more codes than weights")
    numbers = numbers[:living]
    if levels is not None:
        scales = None
        fits = levels.dtype == np.float16 and levels.ndim == 1 and numbers.max(initial=0) < len(levels) <= 1 << bits
    else:
        fits = scales is not None and scales.dtype == np.float32 and scales.shape in ((1,), (rows,))
    if not fits or not all(np.isfinite(one).all() for one in (levels, scales) if one is not None):
        raise ValueError(f"{name!a} has codes without levels")
    return Codes(bits, numbers, levels, scales)


def values_name(bits: int) -> str:
    """Return what a ticket's header calls weights of so many bits.

    >>> values_name(16), values_name(4)
    ('float16', '4 bits')
    """
    return f"float{bits}" if bits >= HALF else f"{bits} bits"


def _zero(bits: int) -> int:
    """Return the number of the level zero among equally spaced ones."""
    return 1 << bits - 1
