"""A tokenizer of texts in one step, as the DataModule makes it in several."""

from collections.abc import Iterable, Sequence

import numpy as np
from tokenizers import Tokenizer

from lt_lightning.config.enums import Splitter
from lt_lightning.data.encoding import choose_words, number_words
from lt_lightning.data.tokenizer import make_tokenizer


def build_tokenizer(texts: Iterable[Sequence[str]], splitter: Splitter, max_words: int) -> Tokenizer:
    numbered = number_words(texts, splitter)
    counts = np.bincount(numbered.ids, minlength=len(numbered.words))
    return make_tokenizer(choose_words(numbered.words, counts, max_words).to_pylist(), splitter)
