"""Multiply by a matrix with few living entries."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

SPARSE = 0.015
"""Density below which living entries are multiplied one by one; measured."""
BLOCK = 64
"""Number of columns that are multiplied at a time, so that they stay in the processor's cache."""


def product(weight: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """Return the faster function that multiplies `weight` (outputs, inputs) by a matrix (inputs, columns)."""
    rows, columns = np.nonzero(weight)
    if len(rows) >= SPARSE * weight.size:
        return np.ascontiguousarray(weight).__matmul__
    values, count = weight[rows, columns], len(weight)
    # Rows with the most living entries first; then a layer of all first entries, one of all second entries, …
    living, starts, counts = np.unique(rows, return_index=True, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    living, starts, counts = living[order], starts[order], counts[order]
    turns = [starts[counts > turn] + turn for turn in range(counts.max(initial=0))]
    layers = [(values[turn, None], columns[turn]) for turn in turns]

    def multiply(other: np.ndarray) -> np.ndarray:
        if other.shape[1] == 1:
            terms = other.take(columns) * values
            return np.bincount(rows, terms, count).astype(np.float32)[:, None]
        result = np.zeros((count, other.shape[1]), np.float32)
        for start in range(0, other.shape[1], BLOCK):
            block = np.ascontiguousarray(other[:, start : start + BLOCK])
            sums = np.zeros((len(living), block.shape[1]), np.float32)
            for factors, places in layers:
                terms = block.take(places, axis=0)
                terms *= factors
                sums[: len(places)] += terms
            result[living, start : start + BLOCK] = sums
        return result

    return multiply
