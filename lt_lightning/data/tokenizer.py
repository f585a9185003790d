"""Split texts into words or letters, as tokenizers of the Rust library `tokenizers` do, and make these.

Splitting imports the standard library alone: a ticket answers without that library, and starts sooner.
Documentation: https://huggingface.co/docs/tokenizers
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING

from lt_lightning.config.enums import Splitter
from lt_lightning.data.characters import lower_case, replacements
from lt_lightning.errors import SettingError

if TYPE_CHECKING:
    from tokenizers import Tokenizer, pre_tokenizers

UNKNOWN = 0
"""The id of `<unk>`, which stands for every word that the vocabulary lacks."""
PADDING = 1
"""The id of `<pad>`, which fills the rows of a batch up to the longest."""
SPECIAL_WORDS = ("<unk>", "<pad>")
"""The words of these ids."""


def make_tokenizer(words: Sequence[str], splitter: Splitter) -> Tokenizer:
    """Return a tokenizer that knows these words and maps others to `<unk>`.

    Args:
        words: the vocabulary without `<unk>` and `<pad>`, in the order of the ids.
        splitter: `words`: split at white space, punctuation marks apart; `spacy`: spaCy's blank English tokenizer, to
            be fed with the words of `spacy_words`; both lower-case. `letters`: every Unicode character as it is.
    """
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

    # Not added tokens, which would be recognised in texts: a text with "<pad>" would then contain padding.
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
    """Return a pre-tokenizer that makes each Unicode character a word."""
    from tokenizers import Regex, pre_tokenizers

    return pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")  # a dot would not match line breaks


def spacy_words() -> Callable[[str], list[str]]:
    """Return a function that splits a text into spaCy's words.

    Raises:
        SettingError: spaCy is not installed.
    """
    try:
        import spacy  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise SettingError(
            'data.tokenizer: spacy is not installed; pip install "lt-lightning[spacy]", or use data.tokenizer=words'
        ) from error
    tokenize = spacy.blank("en").tokenizer
    return lambda text: [token.text for token in tokenize(text) if not token.is_space]


END = "\n"
"""Marks the end of a text among words; no word is a line break, unless words are letters."""
PIECE = 1 << 16
"""The number of characters of a long text split at a time."""
_BETWEEN = {
    # Every splitter splits at white space; `words` also makes each punctuation mark a word.
    Splitter.words: re.compile(r"[ \t\r\n!-/:-@\[-`{-~、。，！？；：]"),
    Splitter.spacy: re.compile(r"[ \t\r\n]"),
}


def pieces(text: str, splitter: Splitter) -> Iterator[str]:
    """Yield pieces of about `PIECE` characters, none of which ends within a word; the last may be shorter."""
    between = _BETWEEN.get(splitter)
    start = 0
    while start < len(text):
        end = start + PIECE
        if between is not None and end < len(text):
            mark = between.search(text, end)
            end = len(text) if mark is None else mark.start()
        yield text[start:end]
        start = end


Cutter = Callable[[Sequence[str]], "list[str]"]
"""Returns the words of all texts, with `END` after each text and empty strings in between."""


def cutter(splitter: Splitter) -> Cutter:
    """Return a function that splits several texts into words at once.

    The words are the tokenizer's, at several times its speed: each character is replaced on its own, as a test checks
    for all of Unicode, so all texts are processed as one string.

    Raises:
        SettingError: spaCy is not installed but requested.
    """
    if splitter is Splitter.spacy:
        split = spacy_words()
        return lambda texts: [word for text in texts for word in (*map(lower_case, split(text)), END)]
    instead = {character: cut for character, cut in replacements().items() if cut != character != END}
    ascii_marks = [mark for mark in instead if mark.isascii() and instead[mark] != mark.lower()]

    def cut(texts: Sequence[str]) -> list[str]:
        whole = "".join([f"{text.replace(END, ' ')} {END} " for text in texts])
        if whole.isascii():
            whole, characters = whole.lower(), ascii_marks
        else:
            characters = instead.keys() & set(whole)
        for character in characters:
            whole = whole.replace(character, instead[character])
        return whole.split(" ")

    return cut


SpanFinder = Callable[[str], "Iterator[tuple[int, int]]"]
"""Yields the place of each word that a cutter finds in a text, and the place behind it."""


def span_finder(splitter: Splitter) -> SpanFinder:
    """Return a function that finds where the words of a text stand.

    Raises:
        SettingError: spaCy is not installed but requested.
    """
    if splitter is Splitter.spacy:
        return partial(_spacy_spans, spacy_words())
    return _spans


def _spacy_spans(split: Callable[[str], list[str]], text: str) -> Iterator[tuple[int, int]]:
    end = 0
    for word in split(text):  # in their order; only white space lies between
        start = text.index(word, end)
        end = start + len(word)
        yield start, end


def _spans(text: str) -> Iterator[tuple[int, int]]:
    instead, start = replacements(), None
    for place, character in enumerate(text):
        cut = instead.get(character, character)
        if not cut.startswith(" "):
            start = place if start is None else start
            continue
        if start is not None:
            yield start, place
            start = None
        if cut != " ":
            yield place, place + 1
    if start is not None:
        yield start, len(text)
