"""Convert texts to the word ids that a ticket's network was trained on."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from functools import cached_property
from itertools import islice

import numpy as np

from lt_lightning.config.enums import Splitter
from lt_lightning.data.tokenizer import END, PIECE, UNKNOWN, SpanFinder, cutter, pieces, span_finder
from lt_lightning.errors import SettingError

_NOTHING, _END = -1, -2


class Reader:
    """Split texts into words and look up their ids.

    Args:
        words: the known words.
        ids: (words,) the id of each; all others are `<unk>`.
        splitter: how to split texts.
        max_length: the number of words to keep of each text; None for all.

    Raises:
        SettingError: spaCy is needed and not installed.
    """

    def __init__(self, words: Sequence[str], ids: np.ndarray, splitter: Splitter, max_length: int | None) -> None:
        self._max_length = max_length
        self._splitter = splitter
        self._ids = _Ids(zip(words, ids.tolist(), strict=True))
        if splitter is not Splitter.letters:
            self._ids |= {"": _NOTHING, END: _END}
            try:
                self._cut = cutter(splitter)
            except SettingError as error:  # its remedy is another tokenizer, which a ticket does not allow
                raise SettingError(
                    'the ticket splits texts with spaCy, which is not installed; pip install "lt-lightning[spacy]"'
                ) from error

    def read(self, texts: Iterable[str]) -> list[np.ndarray]:
        """Return the word ids of each text, (words,) int32; half a surrogate pair is read as U+FFFD."""
        if self._splitter is Splitter.letters:
            shortened = (replace_surrogates(text)[: self._max_length] for text in texts)
            return [self._join(map(self._lookup, pieces(text, self._splitter))) for text in shortened]
        found: list[np.ndarray] = []
        waiting: list[str] = []
        size = 0
        for text in texts:
            if size + len(text) > PIECE:
                found += self._words(waiting)
                waiting, size = [], 0
            if len(text) > PIECE:
                found.append(self._join(self._words([piece])[0] for piece in pieces(text, self._splitter)))
            else:
                waiting.append(text)
                size += len(text)
        return found + self._words(waiting)

    @cached_property
    def _find_spans(self) -> SpanFinder:
        return span_finder(self._splitter)

    def spans(self, text: str) -> tuple[tuple[int, int], ...]:
        """Return where each word that is read begins and ends in `replace_surrogates(text)`."""
        text = replace_surrogates(text)
        if self._splitter is Splitter.letters:
            return tuple((start, start + 1) for start in range(len(text[: self._max_length])))
        return tuple(islice(self._find_spans(text), self._max_length))

    def _words(self, texts: list[str]) -> list[np.ndarray]:
        """Return the ids of short texts, which are split together."""
        if not texts:
            return []
        ids = self._lookup(self._cut([replace_surrogates(text) for text in texts]))
        real = ids > _NOTHING
        ends = real.cumsum()[ids == _END].tolist()
        ids = ids[real]
        limit = len(ids) if self._max_length is None else self._max_length
        return [ids[start : min(end, start + limit)] for start, end in zip([0, *ends[:-1]], ends, strict=True)]

    def _lookup(self, words: Sequence[str]) -> np.ndarray:
        return np.fromiter(map(self._ids.__getitem__, words), np.int32, len(words))

    def _join(self, pieces: Iterable[np.ndarray]) -> np.ndarray:
        """Return the ids of a long text from its pieces, and stop at `max_length`."""
        ids, left = array("i"), self._max_length
        for piece in pieces:
            ids.frombytes(piece[:left].tobytes())  # grows in place: no second copy
            if left is not None:
                left -= len(piece[:left])
                if left == 0:
                    break
        return np.frombuffer(ids, np.int32) if ids else np.zeros(0, np.int32)


class _Ids(dict[str, int]):
    def __missing__(self, word: str) -> int:
        return UNKNOWN


def replace_surrogates(text: str) -> str:
    """Return a text with U+FFFD in place of each half of a surrogate pair."""
    if text.isascii():
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
