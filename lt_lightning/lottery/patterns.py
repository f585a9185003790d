"""Parse `pruning.pattern`: the shape of what is pruned together. Importing this file does not load torch."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from lt_lightning.lottery.errors import LotteryError

_CHOICES = "unstructured, n:m such as 2:4, block:RxC such as block:4x1, rows, rows:l2"


@dataclass(frozen=True)
class _Pattern:
    """Attributes that all patterns have."""

    @property
    def density(self) -> float | None:
        """Return the density that the pattern itself gives a tensor; None where a setting decides."""
        return None

    def check(self, name: str, shape: Sequence[int]) -> None:
        """Raise LotteryError if the shape of a parameter does not divide into the pattern's units."""


@dataclass(frozen=True)
class Unstructured(_Pattern):
    """Each entry is pruned by itself."""


@dataclass(frozen=True)
class NOfM(_Pattern):
    """In each group of `m` consecutive inputs (axis 1) at least `n` stay. Tensors of one dimension are not pruned."""

    n: int
    m: int

    @property
    def density(self) -> float:
        """Return n / m."""
        return self.n / self.m

    def check(self, name: str, shape: Sequence[int]) -> None:
        """Raise LotteryError if the inputs of a parameter do not divide into groups."""
        if len(shape) > 1 and shape[1] % self.m:
            raise LotteryError(
                f"pattern: {self.n}:{self.m} groups the inputs (axis 1) of {name!r} by {self.m}, but its shape is "
                f"{tuple(shape)}; exclude this parameter, or choose another pattern"
            )

    def stay(self, density: float) -> int:
        """Return how many of each group stay at a density: at least `n`."""
        return min(self.m, max(self.n, math.ceil(density * self.m - 1e-9)))


@dataclass(frozen=True)
class Block(_Pattern):
    """Blocks of `rows` × `columns` of a tensor seen as (axis 0) × (the rest). Tensors of one dimension by entry."""

    rows: int
    columns: int

    def check(self, name: str, shape: Sequence[int]) -> None:
        """Raise LotteryError if a parameter does not divide into blocks."""
        if len(shape) > 1 and (shape[0] % self.rows or math.prod(shape[1:]) % self.columns):
            raise LotteryError(
                f"pattern: {name!r} of shape {tuple(shape)}, seen as {shape[0]} x {math.prod(shape[1:])}, does not "
                f"divide into blocks of {self.rows}x{self.columns}; exclude this parameter, or choose another pattern"
            )


@dataclass(frozen=True)
class Rows(_Pattern):
    """Rows, the slices along axis 0: filters, words, units. Tensors of one dimension by entry."""

    norm: Literal["l1", "l2"] = "l1"


Pattern = Unstructured | NOfM | Block | Rows


def parse_pattern(text: str | Pattern) -> Pattern:
    """Parse `unstructured`, `n:m`, `block:RxC`, `rows` or `rows:l2`.

    Raises:
        LotteryError: if it is none of these, `n` is not between 1 and `m` − 1, or a block has no entry.

    Examples:
        >>> parse_pattern("2:4"), parse_pattern("block:4x1")
        (NOfM(n=2, m=4), Block(rows=4, columns=1))
    """
    if isinstance(text, Unstructured | NOfM | Block | Rows):
        return text
    text = str(text)
    if text == "unstructured":
        return Unstructured()
    if match := re.fullmatch(r"rows(?::(l1|l2))?", text):
        return Rows("l2" if match[1] == "l2" else "l1")
    if match := re.fullmatch(r"(\d{1,9}):(\d{1,9})", text):
        n, m = map(int, match.groups())
        if not 1 <= n < m:
            raise LotteryError(f"pattern: {text} keeps {n} of {m}; n must be at least 1 and smaller than m, as in 2:4")
        return NOfM(n, m)
    if match := re.fullmatch(r"block:(\d{1,9})x(\d{1,9})", text):
        rows, columns = map(int, match.groups())
        if not rows * columns:
            raise LotteryError(f"pattern: {text} has no entry; give two sizes of at least 1, as in block:4x1")
        return Block(rows, columns)
    shown = text if len(text) <= 40 else f"{text[:39]}…"
    quotes = "; in a file write n:m in quotes" if text.isdigit() else ""  # YAML reads 2:4 as 124
    raise LotteryError(f"pattern: {shown!r} is none of {_CHOICES}{quotes}")


def check_shapes(pattern: str | Pattern, shapes: Mapping[str, Sequence[int]]) -> None:
    """Raise LotteryError if a parameter's shape does not divide into the units of a pattern."""
    parsed = parse_pattern(pattern)
    for name, shape in shapes.items():
        parsed.check(name, shape)
