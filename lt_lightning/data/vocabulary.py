"""Choose the vocabulary: the training part's most frequent words, behind `<unk>` (0) and `<pad>` (1)."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Int32, Int64

from lt_lightning.data.tokenizer import SPECIAL_WORDS, UNKNOWN


def choose_words(
    words: pa.LargeStringArray, counts: Int64[np.ndarray, " words"], max_words: int
) -> pa.LargeStringArray:
    """Return the `max_words` most frequent words, ties in code point order.

    Args:
        words: different words, in code point order.
        counts: the frequency of each; a word with 0 is not chosen.
        max_words: the largest number of words, without `<unk>` and `<pad>`.
    """
    order = np.argsort(-counts, kind="stable")[: min(max_words, np.count_nonzero(counts))]
    return words.take(pa.array(order))


def number_of_each(words: pa.LargeStringArray, known: pa.LargeStringArray) -> Int32[np.ndarray, " words"]:
    """Return the id of each of `words` in the vocabulary `known`; unknown words get that of `<unk>`."""
    places = pc.index_in(words, known)  # pyright: ignore[reportAttributeAccessIssue]
    numbers = pc.fill_null(places, UNKNOWN - len(SPECIAL_WORDS))  # pyright: ignore[reportAttributeAccessIssue]
    return numbers.to_numpy().astype(np.int32) + np.int32(len(SPECIAL_WORDS))
