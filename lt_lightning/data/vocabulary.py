"""Words: how texts fall into them, which of them the network knows, and their numbers. A letter can be a word.

A tokenizer of the Rust `tokenizers` library is all of this in one value; as JSON it goes into tickets. Its vocabulary
is the training part's words, most frequent first, behind `<unk>` (0) and `<pad>` (1).
Documentation: https://huggingface.co/docs/tokenizers
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers

from lt_lightning.config import Splitter
from lt_lightning.errors import SettingError

UNKNOWN = 0
"""The id of `<unk>`, which stands for every word that the vocabulary lacks."""
PADDING = 1
"""The id of `<pad>`, which fills the rows of a batch up to the longest."""
SPECIAL_WORDS = ("<unk>", "<pad>")
"""The words of these ids."""


def build_tokenizer(texts: Iterable[Sequence[str]], splitter: Splitter, max_words: int) -> Tokenizer:
    """Count the words of `texts` and number the most frequent; of equally frequent ones the first in code point order.

    Args:
        texts: batches of texts.
        splitter: `words`: runs of characters between white space, punctuation marks apart; `spacy`: spaCy's blank
            English tokenizer; either way in lower case. `letters`: every Unicode character as it stands, spaces and
            line breaks too.
        max_words: the largest number of words, `<unk>` and `<pad>` not counted.

    Returns:
        A tokenizer that maps words it does not know to `<unk>`; feed it what `cutter(splitter)` makes of texts.

    Raises:
        SettingError: if spaCy is asked for and not installed.
    """
    tokenizer = Tokenizer(models.WordLevel({}, unk_token=SPECIAL_WORDS[UNKNOWN]))
    if splitter is Splitter.letters:
        tokenizer.pre_tokenizer = every_letter()
    else:
        tokenizer.normalizer = normalizers.Lowercase()
    if splitter is Splitter.words:
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Punctuation("isolated")]
        )
    trainer = trainers.WordLevelTrainer(vocab_size=max_words, special_tokens=[], show_progress=False)
    tokenizer.train_from_iterator(_training_input(texts, cutter(splitter)), trainer)
    # The special words are given to the model rather than to the trainer, which would have them recognised in texts:
    # a text that speaks of "<pad>" would then have padding in its middle.
    numbers = {word: number for number, word in enumerate([*SPECIAL_WORDS, *vocabulary(tokenizer)])}
    tokenizer.model = models.WordLevel(numbers, unk_token=SPECIAL_WORDS[UNKNOWN])
    return tokenizer


def every_letter() -> pre_tokenizers.PreTokenizer:
    """What has a tokenizer take each Unicode character of a text for a word."""
    return pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")  # a dot would leave line breaks together


Cutter = Callable[[Sequence[str]], "list[str] | list[list[str]]"]
"""Makes of texts what a tokenizer takes: the texts themselves, or lists of words."""


def cutter(splitter: Splitter) -> Cutter:
    """What has to be done to texts before the tokenizer: nothing, or spaCy's part, cutting them into words.

    Raises:
        SettingError: if spaCy is asked for and not installed.
    """
    if splitter is not Splitter.spacy:
        return list
    try:
        import spacy  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise SettingError(
            'data.tokenizer: spacy is not installed; pip install "lt-lightning[spacy]", or use data.tokenizer=words'
        ) from error
    tokenize = spacy.blank("en").tokenizer
    return lambda texts: [[token.text for token in tokenize(text) if not token.is_space] for text in texts]


def vocabulary(tokenizer: Tokenizer) -> list[str]:
    """The words in the order of their ids."""
    ids = tokenizer.get_vocab()
    return sorted(ids, key=ids.__getitem__)


def _training_input(texts: Iterable[Sequence[str]], cut: Cutter) -> Iterator[list[str]]:
    for batch in texts:
        # Words that are cut already are each a text of one word to the trainer.
        yield [word for piece in cut(batch) for word in ([piece] if isinstance(piece, str) else piece)]
