"""Add up what each word adds to the score of each class, over many texts, for convolutional networks.

The shares are those of `explaining.WindowShares`, of many texts at a time: each distinct word's products with each
position of each filter are computed once per piece.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from lt_lightning.data.tokenizer import SPECIAL_WORDS
from lt_lightning.tickets.explaining import FilterGroup, WindowShares
from lt_lightning.tickets.file import Packed

PIECE = 4096
"""The number of words that are read at a time."""


class ClassWord(NamedTuple):
    """A word and what it adds to the score of a class.

    Attributes:
        word: the word, in lower case if the ticket's words are; `<unk>` stands for all that the ticket does not know.
        total: the sum of its shares.
        texts: the number of texts that have it among the words that the ticket reads.
    """

    word: str
    total: float
    texts: int


class WordSums:
    """The sums of the words' shares over the texts that were added.

    Its size depends on the ticket's words and classes, not on the texts.

    Args:
        packed: the ticket of a convolutional network.
    """

    def __init__(self, packed: Packed) -> None:
        self._shares = WindowShares(packed)
        words = np.flatnonzero(self._shares.row_of[:-1])
        self._ids = np.zeros(len(self._shares.vectors), np.int64)
        self._ids[self._shares.row_of[words]] = words
        self._names = dict(zip(packed.word_ids.tolist(), packed.words, strict=True))
        self._totals = np.zeros((len(self._ids), self._shares.logits))
        self._texts = np.zeros(len(self._ids), np.int64)

    def add(self, texts: Sequence[np.ndarray]) -> None:
        """Add the shares of the words of texts, the ids of each, (words,)."""
        for piece in _pieces(texts):
            rows = [self._shares.row_of.take(ids) for ids in piece]
            self._texts += np.bincount(np.concatenate([np.unique(one) for one in rows]), minlength=len(self._texts))
            if len(piece) == 1 and len(rows[0]) > PIECE:
                np.add.at(self._totals, rows[0], self._shares.shares(piece[0])[0])
            else:
                self._add_piece(rows)

    def largest(self, place: int, most: int) -> list[ClassWord]:
        """Return the words with the largest positive sums for a class, the largest first.

        Args:
            place: the number of the class.
            most: how many words at most.
        """
        totals = self._totals[:, place] if self._totals.shape[1] > 1 else self._totals[:, 0] * (1 if place else -1)
        order = np.argsort(-totals, kind="stable")[:most].tolist()
        return [
            ClassWord(self._name(int(self._ids[row])), float(totals[row]), int(self._texts[row]))
            for row in order if totals[row] > 0
        ]  # fmt: skip

    def _name(self, number: int) -> str:
        return SPECIAL_WORDS[number] if number < len(SPECIAL_WORDS) else self._names[number]

    def _add_piece(self, rows: Sequence[np.ndarray]) -> None:
        """Add the shares of a few texts, the rows of their words' vectors."""
        lengths = np.fromiter(map(len, rows), np.int64, len(rows))
        gap = np.zeros(self._shares.widest, rows[0].dtype)  # row 0 is zero
        distinct, laid = np.unique(np.concatenate([part for one in rows for part in (one, gap)]), return_inverse=True)
        starts = np.cumsum(lengths + len(gap)) - lengths - len(gap)
        vectors = self._shares.vectors.take(distinct, axis=0)
        for group in self._shares.groups:
            self._totals[distinct] += _shares_of(group, vectors, laid, starts, lengths)


def _shares_of(
    group: FilterGroup, vectors: np.ndarray, laid: np.ndarray, starts: np.ndarray, lengths: np.ndarray
) -> np.ndarray:
    """Return what each of some words adds to each logit through filters of one width, (words, logits).

    Args:
        group: the filters.
        vectors: the words' vectors, (words, dims).
        laid: the words of all texts, with zero vectors after each text.
        starts: the place of each text's first word in `laid`.
        lengths: the number of words of each text.
    """
    width, _, features = group.taps.shape
    answers = np.matmul(vectors, group.taps)  # (width, words, features)
    counts = np.maximum(lengths - width + 1, 1)
    ends = counts.cumsum()
    windows = np.arange(ends[-1]) + np.repeat(starts - ends + counts, counts)
    values = sum(answers[tap].take(laid[windows + tap], axis=0) for tap in range(width))
    highest = np.maximum.reduceat(values, ends - counts, axis=0)  # (texts, features)
    first = np.where(values == np.repeat(highest, counts, axis=0), windows[:, None], len(laid))
    text, feature = np.nonzero(highest + group.bias > 0)
    places = np.minimum.reduceat(first, ends - counts, axis=0)[text, feature]
    added = np.zeros(len(vectors) * features)
    for tap in range(width):
        inside = places + tap < (starts + lengths)[text]  # a text shorter than the filter is filled up with zeros
        words, columns = laid[places[inside] + tap], feature[inside]
        added += np.bincount(words * features + columns, answers[tap][words, columns], len(added))
    return added.reshape(len(vectors), features) @ group.fc


def _pieces(texts: Sequence[np.ndarray]) -> Iterator[list[np.ndarray]]:
    """Yield a few texts at a time, with at most `PIECE` words or a single text."""
    piece, words = list[np.ndarray](), 0
    for ids in texts:
        if piece and words + len(ids) > PIECE:
            yield piece
            piece, words = [], 0
        piece.append(ids)
        words += len(ids)
    if piece:
        yield piece
