"""Where the living entries of a mask are, laid out as the loops read them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

Array = np.ndarray


class LivingRows(NamedTuple):
    """The living entries of a matrix, one row after another.

    Attributes:
        starts: (rows + 1,) int64, where each row's begin in `columns`.
        columns: (alive,) int32, their columns.
    """

    starts: Array
    columns: Array

    @classmethod
    def of(cls, alive: Array) -> LivingRows:
        """Those of a boolean (rows, columns).

        >>> LivingRows.of(np.array([[True, False], [False, False], [True, True]]))
        LivingRows(starts=array([0, 1, 1, 3]), columns=array([0, 0, 1], dtype=int32))
        """
        return cls(_starts(alive.sum(axis=1)), alive.nonzero()[1].astype(np.int32))


class LivingFilters(NamedTuple):
    """The living weights of filters (filters, dim, width): by dimension for the way forth, by filter for the way back.

    Attributes:
        dim_starts: (dim + 1,) int64, where each dimension's begin in `shifts` and `forth`.
        shifts: (alive,) uint32, (width - 1 - position) · filters + filter.
        forth: (alive,) where they are among all weights in order.
        filter_starts: (filters + 1,) int64, where each filter's begin in the next three.
        dims: (alive,) int32.
        positions: (alive,) int32.
        back: (alive,) where they are among all weights in order.
    """

    dim_starts: Array
    shifts: Array
    forth: Array
    filter_starts: Array
    dims: Array
    positions: Array
    back: Array

    @classmethod
    def of(cls, alive: Array) -> LivingFilters:
        """Those of a boolean (filters, dim, width)."""
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


def _starts(counts: Array) -> Array:
    return np.concatenate([[0], counts.cumsum()]).astype(np.int64)
