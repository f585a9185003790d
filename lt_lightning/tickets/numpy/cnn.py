"""Convolution over words and maximum over time in NumPy, without what a ticket's zeros make superfluous.

What can never reach a logit is dropped once, at the start: features without a weight behind them, then dimensions that
no filter looks at, then words without an entry left. What remains is linear in words, so each word has an answer to
each weight of a filter at each place in the window, and a window's value is a sum of a few answers: the first word's
to the filter's first place, the second's to its second, and so on. Where few enough words and features live, all
answers are computed once and kept; otherwise those of a piece of text are, of each different word once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from lt_lightning.data.tokenizer import PADDING
from lt_lightning.tickets.file import Packed
from lt_lightning.tickets.reaching import Feature, equal_widths, living_dims, living_features, living_words, stack

KEPT = 4_000_000
"""At most so many answers are kept: 16 MB."""
PIECE = 8192
"""So many words are read at a time, however long the texts, where answers are not kept."""
LONG = PIECE << 4
"""Longer texts are read by themselves and in parts, so that little but their ids is in memory."""
BLOCK = 65_536
"""So many values of windows are computed at a time: they and the answers to be added stay in the processor's cache."""
ALIKE = 8
"""Words are multiplied in blocks of so many, so that a word's answers are the same bits whatever words are beside it.
BLAS adds up a row in another order where products have other sizes, and in larger blocks, on some processors, where the
row stands elsewhere; blocks of 8 are safe with every kernel of OpenBLAS for x86."""
TOGETHER = 64
"""So few features are computed together, whatever their widths: the calls would take longer than zeros do."""


@dataclass(frozen=True)
class Filters:
    """Living features that are computed together.

    Attributes:
        features: where they stand among all that live.
        widths: (features,) how many words each sees; the widest first.
        taps: (widest, dims, features) their weights, zeros beyond a feature's width.
        answers: (widest, words, features) the words' answers to them, where these are kept.
    """

    features: slice
    widths: np.ndarray
    taps: np.ndarray
    answers: np.ndarray | None

    @classmethod
    def of(cls, place: slice, features: Sequence[Feature], dims: np.ndarray) -> Filters:
        """Those of some features, the widest of which is first."""
        return cls(place, np.array([feature.width for feature in features]), stack(features, dims), None)

    def keep(self, vectors: np.ndarray) -> Filters:
        """Return the same filters, with the answers of these words kept.

        Args:
            vectors: (words, dims) of all words that live; the last row is no word but the end of a text.
        """
        answers = np.matmul(vectors, self.taps)
        answers[:, -1] = self._end()
        return replace(self, answers=answers)

    def answer(self, vectors: np.ndarray, end: int | None) -> np.ndarray:
        """Return the answers (widest, words, features) of some words.

        Args:
            vectors: (words, dims); the number of words is a multiple of `ALIKE`.
            end: the row that is no word but the end of a text, or None.
        """
        words, dims = vectors.shape
        blocks = vectors.reshape(words // ALIKE, ALIKE, dims)
        answers = np.matmul(blocks, self.taps[:, None]).reshape(len(self.taps), words, len(self.widths))
        if end is not None:
            answers[:, end] = self._end()
        return answers

    def _end(self) -> np.ndarray:
        """Return the answers to the end of a text, (widest, features).

        No window reaches beyond its text: one that does has the value −∞, and never is the strongest.
        """
        return np.where(np.arange(len(self.taps))[:, None] < self.widths, -np.inf, 0)


class Convolution:
    """The logits of a convolutional network, for texts of any lengths.

    Args:
        packed: a ticket of such a network.
    """

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
        together = [slice(0, len(features))] if 0 < len(features) <= TOGETHER else equal_widths(features)
        self._filters = [Filters.of(part, features[part], dims) for part in together]
        self._keeps = sum(len(one.taps) * len(one.widths) for one in self._filters) * len(self._vectors) <= KEPT
        if self._keeps:
            self._filters = [filters.keep(self._vectors) for filters in self._filters]

    def logits(self, texts: Sequence[np.ndarray]) -> np.ndarray:
        """Return the logits of texts: of each the same bits, whatever texts are beside it.

        Args:
            texts: the word ids of each, (words,) integers. A text shorter than a filter has one window, which starts
                at its first word and runs into `<pad>`.

        Returns:
            (texts, logits) float32.
        """
        strongest = np.full((len(texts), len(self._bias)), -np.inf, np.float32)
        if len(texts) and self._filters:
            if max(map(len, texts)) <= LONG:
                self._find_strongest(texts, strongest)
            else:
                for place, text in enumerate(texts):
                    for part in _parts(text, self._widest):
                        self._find_strongest([part], strongest[place : place + 1])
        # ReLU and bias after the maximum: the same numbers from a hundredth of the work.
        features = np.maximum(strongest + self._bias, 0)
        # A product of its own for each text: that of several may add up in another order.
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
        """All texts one after another, an end after each, ends after all, and where each starts."""
        end = np.array([self._end], np.int32)
        parts = [end] * (2 * len(texts))
        parts[::2] = texts
        if lengths.min() < self._widest:
            parts[::2] = [_pad(text, self._widest) for text in texts]
            lengths = lengths.clip(min=self._widest)
        ids = np.concatenate([*parts, end.repeat(self._widest - 1)])
        return ids, (lengths + 1).cumsum() - lengths - 1


class _ShortTexts:
    """Texts shorter than the widest filter, padded to its width: which of their windows may not count.

    The first window may run into the padding; of the others those that do.
    """

    def __init__(self, starts: np.ndarray, lengths: np.ndarray, widest: int) -> None:
        short = lengths < widest
        later = np.arange(1, widest)
        self._places = (starts[short, None] + later).reshape(-1)
        self._words_left = (lengths[short, None] - later).reshape(-1)

    def forbid(self, values: np.ndarray, start: int, widths: np.ndarray) -> None:
        """Give these windows the value −∞, in place, in a block (windows, features) that begins at `start`."""
        first, last = np.searchsorted(self._places, [start, start + len(values)])
        beyond = widths > self._words_left[first:last, None]
        values[self._places[first:last] - start] += np.where(beyond, np.float32(-np.inf), np.float32(0))


def _windows(answers: np.ndarray, rows: np.ndarray, count: int) -> Iterator[tuple[int, np.ndarray]]:
    """The values of the windows that start at the first `count` words, in blocks: where it starts, and the block."""
    size = max(256, BLOCK // answers.shape[2])
    for start in range(0, count, size):
        end = min(start + size, count)
        values = answers[0].take(rows[start:end], axis=0)
        for place in range(1, len(answers)):
            values += answers[place].take(rows[start + place : end + place], axis=0)
        yield start, values


def _keep_strongest(strongest: np.ndarray, values: np.ndarray, starts: np.ndarray, start: int) -> None:
    """Raise each text's strongest values to those of its windows in a block that begins at `start`."""
    if len(starts) == 1:
        np.maximum(strongest[0], values.max(axis=0), out=strongest[0])
        return
    first, last = np.searchsorted(starts, [start, start + len(values) - 1], side="right") - [1, 0]
    inside = (starts[first:last] - start).clip(min=0)
    found = np.maximum.reduceat(values, inside, axis=0)
    np.maximum(strongest[first:last], found, out=strongest[first:last])


def _parts(text: np.ndarray, widest: int) -> Iterator[np.ndarray]:
    """A text in parts that share so many words that each of its windows lies within one."""
    beyond = widest - 1
    for start in range(0, max(1, len(text) - beyond), LONG):
        yield text[start : start + LONG + beyond]


def _pad(text: np.ndarray, length: int) -> np.ndarray:
    return np.concatenate([text, np.full(max(0, length - len(text)), PADDING, text.dtype)])
