"""What each word of a text adds to each logit.

A convolutional network's logit is a sum over features, a feature is the highest value of a filter over the windows of
the text, and a window's value is a sum over its words. So each word has an exact share of each logit: the products of
its vector in the windows that win. A recurrent network has no such sum: a word's share is how much the logit falls when
the word is left out (leave-one-out, as in Li et al. 2016, arXiv:1612.08220).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Protocol

import numpy as np

from lt_lightning.tickets.file import Packed
from lt_lightning.tickets.reaching import Feature, living_dims, living_features, living_words

WINDOWS, LEAVE_ONE_OUT = "windows", "leave-one-out"
BLOCK = 8192
"""Number of windows whose values are in memory at a time."""
LEFT_OUT = 256
"""Number of texts without a word each that are read at a time."""


@dataclass(frozen=True)
class Explanation:
    """Why a text has its logits.

    Attributes:
        text: the text that was read; half a surrogate pair is U+FFFD.
        spans: the first character of each word that was read, and the one behind it.
        known: (words,) bool, whether the ticket has a vector of the word.
        shares: (words, logits) float32, what each word adds to each logit; of two classes there is one, class 1's.
        bias: (logits,) float32, what no word adds: with the shares it adds up to the logits. None for leave-one-out.
        logits: (logits,) float32.
        method: `windows` or `leave-one-out`.
    """

    text: str
    spans: tuple[tuple[int, int], ...]
    known: np.ndarray
    shares: np.ndarray
    bias: np.ndarray | None
    logits: np.ndarray
    method: str

    @property
    def words(self) -> tuple[str, ...]:
        """The words as they stand in the text."""
        return tuple(self.text[start:end] for start, end in self.spans)

    def of_class(self, place: int) -> np.ndarray:
        """Return what each word adds to the score of a class, (words,).

        Of two classes the network has one logit, class 1's; class 0 has its negative.
        """
        if self.shares.shape[1] > 1:
            return self.shares[:, place]
        return self.shares[:, 0] * (1 if place else -1)

    def bias_of(self, place: int) -> float:
        """Return what no word adds to the score of a class; NaN for leave-one-out."""
        if self.bias is None:
            return math.nan
        return float(self.bias[place] if len(self.bias) > 1 else self.bias[0] * (1 if place else -1))

    def to_json(self, class_names: Sequence[str]) -> dict[str, Any]:
        """Return plain values, with the shares of each class by its name."""
        shares = [self.of_class(place).tolist() for place in range(len(class_names))]
        bias = {name: round(self.bias_of(place), 6) for place, name in enumerate(class_names)}
        return {
            "method": self.method, **({} if self.bias is None else {"bias": bias}),
            "words": [
                {
                    "word": self.text[start:end], "start": start, "end": end, "known": bool(self.known[number]),
                    "shares": {name: round(shares[place][number], 6) for place, name in enumerate(class_names)},
                }
                for number, (start, end) in enumerate(self.spans)
            ],
        }  # fmt: skip


class Reasons(Protocol):
    """Find the shares of a text's words."""

    method: str

    def shares(self, ids: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        """Return the shares (words, logits) of word ids (words,), and what no word adds, (logits,), if it is known."""
        ...


class WindowShares:
    """The shares of words in a convolutional network.

    Attributes:
        row_of: the row of each word in `vectors`; see `living_words`.
        vectors: the living words' vectors.
        groups: the living filters, those of a width together.
    """

    method = WINDOWS

    def __init__(self, packed: Packed) -> None:
        features = living_features(packed)
        dims = living_dims(features)
        self.row_of, self.vectors = living_words(packed.parameters["embedding.weight"], dims)
        fc = packed.parameters["fc.weight"].dense()
        self._fc_bias = packed.parameters["fc.bias"].dense()
        self.groups = [FilterGroup.of([*group], fc, dims) for _, group in groupby(features, lambda one: one.width)]

    @property
    def logits(self) -> int:
        """The number of logits."""
        return len(self._fc_bias)

    @property
    def widest(self) -> int:
        """The number of words in the widest window."""
        return max((len(group.taps) for group in self.groups), default=1)

    def shares(self, ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the shares (words, logits) of word ids (words,), and what no word adds, (logits,)."""
        shares = np.zeros((len(ids), len(self._fc_bias)), np.float64)
        bias = self._fc_bias.astype(np.float64)
        rows = self.row_of.take(ids)
        for group in self.groups:
            width = len(group.taps)
            places, highest = group.strongest(rows, self.vectors)
            fires = highest + group.bias > 0
            bias += group.fc[fires].T @ group.bias[fires].astype(np.float64)
            for tap in range(width):
                at = places + tap
                there = fires & (at < len(ids))  # a text shorter than the filter is filled up with zeros
                vectors = self.vectors.take(rows[at[there]], axis=0)
                answers = np.einsum("fd,df->f", vectors, group.taps[tap][:, there])
                np.add.at(shares, at[there], answers[:, None] * group.fc[there])
        return shares.astype(np.float32), bias.astype(np.float32)


@dataclass(frozen=True)
class FilterGroup:
    """The living features of one width."""

    taps: np.ndarray  # (width, dims, features)
    bias: np.ndarray  # (features,)
    fc: np.ndarray  # (features, logits)

    @classmethod
    def of(cls, features: Sequence[Feature], fc: np.ndarray, dims: np.ndarray) -> FilterGroup:
        """Return living features of one width, with the columns of `fc` that they have and the dimensions they use."""
        weights = np.stack([feature.weight[dims] for feature in features])  # (features, dims, width)
        bias = np.array([feature.bias for feature in features], np.float32)
        columns = [feature.place for feature in features]
        return cls(np.ascontiguousarray(weights.transpose(2, 1, 0)), bias, np.ascontiguousarray(fc[:, columns].T))

    def strongest(self, rows: np.ndarray, vectors: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the first window with each feature's highest value, and the value without the bias."""
        width, _, features = self.taps.shape
        if len(rows) < width:
            rows = np.concatenate([rows, np.zeros(width - len(rows), rows.dtype)])  # row 0 is zero
        places, highest = np.zeros(features, np.int64), np.full(features, -np.inf, np.float32)
        for start in range(0, len(rows) - width + 1, BLOCK):
            inside = vectors.take(rows[start : start + BLOCK + width - 1], axis=0)
            count = len(inside) - width + 1
            values = sum(inside[tap : tap + count] @ self.taps[tap] for tap in range(width))
            found = np.asarray(values).argmax(axis=0)
            best = np.take_along_axis(np.asarray(values), found[None], axis=0)[0]
            better = best > highest
            places[better], highest[better] = start + found[better], best[better]
        return places, highest


class LeftOutShares:
    """The shares of words in any other network: how much a logit falls when the word is left out."""

    method = LEAVE_ONE_OUT

    def __init__(self, network: Any) -> None:
        self._network = network

    def shares(self, ids: np.ndarray) -> tuple[np.ndarray, None]:
        """Return the shares (words, logits) of word ids (words,), and None."""
        whole = self._network.logits([ids])
        parts = [self._network.logits(batch) for batch in _without_each(ids)]
        return (whole - np.concatenate(parts) if parts else np.zeros((0, whole.shape[1]), np.float32)), None


def _without_each(ids: np.ndarray) -> Iterator[list[np.ndarray]]:
    """Yield batches of the texts that lack one word each."""
    for start in range(0, len(ids), LEFT_OUT):
        yield [np.delete(ids, place) for place in range(start, min(start + LEFT_OUT, len(ids)))]
