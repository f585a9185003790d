"""A ticket that predicts: texts in, probabilities out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from os import PathLike
from pathlib import Path

import numpy as np

from lt_lightning.data.splitter import Splitter
from lt_lightning.errors import SettingError
from lt_lightning.tickets.format import Packed
from lt_lightning.tickets.network import build_network
from lt_lightning.tickets.reading import Reader

BATCH = 512
"""So many texts are in memory as ids at a time."""


class Ticket:
    """A text classifier in one file: `python -m lt_lightning.export RUN` writes it. Neither torch nor a GPU is needed.

    Args:
        packed: what the file holds.

    Raises:
        SettingError: the ticket cuts texts by spaCy, which is not installed.

    Example:
        >>> from lt_lightning import Ticket  # doctest: +SKIP
        >>> ticket = Ticket.load("news.ticket")  # doctest: +SKIP
        >>> ticket.predict(["Stocks fell", "They won in overtime"]).round(2)  # doctest: +SKIP
        array([[0.02, 0.01, 0.93, 0.04],
               [0.03, 0.95, 0.01, 0.01]], dtype=float32)
    """

    def __init__(self, packed: Packed) -> None:
        self.packed = packed
        self._network = build_network(packed)
        about = packed.about
        self._reader = Reader(packed.words, packed.word_ids, Splitter(about["splitter"]), about["max_length"])

    @classmethod
    def load(cls, path: str | PathLike[str]) -> Ticket:
        """Read a ticket from its file.

        Raises:
            SettingError: if the file is none, or damaged.
        """
        return cls(Packed.load(Path(path)))

    @property
    def class_names(self) -> tuple[str, ...]:
        """What the columns of `predict` are."""
        return tuple(self.packed.about["class_names"])

    def ids(self, texts: Iterable[str]) -> list[np.ndarray]:
        """The word ids of each text, (words,) int32, as many of them as the network was trained on."""
        return self._reader.read(texts)

    def logits(self, texts: Sequence[str]) -> np.ndarray:
        """What the trained network gives: (texts, classes) float32 or, of two classes, class 1's, (texts,).

        Texts do not depend on each other, but for rounding.

        Raises:
            SettingError: if the weights are so large that an answer is no number.
        """
        logits = self._logits(texts)
        return logits[:, 0] if logits.shape[1] == 1 else logits

    def predict(self, texts: Sequence[str]) -> np.ndarray:
        """How probable each class is for each text: (texts, classes) float32; each row's sum is 1.

        A text without words has an answer too, as have unknown words: whatever training made of them.

        Raises:
            SettingError: if the weights are so large that an answer is no number.
        """
        logits = self._logits(texts)
        if logits.shape[1] == 1:
            logits = np.concatenate([np.zeros_like(logits), logits], axis=1)  # of two classes (1 − s, s)
        powers = np.exp(logits - logits.max(axis=1, keepdims=True))
        return powers / powers.sum(axis=1, keepdims=True)

    def _logits(self, texts: Sequence[str]) -> np.ndarray:
        if isinstance(texts, str):
            raise TypeError("one text is no sequence of texts; give [text]")
        with np.errstate(over="ignore", invalid="ignore"):  # which shows in what comes out
            starts = range(0, len(texts), BATCH)
            parts = [self._network.logits(self.ids(texts[start : start + BATCH])) for start in starts]
            logits = np.concatenate(parts) if parts else self._network.logits([])
        if not np.isfinite(logits).all():
            raise SettingError("the ticket's weights are so large that an answer is no number; train with a lower rate")
        return logits
