"""The living entries of a mask in the order in which the loops read them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeGuard

import numpy as np
from torch import Tensor

Array = np.ndarray
SPARSE_ROWS = 0.06
"""Density of the words' vectors below which living entries are multiplied one by one; measured, as is the next."""
SPARSE_FILTERS = 0.05
"""Density of the filters below which the backward pass visits living weights only."""


class LivingRows(NamedTuple):
    """The living entries of a matrix, row after row."""

    starts: Array  # (rows + 1,) int64, the start of each row's entries in `columns`
    columns: Array  # (alive,) int32, their columns

    @classmethod
    def of(cls, alive: Array) -> LivingRows:
        """Return those of a boolean (rows, columns).

        >>> LivingRows.of(np.array([[True, False], [False, False], [True, True]]))
        LivingRows(starts=array([0, 1, 1, 3]), columns=array([0, 0, 1], dtype=int32))
        """
        places = alive.reshape(-1).nonzero()[0]  # a third of the time that two indices take
        return cls(_starts(np.count_nonzero(alive, axis=1)), (places % alive.shape[1]).astype(np.int32))


class LivingFilters(NamedTuple):
    """The living weights of filters (filters, dim, width), by dimension (forward) and by filter (backward)."""

    dim_starts: Array  # (dim + 1,) int64, the start of each dimension's weights in `shifts` and `forth`
    shifts: Array  # (alive,) uint32, (width - 1 - position) · filters + filter
    forth: Array  # (alive,) their positions among all weights
    filter_starts: Array  # (filters + 1,) int64, the start of each filter's weights in the next three
    dims: Array  # (alive,) int32
    positions: Array  # (alive,) int32
    back: Array  # (alive,) their positions among all weights

    @classmethod
    def of(cls, alive: Array) -> LivingFilters:
        """Return those of a boolean (filters, dim, width)."""
        filters, dim, width = alive.shape
        numbers = np.arange(alive.size).reshape(alive.shape)
        d, f, p = alive.transpose(1, 0, 2).nonzero()
        forth = numbers[f, d, p]
        shifts = ((width - 1 - p) * filters + f).astype(np.uint32)
        back_f, back_d, back_p = alive.nonzero()
        return cls(
            _starts(np.bincount(d, minlength=dim)),
            shifts,
            forth,
            _starts(np.bincount(back_f, minlength=filters)),
            back_d.astype(np.int32),
            back_p.astype(np.int32),
            numbers[back_f, back_d, back_p],
        )


@dataclass(frozen=True)
class Living:
    """The living entries of parameters that have few of them."""

    rows: LivingRows | None  # those of the embedding; None if too many live
    filters: tuple[LivingFilters | None, ...]  # those of each convolution; None if too many live

    @classmethod
    def of(cls, embedding: Tensor | None, convs: Sequence[Tensor | None]) -> Living:
        """Return those of masks `(words, dim)` and, of each convolution, `(filters, dim, width)`; None: all live."""
        rows = LivingRows.of(embedding.cpu().numpy()) if _is_below(embedding, SPARSE_ROWS) else None
        filters = (LivingFilters.of(one.cpu().numpy()) if _is_below(one, SPARSE_FILTERS) else None for one in convs)
        return cls(rows, tuple(filters))


def _is_below(alive: Tensor | None, density: float) -> TypeGuard[Tensor]:
    return alive is not None and int(alive.count_nonzero()) < density * alive.numel()


def _starts(counts: Array) -> Array:
    return np.concatenate([[0], counts.cumsum()]).astype(np.int64)
