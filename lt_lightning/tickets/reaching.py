"""Find the features, dimensions and words of a ticket that can change a logit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from lt_lightning.tickets.file import Packed
from lt_lightning.tickets.parameters import Parameter

DEAD, END = 0, 1
"""The rows of words without a living entry, and of the end of a text; see `living_words`."""
MANY = 0.1
"""Density from which `living_words` goes through a dense table of all words."""


class Feature(NamedTuple):
    """A filter."""

    place: int  # its column of `fc.weight`
    weight: np.ndarray  # (dim, width)
    bias: float  # its bias

    @property
    def width(self) -> int:
        """The number of words in its window."""
        return self.weight.shape[1]


def living_features(packed: Packed) -> list[Feature]:
    """Return the features that have a weight in `fc.weight`, the widest first."""
    alive = np.logical_or.reduce(packed.parameters["fc.weight"].dense() != 0, axis=0)
    found: list[Feature] = []
    start, layer = 0, 0
    while f"convs.{layer}.weight" in packed.parameters:
        weight = packed.parameters[f"convs.{layer}.weight"].dense()
        bias = packed.parameters[f"convs.{layer}.bias"].dense()
        living = np.flatnonzero(alive[start : start + len(weight)]).tolist()
        found += [Feature(start + one, weight[one], float(bias[one])) for one in living]
        start, layer = start + len(weight), layer + 1
    return sorted(found, key=lambda feature: -feature.width)


def living_dims(features: Sequence[Feature]) -> np.ndarray:
    """Return the dimensions of words' vectors that the features use, ascending."""
    seen = [np.flatnonzero(feature.weight.any(axis=1)) for feature in features]
    return np.unique(np.concatenate([np.zeros(0, np.int64), *seen]))


def living_words(embedding: Parameter, dims: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the vectors of words that have a living entry among `dims`.

    Returns:
        The row of each word, (words + 1,): `DEAD` for dead words; the last entry, the end of a text, has the row `END`.
        And the rows, (rows, dims): zeros for these two, then the living words' vectors in the order of the words.
    """
    words, dim = embedding.shape
    if embedding.places is None or len(embedding.values) > words * dim * MANY:
        dense = embedding.dense()[:, dims]
        living = np.flatnonzero(dense.any(axis=1))
        vectors = dense[living]
    else:
        chosen = np.full(dim, -1, np.int32)
        chosen[dims] = np.arange(len(dims))
        kept = (chosen[embedding.places % dim] >= 0) & (embedding.values != 0)
        owners, columns = np.divmod(embedding.places[kept], dim)
        living, rows = np.unique(owners, return_inverse=True)
        vectors = np.zeros((len(living), len(dims)), np.float32)
        vectors[rows, chosen[columns]] = embedding.values[kept]
    row_of = np.full(words + 1, DEAD, np.int32)
    row_of[living] = np.arange(2, len(living) + 2)
    row_of[words] = END
    return row_of, np.pad(vectors, ((2, 0), (0, 0)))
