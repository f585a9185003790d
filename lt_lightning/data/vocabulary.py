"""Words: how texts fall into them, which of them the network knows, and their numbers. A letter can be a word.

A tokenizer of the Rust `tokenizers` library is all of this in one value; as JSON it goes into tickets. Its vocabulary
is the training part's words, most frequent first, behind `<unk>` (0) and `<pad>` (1).
Documentation: https://huggingface.co/docs/tokenizers
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from jaxtyping import Int32, Int64
from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers

from lt_lightning.config import Splitter
from lt_lightning.errors import SettingError

UNKNOWN = 0
"""The id of `<unk>`, which stands for every word that the vocabulary lacks."""
PADDING = 1
"""The id of `<pad>`, which fills the rows of a batch up to the longest."""
SPECIAL_WORDS = ("<unk>", "<pad>")
"""The words of these ids."""


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


def make_tokenizer(words: Sequence[str], splitter: Splitter) -> Tokenizer:
    """The tokenizer that knows these words.

    Args:
        words: the vocabulary without `<unk>` and `<pad>`, in the order of the ids.
        splitter: `words`: runs of characters between white space, punctuation marks apart; `spacy`: spaCy's blank
            English tokenizer; either way in lower case. `letters`: every Unicode character as it stands, spaces and
            line breaks too.

    Returns:
        A tokenizer that maps words it does not know to `<unk>`. With `spacy`, feed it what `spacy_words` makes of
        texts.
    """
    # The special words are the model's rather than added tokens, which would be recognised in texts: a text that speaks
    # of "<pad>" would then have padding in its middle.
    numbers = {word: number for number, word in enumerate([*SPECIAL_WORDS, *words])}
    tokenizer = Tokenizer(models.WordLevel(numbers, unk_token=SPECIAL_WORDS[UNKNOWN]))
    if splitter is Splitter.letters:
        tokenizer.pre_tokenizer = every_letter()
    else:
        tokenizer.normalizer = normalizers.Lowercase()
    if splitter is Splitter.words:
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Punctuation("isolated")]
        )
    return tokenizer


def every_letter() -> pre_tokenizers.PreTokenizer:
    """What has a tokenizer take each Unicode character of a text for a word."""
    return pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")  # a dot would leave line breaks together


def spacy_words() -> Callable[[str], list[str]]:
    """What cuts a text into spaCy's words, as they are written.

    Raises:
        SettingError: if spaCy is not installed.
    """
    try:
        import spacy  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise SettingError(
            'data.tokenizer: spacy is not installed; pip install "lt-lightning[spacy]", or use data.tokenizer=words'
        ) from error
    tokenize = spacy.blank("en").tokenizer
    return lambda text: [token.text for token in tokenize(text) if not token.is_space]
