"""Texts cut into words and every word numbered, in one pass, before anyone asks which words a network shall know.

What a tokenizer of `vocabulary` would make of a text, bit for bit, at several times its speed: it is asked once for
each character what it does to it, lower-casing or standing apart, and the rest is done to thousands of texts as one
string. That is possible as it looks at each character on its own, which the tests try for all that Unicode has.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from itertools import count
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from jaxtyping import Int32, Int64
from tokenizers import Tokenizer

from lt_lightning.config import Splitter
from lt_lightning.data.vocabulary import make_tokenizer, spacy_words

CODE_POINTS = 0x110000
PIECE = 1 << 20
"""So many ids are looked up at a time, where what is looked up would take more memory than the ids do."""


class NumberedTexts(NamedTuple):
    """Texts of words, one after another.

    Attributes:
        words: all different words, in code point order.
        ids: the number of each word of the texts: its place among `words`.
        offsets: row r is `ids[offsets[r]:offsets[r + 1]]`.
    """

    words: pa.LargeStringArray
    ids: Int32[np.ndarray, " ids"]
    offsets: Int64[np.ndarray, " rows_and_1"]


def number_words(texts: Iterable[Sequence[str]], splitter: Splitter) -> NumberedTexts:
    """Cut texts into words and number these.

    Args:
        texts: batches of texts.
        splitter: how texts fall into words; see `make_tokenizer`.

    Raises:
        SettingError: if spaCy is asked for and not installed.
    """
    return _number_letters(texts) if splitter is Splitter.letters else _number_cut(texts, cutter(splitter))


END = "\n"
"""Ends a text among the words of several; no word is a line break, unless words are letters."""
Cutter = Callable[[Sequence[str]], "list[str]"]
"""Makes of texts the words of all of them, one after another; `END` after each text, empty strings anywhere."""


def cutter(splitter: Splitter) -> Cutter:
    """What cuts texts into words.

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


def _number_cut(texts: Iterable[Sequence[str]], cut: Cutter) -> NumberedTexts:
    numbers: defaultdict[str, int] = defaultdict(count().__next__)
    end, nothing = numbers[END], numbers[""]
    parts: list[np.ndarray] = []
    lengths: list[np.ndarray] = []
    for batch in texts:
        words = cut(batch)
        ids = np.fromiter(map(numbers.__getitem__, words), np.int32, len(words))
        before = np.cumsum(ids > nothing)[ids == end]  # real words up to the end of each text
        lengths.append(np.diff(before, prepend=0))
        parts.append(ids[ids > nothing])
    words = list(numbers)
    order = np.array(sorted(range(nothing + 1, len(words)), key=words.__getitem__), np.int64)
    places = np.zeros(len(words), np.int32)
    places[order] = np.arange(len(order))
    return _numbered([words[number] for number in order], places, parts, lengths)


def _number_letters(texts: Iterable[Sequence[str]]) -> NumberedTexts:
    parts: list[np.ndarray] = []
    lengths: list[np.ndarray] = []
    occurs = np.zeros(CODE_POINTS, bool)
    for batch in texts:
        codes = np.frombuffer("".join(batch).encode("utf-32-le"), np.int32)
        occurs[codes] = True
        lengths.append(np.fromiter(map(len, batch), np.int64, len(batch)))
        parts.append(codes)
    places = (np.cumsum(occurs) - 1).astype(np.int32)
    return _numbered([*map(chr, np.flatnonzero(occurs))], places, parts, lengths)


def _numbered(
    words: Sequence[str], places: np.ndarray, parts: list[np.ndarray], lengths: Sequence[np.ndarray]
) -> NumberedTexts:
    """All parts as one, each number replaced by its word's place, in place: a corpus may be large."""
    ids = np.concatenate([np.zeros(0, np.int32), *parts])
    parts.clear()
    for start in range(0, len(ids), PIECE):
        ids[start : start + PIECE] = places[ids[start : start + PIECE]]
    offsets = np.concatenate([np.zeros(1, np.int64), *lengths]).cumsum()
    return NumberedTexts(pa.array(words, pa.large_string()), ids, offsets)
