"""Which words the network knows: the training part's, most frequent first, behind `<unk>` (0) and `<pad>` (1)."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Int32, Int64

from lt_lightning.data.tokenizer import SPECIAL_WORDS, UNKNOWN


def choose_words(
    words: pa.LargeStringArray, counts: Int64[np.ndarray, " words"], max_words: int
) -> pa.LargeStringArray:
    """The most frequent words, most frequent first; of equally frequent ones the first in code point order.

    Args:
        words: different words, in code point order.
        counts: how often each was counted; what never was is not chosen.
        max_words: the largest number of words, `<unk>` and `<pad>` not counted.
    """
    order = np.argsort(-counts, kind="stable")[: min(max_words, np.count_nonzero(counts))]
    return words.take(pa.array(order))


def number_of_each(words: pa.LargeStringArray, known: pa.LargeStringArray) -> Int32[np.ndarray, " words"]:
    """The number that each of `words` has where the vocabulary is `known`: behind the special words, or `<unk>`'s."""
    places = pc.index_in(words, known)  # pyright: ignore[reportAttributeAccessIssue]
    numbers = pc.fill_null(places, UNKNOWN - len(SPECIAL_WORDS))  # pyright: ignore[reportAttributeAccessIssue]
    return numbers.to_numpy().astype(np.int32) + np.int32(len(SPECIAL_WORDS))
