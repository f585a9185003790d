"""Words: how texts fall into them, which of them the network knows, and their numbers.

A tokenizer of the Rust `tokenizers` library is all of this in one value; as JSON it goes into tickets. Its vocabulary
is the training part's words, most frequent first, behind `<unk>` (0) and `<pad>` (1).
Documentation: https://huggingface.co/docs/tokenizers
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

from lt_lightning.config import Splitter
from lt_lightning.errors import SettingError

UNKNOWN = 0
"""The id of `<unk>`, which stands for every word that the vocabulary lacks."""
PADDING = 1
"""The id of `<pad>`, which fills the rows of a batch up to the longest."""
SPECIAL_WORDS = ("<unk>", "<pad>")
"""The words of these ids."""


def build_tokenizer(texts: Iterable[Sequence[str]], splitter: Splitter, max_words: int) -> Tokenizer:
    """Count the words of `texts` and number the most frequent.

    Args:
        texts: batches of texts.
        splitter: `words`: runs of characters between white space, punctuation marks apart; `spacy`: spaCy's blank
            English tokenizer. Either way in lower case.
        max_words: the largest number of words, `<unk>` and `<pad>` not counted.

    Returns:
        A tokenizer that maps words it does not know to `<unk>`; feed it `split(batch, splitter)`.

    Raises:
        SettingError: if spaCy is asked for and not installed.
    """
    tokenizer = Tokenizer(models.WordLevel({}, unk_token=SPECIAL_WORDS[UNKNOWN]))
    tokenizer.normalizer = normalizers.Lowercase()
    if splitter is Splitter.words:
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Punctuation("isolated")]
        )
    trainer = trainers.WordLevelTrainer(
        vocab_size=max_words + len(SPECIAL_WORDS), special_tokens=list(SPECIAL_WORDS), show_progress=False
    )
    tokenizer.train_from_iterator(_training_input(texts, splitter), trainer)
    return tokenizer


def split(texts: Sequence[str], splitter: Splitter) -> list[str] | list[list[str]]:
    """What the tokenizer takes for `texts`: themselves, or the words that spaCy makes of each."""
    if splitter is Splitter.words:
        return list(texts)
    try:
        import spacy  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise SettingError(
            'data.tokenizer: spacy is not installed; pip install "lt-lightning[spacy]", or use data.tokenizer=words'
        ) from error
    tokenize = spacy.blank("en").tokenizer
    return [[token.text for token in tokenize(text) if not token.is_space] for text in texts]


def vocabulary(tokenizer: Tokenizer) -> list[str]:
    """The words in the order of their ids."""
    ids = tokenizer.get_vocab()
    return sorted(ids, key=ids.__getitem__)


def _training_input(texts: Iterable[Sequence[str]], splitter: Splitter) -> Iterator[list[str]]:
    for batch in texts:
        pieces = split(batch, splitter)
        # Words that spaCy has cut are each a text of one word to the trainer.
        yield [word for piece in pieces for word in ([piece] if isinstance(piece, str) else piece)]
