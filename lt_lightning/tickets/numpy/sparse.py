"""The values of windows from the few answers of words that are not zero.

In a ticket of one per cent a word has one or two living entries, and each dimension few living weights: of some 1,200
answers to it 30 are not zero. They are computed once for all words, and added up where they belong.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lt_lightning.tickets.reaching import END

FEWER = 16
"""How many times fewer answers there must be than zeros and answers together; with more, adding whole rows is faster;
measured."""
MOST = 4_000_000
"""Maximum number of answers: 48 MB."""


class SparseAnswers:
    """The answers to all words that are not zero.

    Args:
        vectors: (words, dims); the rows `DEAD` and `END` are zero.
        weight: (dims, columns): for each position in a window the features that have it, in turn.
        counts: (positions,) the number of features that have each position, the first ones.
    """

    def __init__(self, vectors: np.ndarray, weight: np.ndarray, counts: Sequence[int]) -> None:
        self._counts, self._features, self._beyond = counts, counts[0], len(counts) - 1
        # From the place of a word to that of a feature in its window, in rows of features; none is negative.
        columns = [(self._beyond - place) * counts[0] + np.arange(count) for place, count in enumerate(counts)]
        of_dim, columns_of = np.nonzero(weight)
        factors, places = weight[of_dim, columns_of], np.concatenate(columns)[columns_of]
        words, dims = np.nonzero(vectors)
        sizes = np.bincount(of_dim, minlength=weight.shape[0])
        index, sizes = _ranges((sizes.cumsum() - sizes)[dims], sizes[dims])
        self._places, self._values = places[index], vectors[words, dims].repeat(sizes) * factors[index]
        self._sizes = np.bincount(words.repeat(sizes), minlength=len(vectors))
        self._starts = self._sizes.cumsum() - self._sizes

    @staticmethod
    def suit(vectors: np.ndarray, weight: np.ndarray) -> bool:
        """Return whether there are few enough answers."""
        count = int((vectors != 0).sum(axis=0) @ (weight != 0).sum(axis=1))
        return count <= min(MOST, len(vectors) * weight.shape[1] // FEWER)

    def windows(self, rows: np.ndarray, count: int) -> np.ndarray:
        """Return the values of the windows at the first `count` words of a text, (windows, features) float64.

        Args:
            rows: (count + widest − 1,) the row of each word.
            count: the number of windows. Those across the end of a text are −∞.
        """
        index, sizes = _ranges(self._starts.take(rows), self._sizes.take(rows))
        cells = self._places.take(index)
        cells += np.arange(0, len(rows) * self._features, self._features).repeat(sizes)
        length = (len(rows) + self._beyond) * self._features
        # `bincount` adds in order: a text's sums are the same bits wherever it lies.
        sums = np.bincount(cells, self._values.take(index), length).astype(np.float64, copy=False)  # int without any
        values = sums.reshape(-1, self._features)[self._beyond : self._beyond + count]
        ends = np.flatnonzero(rows == END)
        for place, features in enumerate(self._counts):
            across = ends - place
            values[across[(across >= 0) & (across < count)], :features] = -np.inf
        return values


def _ranges(starts: np.ndarray, sizes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the numbers of ranges, one range after the other, and the sizes."""
    ends = sizes.cumsum()
    return np.arange(ends[-1] if len(ends) else 0) + (starts - ends + sizes).repeat(sizes), sizes
