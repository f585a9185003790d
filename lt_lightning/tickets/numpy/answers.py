"""Multiply words' vectors by a matrix, and keep the products of the most frequent words.

A vocabulary is in order of frequency, and frequencies follow Zipf's law: of 50,000 words the first 6,600 make up about
80 % of a text. A word's product is the same bits whether it is kept or computed again.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

KEPT = 8_000_000
"""Maximum number of entries of the products that are kept: 32 MB. Pages of words that do not occur are not touched."""
ALIKE = 8
"""Number of words that are multiplied at a time, so that a word's product does not depend on the other words.
BLAS sums a row in another order for other sizes and, with larger blocks on some processors, at other positions in the
block: OpenBLAS's kernel for Haswell alternates two orders every 6 rows. Blocks of 8 are safe with every kernel of
OpenBLAS for x86."""


@dataclass(frozen=True)
class Piece:
    """The answers to the words of a piece of text, by position."""

    kept: np.ndarray  # (kept, columns) the answers to the most frequent words
    rows: np.ndarray  # (positions,) the row of each word
    places: np.ndarray  # ascending positions of words whose answers are not kept
    numbers: np.ndarray  # of these words: the row in `rare`
    rare: np.ndarray  # their answers

    def take(self, start: int, end: int) -> np.ndarray:
        """Return the answers to the words from `start` to `end`, (positions, columns), a new array."""
        # Rows that are not kept are clipped here and overwritten below.
        found = self.kept.take(self.rows[start:end], axis=0, mode="clip")
        if len(self.places):
            first, last = np.searchsorted(self.places, [start, end])
            found[self.places[first:last] - start] = self.rare.take(self.numbers[first:last], axis=0)
        return found


class Answers:
    """The answers to words: the products of their vectors with a matrix.

    Args:
        vectors: (words, dims), the most frequent words first.
        weight: (dims, columns).
        fixed: (some, columns), the answers to the first rows of `vectors`, which are not products.
    """

    def __init__(self, vectors: np.ndarray, weight: np.ndarray, fixed: np.ndarray) -> None:
        self._vectors, self._weight = vectors, np.ascontiguousarray(weight)
        kept = max(len(fixed), KEPT // max(1, weight.shape[1]))
        self._kept = np.empty((min(kept, len(vectors)), weight.shape[1]), np.float32)
        self._kept[: len(fixed)] = fixed
        self._known = np.arange(len(vectors)) < len(fixed)

    def look_up(self, rows: np.ndarray) -> Piece:
        """Return the answers to the words of a piece of text, given by their rows, (positions,)."""
        missing = rows[~self._known.take(rows)]
        if not len(missing):
            return Piece(self._kept, rows, missing, missing, self._kept)
        distinct = np.unique(missing)
        answers = self._multiply(distinct)
        frequent = int(np.searchsorted(distinct, len(self._kept)))
        # Threads may do this at the same time, as they write the same bits; none reads a row before it is known.
        self._kept[distinct[:frequent]] = answers[:frequent]
        self._known[distinct[:frequent]] = True
        places = np.flatnonzero(rows >= len(self._kept))
        return Piece(self._kept, rows, places, np.searchsorted(distinct, rows[places]), answers)

    def _multiply(self, rows: np.ndarray) -> np.ndarray:
        blocks = -(-len(rows) // ALIKE)
        filled = np.zeros(blocks * ALIKE, rows.dtype)
        filled[: len(rows)] = rows
        vectors = self._vectors.take(filled, axis=0).reshape(blocks, ALIKE, -1)
        return np.matmul(vectors, self._weight).reshape(blocks * ALIKE, -1)
