"""Multiply by a matrix with few living entries."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np

SPARSE = 0.02
"""Density below which living entries are multiplied one by one; measured."""
BLOCK = 64
"""Number of columns that are multiplied at a time, so that they stay in the processor's cache."""


def product(weight: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """Return the faster function that multiplies `weight` (outputs, inputs) by a matrix (inputs, columns).

    It returns a new array.
    """
    if np.count_nonzero(weight) >= SPARSE * weight.size:
        return np.ascontiguousarray(weight).__matmul__
    return _Sparse(weight)


class _Sparse:
    """A matrix whose living entries are multiplied one by one.

    Entries are added in turns: first each row's first one, then the second ones of the rows that have two, and so on.
    With the rows in descending order of their number of entries, each turn has the first rows of the turn before.
    """

    def __init__(self, weight: np.ndarray) -> None:
        alive = weight != 0
        alive[~alive.any(axis=1), 0] = True  # a row without living entries gets a zero, so that all rows are alike
        rows, self._columns = np.nonzero(alive)
        self._values = weight[rows, self._columns]
        counts = alive.sum(axis=1)
        self._starts = counts.cumsum() - counts
        order = np.argsort(-counts, kind="stable")
        turns = [self._starts[order[: (counts > turn).sum()]] + turn for turn in range(counts.max())]
        entries = np.concatenate(turns)
        self._spans = [*pairwise(np.cumsum([0, *map(len, turns)]).tolist())]
        self._turned_columns, self._turned_values = self._columns[entries], self._values[entries, None]
        self._place = np.argsort(order)

    def __call__(self, other: np.ndarray) -> np.ndarray:
        """Return the product with a matrix (inputs, columns)."""
        columns = other.shape[1]
        if columns == 1:
            return np.add.reduceat(other[:, 0].take(self._columns) * self._values, self._starts)[:, None]
        if columns <= BLOCK:
            return self._multiply(other)
        result = np.empty((len(self._place), columns), np.float32)
        for start in range(0, columns, BLOCK):
            result[:, start : start + BLOCK] = self._multiply(other[:, start : start + BLOCK])
        return result

    def _multiply(self, block: np.ndarray) -> np.ndarray:
        terms = block.take(self._turned_columns, axis=0)
        terms *= self._turned_values
        for start, end in self._spans[1:]:
            terms[: end - start] += terms[start:end]
        return terms.take(self._place, axis=0)
