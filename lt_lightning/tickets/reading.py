"""Texts to the word ids that a ticket's network was trained on."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence

import numpy as np

from lt_lightning.config.enums import Splitter
from lt_lightning.data.tokenizer import END, PIECE, UNKNOWN, Cutter, cutter, pieces
from lt_lightning.errors import SettingError

_NOTHING, _END = -1, -2


class Reader:
    """Cuts texts into words and looks up their ids.

    Args:
        words: the words that are known.
        ids: (words,) the id of each; all others are `<unk>`.
        splitter: how texts fall into words.
        max_length: keep so many words of each text; None for all.

    Raises:
        SettingError: if spaCy is needed and not installed.
    """

    def __init__(self, words: Sequence[str], ids: np.ndarray, splitter: Splitter, max_length: int | None) -> None:
        self._max_length = max_length
        self._splitter = splitter
        self._ids = _Ids(zip(words, ids.tolist(), strict=True))
        if splitter is not Splitter.letters:
            self._ids |= {"": _NOTHING, END: _END}
            self._cut = _cutter(splitter)

    def read(self, texts: Iterable[str]) -> list[np.ndarray]:
        """The word ids of each text, (words,) int32.

        What is no character, half of a surrogate pair, is read as U+FFFD.
        """
        if self._splitter is Splitter.letters:
            return [self._join(map(self._letters, pieces(text[: self._max_length], self._splitter))) for text in texts]
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

    def _words(self, texts: list[str]) -> list[np.ndarray]:
        """The ids of short texts, cut as one."""
        if not texts:
            return []
        try:
            words = self._cut(texts)
        except UnicodeEncodeError:
            words = self._cut([*map(_without_surrogates, texts)])
        ids = np.fromiter(map(self._ids.__getitem__, words), np.int32, len(words))
        real = ids > _NOTHING
        ends = real.cumsum()[ids == _END].tolist()
        ids = ids[real]
        limit = len(ids) if self._max_length is None else self._max_length
        return [ids[start : min(end, start + limit)] for start, end in zip([0, *ends[:-1]], ends, strict=True)]

    def _letters(self, piece: str) -> np.ndarray:
        return np.fromiter(map(self._ids.__getitem__, piece), np.int32, len(piece))

    def _join(self, pieces: Iterable[np.ndarray]) -> np.ndarray:
        """The ids of a long text, from those of its pieces; no more of these than are wanted."""
        ids, left = array("i"), self._max_length
        for piece in pieces:
            ids.frombytes(piece[:left].tobytes())  # grows where it lies, so that there are not two of them
            if left is not None:
                left -= len(piece[:left])
                if left == 0:
                    break
        return np.frombuffer(ids, np.int32) if ids else np.zeros(0, np.int32)


def _cutter(splitter: Splitter) -> Cutter:
    try:
        return cutter(splitter)
    except SettingError as error:  # whoever only predicts cannot choose another tokenizer
        raise SettingError(
            'the ticket cuts texts by spaCy, which is not installed; pip install "lt-lightning[spacy]"'
        ) from error


class _Ids(dict[str, int]):
    """Ids by word."""

    def __missing__(self, word: str) -> int:
        return UNKNOWN


def _without_surrogates(text: str) -> str:
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
