"""Pack lists of words into bytes: the letters that a word does not share with the one before, compressed by zlib."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np

from lt_lightning.tickets.header import check_plain

_PREFIXES = "prefixes"
_LONGEST = 255


def pack_words(name: str, words: Sequence[str]) -> dict[str, np.ndarray]:
    """Return the tensors of a file that hold a list of words, uint8.

    Args:
        name: their name.
        words: the words; in alphabetical order they take about two thirds of the room.
    """
    shared = [_shared(before, word) for before, word in pairwise(["", *words])]
    rest = _packed([word[count:] for word, count in zip(words, shared, strict=True)])
    prefixes = np.frombuffer(zlib.compress(bytes(shared), 9), np.uint8)
    whole = _packed(words)
    if len(rest) + len(prefixes) < len(whole):
        return {name: rest, f"{name}/{_PREFIXES}": prefixes}
    return {name: whole}


def _shared(before: str, word: str) -> int:
    """Return the number of first letters that two words share."""
    count = next((place for place, (one, other) in enumerate(zip(before, word, strict=False)) if one != other), None)
    return min(len(before), len(word), _LONGEST) if count is None else min(count, _LONGEST)


def unpack_words(name: str, arrays: Mapping[str, np.ndarray], what: str, longest: int) -> list[str]:
    """Return a list of words.

    Args:
        name: the name that it was packed under, which must be among `arrays`.
        arrays: the tensors of the file.
        what: what messages begin with.
        longest: how many bytes the words may take.

    Raises:
        ValueError: the tensors hold no such list.
    """
    text = _unzip(arrays[name], longest, what)
    try:
        words = json.loads(text)
    except (ValueError, RecursionError):
        raise ValueError(f"{what} cannot be read") from None
    if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
        raise ValueError(f"{what} are not a list of words")
    packed = arrays.get(f"{name}/{_PREFIXES}")
    if packed is not None:
        shared = _unzip(packed, longest, what)
        if len(shared) != len(words):
            raise ValueError(f"{what} have {len(shared):,} beginnings")
        if len(text) + sum(shared) > longest:
            raise ValueError(f"{what} take more than {longest:,} bytes")
        before = ""
        for place, count in enumerate(shared):
            if count > len(before):
                raise ValueError(f"{what} begin with more letters than the word before has")
            before = words[place] = before[:count] + words[place]
    check_plain(words)
    return words


def _packed(words: Sequence[str]) -> np.ndarray:
    text = json.dumps(words, ensure_ascii=False, separators=(",", ":")).encode()
    return np.frombuffer(zlib.compress(text, 9), np.uint8)


def _unzip(packed: np.ndarray, longest: int, what: str) -> bytes:
    try:
        content = zlib.decompressobj().decompress(packed.tobytes(), longest + 1)
    except zlib.error:
        raise ValueError(f"{what} cannot be read") from None
    if len(content) > longest:
        raise ValueError(f"{what} take more than {longest:,} bytes")
    return content
