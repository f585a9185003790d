"""Which entries of a ticket carry over to a network with another vocabulary: pure functions on arrays.

Needs NumPy alone.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lt_lightning.data.tokenizer import SPECIAL_WORDS

NOWHERE = -1
"""The row of a word that the ticket does not have."""


def match_rows(words: Sequence[str], theirs: Sequence[str], ids: np.ndarray) -> np.ndarray:
    """Where a ticket has each word of a vocabulary.

    Args:
        words: the vocabulary, in the order of its ids, `<unk>` and `<pad>` first.
        theirs: the words that the ticket lists, without these two.
        ids: (theirs,) the rows of those words in the ticket's embedding.

    Returns:
        (words,) int64: each word's row there, or `NOWHERE`.

    >>> match_rows(["<unk>", "<pad>", "dog", "cat"], ["cat", "cow"], np.array([2, 7]))
    array([ 0,  1, -1,  2])
    """
    rows = dict(zip(theirs, ids.tolist(), strict=True))
    special = len(SPECIAL_WORDS)  # by their places, as a text may have such a word, too
    return np.array([*range(special), *(rows.get(word, NOWHERE) for word in words[special:])], np.int64)


def take_rows(table: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """The rows of a table, zero (or false) for `NOWHERE`.

    Args:
        table: (words there, dim) of any type.
        rows: (words here,) from `match_rows`.

    Returns:
        (words here, dim) of the table's type.

    >>> take_rows(np.array([[1, 2], [3, 4]]), np.array([1, -1]))
    array([[3, 4],
           [0, 0]])
    """
    found = rows != NOWHERE
    taken = np.zeros((len(rows), *table.shape[1:]), table.dtype)
    taken[found] = table[rows[found]]
    return taken


def scatter(values: np.ndarray, places: np.ndarray | None, shape: tuple[int, ...]) -> np.ndarray:
    """Values at their places, zeros (or false) elsewhere.

    Args:
        values: (places,) of any type.
        places: (places,) int64 in C order; None: all of them.
        shape: of the result.

    >>> scatter(np.array([5, 6]), np.array([0, 3]), (2, 2))
    array([[5, 0],
           [0, 6]])
    """
    flat = np.zeros(int(np.prod(shape)), values.dtype)
    flat[slice(None) if places is None else places] = values
    return flat.reshape(shape)
