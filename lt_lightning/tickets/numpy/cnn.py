"""Convolution over words and maximum over time in NumPy, without the parts that a ticket's zeros make superfluous.

Parts that cannot change a logit are dropped once, at the start: features without a weight in `fc.weight`, then
dimensions that no filter uses, then words without a living entry. The rest is linear in words: each word has an answer
to each position of each filter, and a window's value is the sum of the first word's answer to the first position, the
second's to the second, and so on. If few enough words and features live, all answers are computed once and kept;
otherwise the answers of each distinct word in a piece of text.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, pairwise

import numpy as np

from lt_lightning.data.tokenizer import PADDING
from lt_lightning.tickets.file import Packed
from lt_lightning.tickets.reaching import Feature, living_dims, living_features, living_words

KEPT = 4_000_000
"""Maximum number of answers that are kept: 16 MB."""
PIECE = 8192
"""Number of words that are read at a time if answers are not kept."""
LONG = PIECE << 4
"""Longer texts are read one by one and in parts, so that little but their ids is in memory."""
BLOCK = 65_536
"""Number of windows' values that are computed at a time, so that they stay in the processor's cache."""
ALIKE = 8
"""Number of words that are multiplied at a time, so that a word's answers do not depend on the other words.
BLAS sums a row in another order for other sizes and, with larger blocks on some processors, at other positions in the
block; blocks of 8 are safe with every kernel of OpenBLAS for x86."""
TOGETHER = 64
"""Up to so many features are computed together, padded to the widest: separate calls would take longer."""


@dataclass(frozen=True)
class Filters:
    """Living features that are computed together."""

    features: slice  # their positions among all living features
    widths: np.ndarray  # (features,) the number of words in the window of each, the widest first
    taps: np.ndarray  # (widest, dims, features) their weights, zeros beyond a feature's width
    answers: np.ndarray | None  # (widest, words, features) the words' answers to them, if they are kept

    @classmethod
    def of(cls, place: slice, features: Sequence[Feature], dims: np.ndarray) -> Filters:
        """Return the filters of features in descending order of width."""
        widths = np.array([feature.width for feature in features])
        taps = np.zeros((widths.max(), len(dims), len(features)), np.float32)
        for number, feature in enumerate(features):
            taps[: feature.width, :, number] = feature.weight[dims].T
        return cls(place, widths, taps, None)

    def keep(self, vectors: np.ndarray) -> Filters:
        """Return the same filters with the answers of `vectors`, (words, dims), whose last row is the end of a text."""
        answers = np.matmul(vectors, self.taps)
        answers[:, -1] = self._end()
        return replace(self, answers=answers)

    def answer(self, vectors: np.ndarray, end: int | None) -> np.ndarray:
        """Return the answers (widest, words, features) of `vectors`, (words, dims), of a multiple of `ALIKE` words.

        `end` is the row of the end of a text, or None.
        """
        words, dims = vectors.shape
        blocks = vectors.reshape(words // ALIKE, ALIKE, dims)
        answers = np.matmul(blocks, self.taps[:, None]).reshape(len(self.taps), words, len(self.widths))
        if end is not None:
            answers[:, end] = self._end()
        return answers

    def _end(self) -> np.ndarray:
        """Return the answers to the end of a text, (widest, features): −∞, so that windows across it never win."""
        return np.where(np.arange(len(self.taps))[:, None] < self.widths, -np.inf, 0)


class Convolution:
    """A ticket's convolutional network, for texts of any length."""

    def __init__(self, packed: Packed) -> None:
        features = living_features(packed)
        fc = packed.parameters["fc.weight"].dense()
        self._fc = np.ascontiguousarray(fc[:, [feature.place for feature in features]].T)
        self._fc_bias = packed.parameters["fc.bias"].dense()
        self._bias = np.array([feature.bias for feature in features], np.float32)
        self._widest = max((feature.width for feature in features), default=1)
        dims = living_dims(features)
        self._row_of, self._vectors = living_words(packed.parameters["embedding.weight"], dims)
        self._end = len(self._row_of) - 1
        groups = [features]
        if not 0 < len(features) <= TOGETHER:
            groups = [[*group] for _, group in groupby(features, key=lambda feature: feature.width)]
        ends = np.cumsum([0, *map(len, groups)]).tolist()
        spans = [slice(*span) for span in pairwise(ends)]
        self._filters = [Filters.of(span, group, dims) for span, group in zip(spans, groups, strict=True)]
        self._keeps = sum(len(one.taps) * len(one.widths) for one in self._filters) * len(self._vectors) <= KEPT
        if self._keeps:
            self._filters = [filters.keep(self._vectors) for filters in self._filters]

    def logits(self, texts: Sequence[np.ndarray]) -> np.ndarray:
        """Return the logits, (texts, logits) float32; a text's bits do not depend on the other texts.

        `texts` are word ids, (words,) integers each. A text shorter than a filter has one window, from its first word
        into `<pad>`.
        """
        strongest = np.full((len(texts), len(self._bias)), -np.inf, np.float32)
        if len(texts) and self._filters:
            if max(map(len, texts)) <= LONG:
                self._find_strongest(texts, strongest)
            else:
                for place, text in enumerate(texts):
                    for part in _parts(text, self._widest):
                        self._find_strongest([part], strongest[place : place + 1])
        # ReLU and bias after the maximum: the same numbers for a hundredth of the work.
        features = np.maximum(strongest + self._bias, 0)
        # One product per text: a product of several texts may sum in another order.
        return np.matmul(features[:, None], self._fc)[:, 0] + self._fc_bias

    def _find_strongest(self, texts: Sequence[np.ndarray], strongest: np.ndarray) -> None:
        lengths = np.fromiter(map(len, texts), np.int64, len(texts))
        ids, starts = self._lay_out(texts, lengths)
        short = _ShortTexts(starts, lengths, self._widest) if lengths.min() < self._widest else None
        beyond, count = self._widest - 1, len(ids) - self._widest + 1
        size = count if self._keeps else PIECE
        for start in range(0, count, size):
            rows, vectors, end = self._row_of.take(ids[start : start + size + beyond]), self._vectors, None
            if not self._keeps:
                distinct, rows = np.unique(rows, return_inverse=True)
                chosen = np.zeros(-(-len(distinct) // ALIKE) * ALIKE, distinct.dtype)
                chosen[: len(distinct)] = distinct
                vectors = vectors.take(chosen, axis=0)
                end = len(distinct) - 1 if distinct[-1] == len(self._vectors) - 1 else None
            for filters in self._filters:
                answers = filters.answer(vectors, end) if filters.answers is None else filters.answers
                for at, values in _windows(answers, rows, len(rows) - beyond):
                    if short is not None:
                        short.forbid(values, start + at, filters.widths)
                    _keep_strongest(strongest[:, filters.features], values, starts, start + at)

    def _lay_out(self, texts: Sequence[np.ndarray], lengths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the concatenated texts, each followed by an end, and the start of each."""
        end = np.array([self._end], np.int32)
        parts = [end] * (2 * len(texts))
        parts[::2] = texts
        if lengths.min() < self._widest:
            parts[::2] = [_pad(text, self._widest) for text in texts]
            lengths = lengths.clip(min=self._widest)
        ids = np.concatenate([*parts, end.repeat(self._widest - 1)])
        return ids, (lengths + 1).cumsum() - lengths - 1


class _ShortTexts:
    """Exclude the windows of short texts, padded to the widest filter, that run into the padding, except the first."""

    def __init__(self, starts: np.ndarray, lengths: np.ndarray, widest: int) -> None:
        short = lengths < widest
        later = np.arange(1, widest)
        self._places = (starts[short, None] + later).reshape(-1)
        self._words_left = (lengths[short, None] - later).reshape(-1)

    def forbid(self, values: np.ndarray, start: int, widths: np.ndarray) -> None:
        """Set these windows to −∞, in place, in a block (windows, features) that begins at `start`."""
        first, last = np.searchsorted(self._places, [start, start + len(values)])
        beyond = widths > self._words_left[first:last, None]
        values[self._places[first:last] - start] += np.where(beyond, np.float32(-np.inf), np.float32(0))


def _windows(answers: np.ndarray, rows: np.ndarray, count: int) -> Iterator[tuple[int, np.ndarray]]:
    """Yield the start and the values of each block of the windows at the first `count` words."""
    size = max(256, BLOCK // answers.shape[2])
    for start in range(0, count, size):
        end = min(start + size, count)
        values = answers[0].take(rows[start:end], axis=0)
        for place in range(1, len(answers)):
            values += answers[place].take(rows[start + place : end + place], axis=0)
        yield start, values


def _keep_strongest(strongest: np.ndarray, values: np.ndarray, starts: np.ndarray, start: int) -> None:
    """Update each text's maxima from a block of windows that begins at `start`."""
    if len(starts) == 1:
        np.maximum(strongest[0], values.max(axis=0), out=strongest[0])
        return
    first, last = np.searchsorted(starts, [start, start + len(values) - 1], side="right") - [1, 0]
    inside = (starts[first:last] - start).clip(min=0)
    found = np.maximum.reduceat(values, inside, axis=0)
    np.maximum(strongest[first:last], found, out=strongest[first:last])


def _parts(text: np.ndarray, widest: int) -> Iterator[np.ndarray]:
    """Yield parts of a text that overlap, so that each window lies within one."""
    beyond = widest - 1
    for start in range(0, max(1, len(text) - beyond), LONG):
        yield text[start : start + LONG + beyond]


def _pad(text: np.ndarray, length: int) -> np.ndarray:
    return np.concatenate([text, np.full(max(0, length - len(text)), PADDING, text.dtype)])
