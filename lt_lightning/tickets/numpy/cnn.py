"""Convolution over words and maximum over time in NumPy, without the parts that a ticket's zeros make superfluous.

Parts that cannot change a logit are dropped once, at the start: features without a weight in `fc.weight`, then
dimensions that no filter uses, then words without a living entry. The rest is linear in words: each word has an answer
to each position of each filter, and a window's value is the sum of the first word's answer to the first position, the
second's to the second, and so on. A word's answers lie side by side, position after position; features are in
descending order of width, so that those with a fifth position are the first ones of those with a fourth.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np

from lt_lightning.data.tokenizer import PADDING
from lt_lightning.tickets.file import Packed
from lt_lightning.tickets.numpy.answers import Answers, Piece
from lt_lightning.tickets.numpy.sparse import SparseAnswers
from lt_lightning.tickets.reaching import END, Feature, living_dims, living_features, living_words

PIECE = 4096
"""Number of words whose answers are looked up at a time."""
LONG = 131_072
"""Longer texts are read one by one and in parts, so that little but their ids is in memory."""
BLOCK = 524_288
"""Number of answers that are added up at a time: 2 MB; measured. Fewer take more calls, more leave the cache."""
WINDOWS = 131_072
"""Number of windows' values that are computed at a time from few answers: 1 MB; measured."""
FEW = 32
"""Up to so many features `reduceat` is faster than a maximum per text: it goes from feature to feature; measured."""


class Convolution:
    """A ticket's convolutional network, for texts of any length."""

    def __init__(self, packed: Packed) -> None:
        features = living_features(packed)
        fc = packed.parameters["fc.weight"].dense()
        self._fc = np.ascontiguousarray(fc[:, [feature.place for feature in features]].T)
        self._fc_bias = packed.parameters["fc.bias"].dense()
        self._bias = np.array([feature.bias for feature in features], np.float32)
        self._widths = np.array([feature.width for feature in features], np.int64)
        self._widest = int(self._widths.max(initial=1))
        dims = living_dims(features)
        self._row_of, vectors = living_words(packed.parameters["embedding.weight"], dims)
        counts = [int((self._widths > place).sum()) for place in range(self._widest)]
        self._taps = [slice(*span) for span in pairwise(np.cumsum([0, *counts]).tolist())]
        fixed = np.zeros((2, sum(counts)), np.float32)
        fixed[END] = -np.inf  # windows across the end of a text never win
        weight = _weights(features, dims, counts)
        is_sparse = len(features) > 0 and SparseAnswers.suit(vectors, weight)
        self._answers = SparseAnswers(vectors, weight, counts) if is_sparse else Answers(vectors, weight, fixed)
        self._block = max(self._widest, BLOCK // max(1, sum(counts)))

    def logits(self, texts: Sequence[np.ndarray]) -> np.ndarray:
        """Return the logits, (texts, logits) float32; a text's bits do not depend on the other texts.

        `texts` are word ids, (words,) integers each. A text shorter than a filter has one window, from its first word
        into `<pad>`.
        """
        strongest = np.full((len(texts), len(self._bias)), -np.inf, np.float32)
        if len(texts) and len(self._bias):
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
        rows, starts = self._lay_out(texts, lengths)
        short = _ShortTexts(starts, lengths, self._widest) if lengths.min() < self._widest else None
        for at, values in self._windows(rows):
            if short is not None:
                short.forbid(values, at, self._widths)
            _keep_strongest(strongest, values, starts, at)

    def _windows(self, rows: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
        """Yield the start and the values, (windows, features), of each block of windows."""
        beyond, count = self._widest - 1, len(rows) - self._widest + 1
        if isinstance(self._answers, SparseAnswers):
            block = max(self._widest, WINDOWS // len(self._bias))
            for at in range(0, count, block):
                end = min(at + block, count)
                yield at, self._answers.windows(rows[at : end + beyond], end - at)
            return
        for start in range(0, count, PIECE):
            piece = self._answers.look_up(rows[start : start + PIECE + beyond])
            for at in range(start, min(start + PIECE, count), self._block):
                end = min(at + self._block, start + PIECE, count)
                yield at, self._window_values(piece, at - start, end - at)

    def _lay_out(self, texts: Sequence[np.ndarray], lengths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the rows of the concatenated texts, each followed by an end, and the start of each."""
        end = np.array([len(self._row_of) - 1], np.int32)
        parts = [end] * (2 * len(texts))
        parts[::2] = texts
        if lengths.min() < self._widest:
            parts[::2] = [_pad(text, self._widest) for text in texts]
            lengths = lengths.clip(min=self._widest)
        ids = np.concatenate([*parts, end.repeat(self._widest - 1)])
        return self._row_of.take(ids), (lengths + 1).cumsum() - lengths - 1

    def _window_values(self, piece: Piece, start: int, count: int) -> np.ndarray:
        """Return the values of the windows at `count` words from `start`, (windows, features)."""
        answers = piece.take(start, start + count + self._widest - 1)
        values = answers[:count, self._taps[0]].copy()
        for place, tap in enumerate(self._taps[1:], 1):
            values[:, : tap.stop - tap.start] += answers[place : place + count, tap]
        return values


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


def _weights(features: Sequence[Feature], dims: np.ndarray, counts: Sequence[int]) -> np.ndarray:
    """Return the filters side by side, (dims, columns): the columns of each position in turn."""
    columns = [features[number].weight[dims, place] for place, count in enumerate(counts) for number in range(count)]
    return np.stack(columns, axis=1) if columns else np.zeros((len(dims), 0), np.float32)


def _keep_strongest(strongest: np.ndarray, values: np.ndarray, starts: np.ndarray, start: int) -> None:
    """Update each text's maxima from a block of windows that begins at `start`."""
    first, last = np.searchsorted(starts, [start, start + len(values) - 1], side="right") - [1, 0]
    inside = (starts[first:last] - start).clip(min=0)
    if values.shape[1] <= FEW:
        found = np.maximum.reduceat(values, inside, axis=0)
        np.maximum(strongest[first:last], found, out=strongest[first:last])
        return
    for place, (begin, end) in enumerate(pairwise([*inside.tolist(), len(values)]), first):
        np.maximum(strongest[place], values[begin:end].max(axis=0), out=strongest[place])


def _parts(text: np.ndarray, widest: int) -> Iterator[np.ndarray]:
    """Yield parts of a text that overlap, so that each window lies within one."""
    beyond = widest - 1
    for start in range(0, max(1, len(text) - beyond), LONG):
        yield text[start : start + LONG + beyond]


def _pad(text: np.ndarray, length: int) -> np.ndarray:
    return np.concatenate([text, np.full(max(0, length - len(text)), PADDING, text.dtype)])
