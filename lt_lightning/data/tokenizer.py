"""How texts fall into words, by the Rust `tokenizers` library or by what answers as it does. A letter can be a word.

Imports that library and the standard library alone, so that a ticket predicts without waiting for more.
Documentation: https://huggingface.co/docs/tokenizers
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence

from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers

from lt_lightning.config.enums import Splitter
from lt_lightning.errors import SettingError

UNKNOWN = 0
"""The id of `<unk>`, which stands for every word that the vocabulary lacks."""
PADDING = 1
"""The id of `<pad>`, which fills the rows of a batch up to the longest."""
SPECIAL_WORDS = ("<unk>", "<pad>")
"""The words of these ids."""


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


END = "\n"
"""Ends a text among the words of several; no word is a line break, unless words are letters."""
PIECE = 1 << 16
"""So many characters of a long text are cut at a time."""
_BETWEEN = {
    # Every splitter cuts at white space; `words` also takes each mark as a word of its own.
    Splitter.words: re.compile(r"[ \t\r\n!-/:-@\[-`{-~、。，！？；：]"),
    Splitter.spacy: re.compile(r"[ \t\r\n]"),
}


def pieces(text: str, splitter: Splitter) -> Iterator[str]:
    """Cut a text into pieces of about `PIECE` characters, none of which ends within a word; the last may be shorter."""
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
"""Makes of texts the words of all of them, one after another; `END` after each text, empty strings anywhere."""


def cutter(splitter: Splitter) -> Cutter:
    """What cuts texts into words, several at once.

    What the tokenizer would make of them, bit for bit, at several times its speed: it is asked once for each character
    what it does to it, lower-casing or standing apart, and the rest is done to all texts as one string. That is
    possible as it looks at each character on its own, which the tests try for all that Unicode has.

    Raises:
        SettingError: if spaCy is asked for and not installed.
    """
    tokenizer = make_tokenizer([], splitter)
    if splitter is Splitter.spacy:
        split, lower = spacy_words(), tokenizer.normalizer.normalize_str
        return lambda texts: [word for text in texts for word in (*map(lower, split(text)), END)]
    instead = _Instead(tokenizer)
    ascii_marks = [mark for mark in map(chr, range(128)) if mark != END and instead[mark] not in (mark, mark.lower())]

    def cut(texts: Sequence[str]) -> list[str]:
        whole = "".join([f"{text.replace(END, ' ')} {END} " for text in texts])
        if whole.isascii():
            whole, characters = whole.lower(), ascii_marks
        else:
            characters = {character for character in set(whole) if instead[character] != character} - {END}
        for character in characters:
            whole = whole.replace(character, instead[character])
        return whole.split(" ")

    return cut


class _Instead(dict[str, str]):
    """What to write instead of a character, so that a text need only be cut at its spaces; asked when one turns up."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        super().__init__()
        self._lower = tokenizer.normalizer.normalize_str
        self._cut = tokenizer.pre_tokenizer.pre_tokenize_str

    def __missing__(self, character: str) -> str:
        self[character] = "".join(map(self._apart, self._lower(character)))
        return self[character]

    def _apart(self, character: str) -> str:
        pieces = [piece for piece, _ in self._cut(f"a{character}a")]
        return {1: character, 2: " ", 3: f" {character} "}[len(pieces)]
