"""Encode texts as one flat tensor of word ids and the offset of each text."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NamedTuple

import datasets
import numpy as np
import pyarrow as pa
import torch
from jaxtyping import Int32, Int64
from torch import Tensor

from lt_lightning.config.enums import Splitter
from lt_lightning.data.numbering import NumberedTexts, number_words
from lt_lightning.storage.cache import Arrays, check_kind, check_offsets, check_range, recall_or_make

# Increase it when `numbering` or the form of the cached arrays changes, to invalidate old caches.
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
    recipe = f"{FORMAT}|{texts._fingerprint}|{splitter.value}|{[*map(_version, libraries)]}"
    fingerprint = hashlib.blake2b(recipe.encode(), digest_size=16).hexdigest()

    def make() -> Arrays:
        words, ids, offsets = number_words(_batches(texts), splitter)
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
    texts: NumberedTexts,
    numbers: Int32[np.ndarray, " words"],
    labels: Int64[np.ndarray, " rows"],
    rows: Int64[np.ndarray, " some"],
    max_length: int | None,
) -> EncodedTexts:
    """Map words to their ids in a vocabulary.

    Args:
        texts: a whole split.
        numbers: the id of each of its words.
        labels: the class of each of its rows.
        rows: the rows to encode, ascending and unique.
        max_length: the number of words to keep of each text; None for all.
    """
    ids, lengths = take_rows(texts, rows, max_length)
    return EncodedTexts(
        torch.from_numpy(numbers[ids]),
        torch.from_numpy(np.concatenate([[0], lengths.cumsum()])),
        torch.from_numpy(labels[rows]),
    )


def take_rows(
    texts: NumberedTexts, rows: Int64[np.ndarray, " some"], max_length: int | None = None
) -> tuple[Int32[np.ndarray, " ids"], Int64[np.ndarray, " some"]]:
    """Return the word numbers of `rows` (ascending, unique), at most `max_length` of each row, and their counts."""
    lengths = np.diff(texts.offsets)
    kept = np.zeros_like(lengths)
    kept[rows] = lengths[rows] if max_length is None else lengths[rows].clip(max=max_length)
    # A mask byte per word: the kept words of a row, then the others.
    turns = np.stack([kept, lengths - kept], axis=1).reshape(-1)
    return texts.ids[np.repeat(np.tile([True, False], len(lengths)), turns)], kept[rows]


def _version(library: str) -> str:
    try:
        return version(library)
    except PackageNotFoundError:
        return "none"


def _batches(texts: datasets.Dataset) -> Iterator[list[str]]:
    for batch in texts.with_format("arrow").iter(BATCH):
        column = batch["text"]  # pyright: ignore
        if column.nbytes <= LARGE:
            yield column.to_pylist()
        else:
            yield from ([text.as_py()] for text in column)
