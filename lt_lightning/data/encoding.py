"""Split texts into words, choose the vocabulary, and encode texts as one flat tensor of ids and offsets.

Every word is numbered in one pass, before the vocabulary is chosen, so that all vocabularies share a cache.
"""

from __future__ import annotations

import hashlib
from array import array
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from importlib.metadata import PackageNotFoundError, version
from itertools import count
from pathlib import Path
from typing import NamedTuple, Protocol, runtime_checkable

import datasets
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import torch
from jaxtyping import Int32, Int64
from torch import Tensor

from lt_lightning.config.enums import Splitter
from lt_lightning.data.tokenizer import END, SPECIAL_WORDS, UNKNOWN, Cutter, cutter, pieces
from lt_lightning.storage.cache import Arrays, check_kind, check_offsets, check_range, recall_or_make


def choose_words(
    words: pa.LargeStringArray, counts: Int64[np.ndarray, " words"], max_words: int
) -> pa.LargeStringArray:
    """Return the `max_words` most frequent words (without `<unk>` and `<pad>`), ties in code point order.

    `words` are different and in code point order; a word with a count of 0 is not chosen.
    """
    order = np.argsort(-counts, kind="stable")[: min(max_words, np.count_nonzero(counts))]
    return words.take(pa.array(order))


def number_of_each(words: pa.LargeStringArray, known: pa.LargeStringArray) -> Int32[np.ndarray, " words"]:
    """Return the id of each of `words` in the vocabulary `known`; unknown words get that of `<unk>`."""
    places = pc.index_in(words, known)  # pyright: ignore[reportAttributeAccessIssue]
    numbers = pc.fill_null(places, UNKNOWN - len(SPECIAL_WORDS))  # pyright: ignore[reportAttributeAccessIssue]
    return numbers.to_numpy().astype(np.int32) + np.int32(len(SPECIAL_WORDS))


CODE_POINTS = 0x110000
PIECE = 1 << 20
"""The number of ids replaced at a time, to bound temporary memory."""
PORTION = 1 << 20
"""The number of characters split at a time; the words of a portion take some 50 times its memory."""


@runtime_checkable
class FlatTexts(Protocol):
    """Texts as ids, concatenated: row r is `ids[offsets[r]:offsets[r + 1]]`."""

    @property
    def ids(self) -> Int32[np.ndarray, " ids"]:
        """Return the ids of all texts."""
        ...

    @property
    def offsets(self) -> Int64[np.ndarray, " rows_and_1"]:
        """Return where each text begins, and the end of the last."""
        ...


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
    return _replaced([words[number] for number in order], places, numbered, lengths)


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
    return _replaced([*map(chr, np.flatnonzero(occurs))], places, numbered, lengths)


def _replaced(
    words: Sequence[str], places: np.ndarray, numbered: array[int], lengths: Sequence[np.ndarray]
) -> NumberedTexts:
    """Return the texts with each number replaced, in place, by its word's index."""
    ids = np.frombuffer(numbered, np.int32) if numbered else np.zeros(0, np.int32)
    for start in range(0, len(ids), PIECE):
        ids[start : start + PIECE] = places[ids[start : start + PIECE]]
    offsets = np.concatenate([np.zeros(1, np.int64), *lengths]).cumsum()
    return NumberedTexts(pa.array(words, pa.large_string()), ids, offsets)


# Increase it when the numbering, the form of the cached arrays or the tables of `characters` change.
FORMAT = 2
BATCH = 1000
"""Texts per batch."""
LARGE = 1 << 26
"""Batches of more bytes are split into single texts."""


class EncodedTexts(NamedTuple):
    """Encoded texts, concatenated.

    Attributes:
        ids: all word ids.
        offsets: row r is `ids[offsets[r]:offsets[r + 1]]`.
        labels: the class of each row.
    """

    ids: Int32[Tensor, " words"]
    offsets: Int64[Tensor, " rows_and_1"]
    labels: Int64[Tensor, " rows"]

    @property
    def lengths(self) -> Int64[Tensor, " rows"]:
        """Return the number of words of each row."""
        return self.offsets.diff()


def read_words(texts: datasets.Dataset, splitter: Splitter, cache: Path) -> NumberedTexts:
    """Split all texts (column `text`) into numbered words, or load them from the cache.

    The cache depends on the texts and the splitter alone: runs with other seeds, limits and vocabulary sizes share it.

    Raises:
        SettingError: spaCy is not installed but requested.
    """
    # The libraries define letters and lower case.
    libraries = ["tokenizers", "spacy"] if splitter is Splitter.spacy else ["tokenizers"]
    recipe = f"{FORMAT}|{texts._fingerprint}|{splitter.value}|{[*map(library_version, libraries)]}"
    fingerprint = hashlib.blake2b(recipe.encode(), digest_size=16).hexdigest()

    def make() -> Arrays:
        words, ids, offsets = number_words(text_batches(texts), splitter)
        _, places, letters = words.buffers()
        return {
            "ids": ids,
            "offsets": offsets,
            "word_places": np.frombuffer(places, np.int64)[: len(words) + 1],
            "word_letters": np.frombuffer(letters or b"", np.uint8),
        }

    path = cache / f"words-{fingerprint}.safetensors"
    return _numbered(recall_or_make(path, make, "word ids", lambda kept: _check(kept, len(texts))))


def _numbered(kept: Arrays) -> NumberedTexts:
    places, letters = pa.py_buffer(kept["word_places"]), pa.py_buffer(kept["word_letters"])
    words = pa.LargeStringArray.from_buffers(len(kept["word_places"]) - 1, places, letters)
    return NumberedTexts(words, kept["ids"], kept["offsets"])


def _check(kept: Arrays, rows: int) -> None:
    """Raise a `KeyError` or a `ValueError` unless arrays are numbered texts of so many rows."""
    check_kind(kept["ids"], np.int32, (None,))
    check_kind(kept["offsets"], np.int64, (rows + 1,))
    check_kind(kept["word_places"], np.int64, (None,))
    check_kind(kept["word_letters"], np.uint8, (None,))
    check_offsets(kept["offsets"], len(kept["ids"]))
    check_offsets(kept["word_places"], len(kept["word_letters"]))
    check_range(kept["ids"], 0, len(kept["word_places"]) - 1)
    _numbered(kept).words.validate(full=True)  # pyright: ignore[reportAttributeAccessIssue]


def encode(
    texts: FlatTexts,
    numbers: Int32[np.ndarray, " words"] | None,
    labels: Int64[np.ndarray, " rows"],
    rows: Int64[np.ndarray, " some"],
    max_length: int | None,
) -> EncodedTexts:
    """Map the words of some rows of a split (ascending and unique) to their ids in a vocabulary.

    `numbers` holds the id of each of the split's words; None if they are ids already. `max_length` words of each text
    are kept; None keeps all.
    """
    ids, lengths = take_rows(texts, rows, max_length)
    return EncodedTexts(
        torch.from_numpy(ids if numbers is None else numbers[ids]),
        torch.from_numpy(np.concatenate([[0], lengths.cumsum()])),
        torch.from_numpy(labels[rows]),
    )


def take_rows(
    texts: FlatTexts, rows: Int64[np.ndarray, " some"], max_length: int | None = None
) -> tuple[Int32[np.ndarray, " ids"], Int64[np.ndarray, " some"]]:
    """Return the word numbers of `rows` (ascending, unique), at most `max_length` of each row, and their counts."""
    lengths = np.diff(texts.offsets)
    kept = np.zeros_like(lengths)
    kept[rows] = lengths[rows] if max_length is None else lengths[rows].clip(max=max_length)
    # A mask byte per word: the kept words of a row, then the others.
    turns = np.stack([kept, lengths - kept], axis=1).reshape(-1)
    return texts.ids[np.repeat(np.tile([True, False], len(lengths)), turns)], kept[rows]


def library_version(library: str) -> str:
    """Return the version of an installed library, or `none`."""
    try:
        return version(library)
    except PackageNotFoundError:
        return "none"


def text_batches(texts: datasets.Dataset) -> Iterator[list[str]]:
    """Yield the texts (column `text`) in lists of at most `BATCH`."""
    for batch in texts.with_format("arrow").iter(BATCH):
        column = batch["text"]  # pyright: ignore
        if column.nbytes <= LARGE:
            yield column.to_pylist()
        else:
            yield from ([text.as_py()] for text in column)
