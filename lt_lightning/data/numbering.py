"""Split texts into words and number every word in one pass, before the vocabulary is chosen."""

from __future__ import annotations

from array import array
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import count
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from jaxtyping import Int32, Int64

from lt_lightning.config.enums import Splitter
from lt_lightning.data.tokenizer import END, Cutter, cutter, pieces

CODE_POINTS = 0x110000
PIECE = 1 << 20
"""The number of ids replaced at a time, to bound temporary memory."""
PORTION = 1 << 20
"""The number of characters split at a time; the words of a portion take some 50 times its memory."""


class NumberedTexts(NamedTuple):
    """Texts of words, concatenated.

    Attributes:
        words: all different words, in code point order.
        ids: the index in `words` of each word of the texts.
        offsets: row r is `ids[offsets[r]:offsets[r + 1]]`.
    """

    words: pa.LargeStringArray
    ids: Int32[np.ndarray, " ids"]
    offsets: Int64[np.ndarray, " rows_and_1"]


def number_words(texts: Iterable[Sequence[str]], splitter: Splitter) -> NumberedTexts:
    """Split batches of texts into words and number them.

    Raises:
        SettingError: spaCy is not installed but requested.
    """
    return _number_letters(texts) if splitter is Splitter.letters else _number_cut(texts, splitter, cutter(splitter))


def _portions(texts: Sequence[str], splitter: Splitter) -> Iterator[tuple[list[str], bool]]:
    """Yield portions of about `PORTION` characters, and whether the last text continues in the next portion."""
    waiting: list[str] = []
    size = 0
    for text in texts:
        if size + len(text) > PORTION and waiting:
            yield waiting, False
            waiting, size = [], 0
        if len(text) > PORTION:
            last = ""
            for piece in pieces(text, splitter):
                if last:
                    yield [last], True
                last = piece
            yield [last], False
        else:
            waiting.append(text)
            size += len(text)
    if waiting:
        yield waiting, False


def _number_cut(texts: Iterable[Sequence[str]], splitter: Splitter, cut: Cutter) -> NumberedTexts:
    numbers: defaultdict[str, int] = defaultdict(count().__next__)
    end, nothing = numbers[END], numbers[""]
    numbered = array("i")  # grows in place, without a second copy
    lengths: list[np.ndarray] = []
    begun = 0  # words of a text that continues
    for portion, goes_on in (portion for batch in texts for portion in _portions(batch, splitter)):
        words = cut(portion)
        ids = np.fromiter(map(numbers.__getitem__, words), np.int32, len(words))
        real = ids > nothing
        ends = np.cumsum(real)[ids == end]  # real words up to the end of each text
        if goes_on:
            begun += int(ends[-1])
        else:
            lengths.append(np.diff(ends, prepend=-begun))
            begun = 0
        numbered.frombytes(ids[real].tobytes())
    words = list(numbers)
    order = np.array(sorted(range(nothing + 1, len(words)), key=words.__getitem__), np.int64)
    places = np.zeros(len(words), np.int32)
    places[order] = np.arange(len(order))
    return _numbered([words[number] for number in order], places, numbered, lengths)


def _number_letters(texts: Iterable[Sequence[str]]) -> NumberedTexts:
    numbered = array("i")
    lengths: list[np.ndarray] = []
    occurs = np.zeros(CODE_POINTS, bool)
    for batch in texts:
        lengths.append(np.fromiter(map(len, batch), np.int64, len(batch)))
        for portion, _ in _portions(batch, Splitter.letters):
            codes = "".join(portion).encode("utf-32-le")
            occurs[np.frombuffer(codes, np.int32)] = True
            numbered.frombytes(codes)
    places = (np.cumsum(occurs) - 1).astype(np.int32)
    return _numbered([*map(chr, np.flatnonzero(occurs))], places, numbered, lengths)


def _numbered(
    words: Sequence[str], places: np.ndarray, numbered: array[int], lengths: Sequence[np.ndarray]
) -> NumberedTexts:
    """Return the texts with each number replaced, in place, by its word's index."""
    ids = np.frombuffer(numbered, np.int32) if numbered else np.zeros(0, np.int32)
    for start in range(0, len(ids), PIECE):
        ids[start : start + PIECE] = places[ids[start : start + PIECE]]
    offsets = np.concatenate([np.zeros(1, np.int64), *lengths]).cumsum()
    return NumberedTexts(pa.array(words, pa.large_string()), ids, offsets)
