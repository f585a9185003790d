"""Texts cut into words and every word numbered, in one pass, before anyone asks which words a network shall know."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import count
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from jaxtyping import Int32, Int64

from lt_lightning.data.cutting import END, Cutter, cutter
from lt_lightning.data.splitter import Splitter

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
