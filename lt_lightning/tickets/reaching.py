"""What of a convolutional ticket reaches a logit: features, their weights, and words that these tell from `<unk>`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import NamedTuple

import numpy as np

from lt_lightning.tickets.file import Packed, Parameter

MANY = 0.1
"""From this density on a table of all words is made on the way, rather than one of those that live."""


class Feature(NamedTuple):
    """A filter and where it leads.

    Attributes:
        place: its column of `fc.weight`.
        weight: (dim, width).
        bias: what is added to its answers.
    """

    place: int
    weight: np.ndarray
    bias: float

    @property
    def width(self) -> int:
        """How many words it sees."""
        return self.weight.shape[1]


def living_features(packed: Packed) -> list[Feature]:
    """The features that reach a logit, the widest first."""
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
    """The dimensions of words' vectors that some of these features look at, ascending."""
    seen = [np.flatnonzero(feature.weight.any(axis=1)) for feature in features]
    return np.unique(np.concatenate([np.zeros(0, np.int64), *seen]))


def living_words(embedding: Parameter, dims: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The vectors of words that have a living entry among `dims`.

    Returns:
        Which row is whose, (words + 1,): those of dead words are 0, that of the end of a text is the last. And the
        rows, (rows, dims): zeros, the living words' vectors, and zeros.
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
    row_of = np.zeros(words + 1, np.int32)
    row_of[living] = np.arange(1, len(living) + 1)
    row_of[words] = len(living) + 1
    return row_of, np.pad(vectors, ((1, 1), (0, 0)))


def stack(features: Sequence[Feature], dims: np.ndarray) -> np.ndarray:
    """Their weights at some dimensions, (widest, dims, features), zeros beyond a feature's width."""
    stacked = np.zeros((max(feature.width for feature in features), len(dims), len(features)), np.float32)
    for place, feature in enumerate(features):
        stacked[: feature.width, :, place] = feature.weight[dims].T
    return stacked


def equal_widths(features: Sequence[Feature]) -> Iterator[slice]:
    """Where features of equal widths stand together."""
    start = 0
    for _, same in groupby(features, key=lambda feature: feature.width):
        end = start + len([*same])
        yield slice(start, end)
        start = end
