"""A ticket that predicts: texts in, probabilities out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from math import prod
from os import PathLike
from pathlib import Path

import numpy as np

from lt_lightning.config.enums import Splitter
from lt_lightning.errors import SettingError
from lt_lightning.tickets.file import Packed
from lt_lightning.tickets.network import build_network
from lt_lightning.tickets.reading import Reader

BATCH = 512
"""So many texts are in memory as ids at a time."""
_NAMED, _LETTERS = 10, 24
"""So many classes are named in a `repr`, by so many letters."""


class Ticket:
    """A text classifier in one file: `python -m lt_lightning.export RUN` writes it. Neither torch nor a GPU is needed.

    A ticket is thread-safe: nothing in it changes after it is loaded, and any number of threads that ask it at the same
    time get the answers, bit for bit, that one thread gets. It can be pickled and sent to other processes, and copied.

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

    def __reduce__(self) -> tuple[type[Ticket], tuple[Packed]]:
        """Pickle what the file holds; the network, made of it, may hold functions."""
        return type(self), (self.packed,)

    def __repr__(self) -> str:
        """Return the task, the classes, the density and the size."""
        parameters = self.packed.parameters.values()
        alive, total = sum(len(one.values) for one in parameters), sum(prod(one.shape) for one in parameters)
        names = [repr(_short(name)) for name in self.class_names[:_NAMED]]
        more = len(self.class_names) - len(names)
        classes = ", ".join([*names, f"… {more:,} more"] if more else names)
        return (
            f"<{type(self).__name__} text classification, {len(self.class_names):,} classes ({classes}), "
            f"{100 * alive / total:.3g} % alive ({alive:,} of {total:,} weights), {len(self.packed.words):,} words>"
        )

    @property
    def class_names(self) -> tuple[str, ...]:
        """What the columns of `predict` are."""
        return tuple(self.packed.about["class_names"])

    def ids(self, texts: Iterable[str]) -> list[np.ndarray]:
        """Return the word ids of each text, (words,) int32, as many of them as the network was trained on.

        Raises:
            TypeError: `texts` are not several str.
        """
        return [ids for batch in _batches(texts) for ids in self._reader.read(batch)]

    def logits(self, texts: Iterable[str]) -> np.ndarray:
        """Return what the trained network gives: (texts, classes) float32 or, of two classes, class 1's, (texts,).

        Texts do not depend on each other. Of a convolutional network they have the same bits in any company; of a
        recurrent one the last digits may differ.

        Args:
            texts: a list, tuple, column or other iterable of str.

        Raises:
            TypeError: `texts` are not several str.
            SettingError: if the weights are so large that an answer is no number.
        """
        logits = self._logits(texts)
        return logits[:, 0] if logits.shape[1] == 1 else logits

    def predict(self, texts: Iterable[str]) -> np.ndarray:
        """Return how probable each class is for each text: (texts, classes) float32; each row's sum is 1.

        A text without words has an answer too, as have unknown words: whatever training made of them.

        Args:
            texts: a list, tuple, column or other iterable of str.

        Raises:
            TypeError: `texts` are not several str.
            SettingError: if the weights are so large that an answer is no number.
        """
        logits = self._logits(texts)
        if logits.shape[1] == 1:
            logits = np.concatenate([np.zeros_like(logits), logits], axis=1)  # of two classes (1 − s, s)
        with np.errstate(over="ignore"):  # what is infinitely less probable has the probability 0
            powers = np.exp(logits - logits.max(axis=1, keepdims=True))
        return powers / powers.sum(axis=1, keepdims=True)

    def _logits(self, texts: Iterable[str]) -> np.ndarray:
        with np.errstate(over="ignore", invalid="ignore"):  # which shows in what comes out
            parts = [self._network.logits(self._reader.read(batch)) for batch in _batches(texts)]
            logits = np.concatenate(parts) if parts else self._network.logits([])
        if not np.isfinite(logits).all():
            raise SettingError("the ticket's weights are so large that an answer is no number; train with a lower rate")
        return logits


def _batches(texts: Iterable[str]) -> Iterator[list[str]]:
    """Yield lists of at most `BATCH` texts.

    Raises:
        TypeError: naming what is there instead of several str.
    """
    kind = type(texts).__name__
    if isinstance(texts, (str, bytes)):
        raise TypeError(f"texts: a single {kind}; give a list of str, such as [text]")
    # Iterating over a table or a mapping gives the names of its columns, which are str too.
    if isinstance(texts, Mapping) or len(getattr(texts, "shape", ())) > 1:
        raise TypeError(f"texts: {kind} has columns; give the column of the texts, such as texts['text']")
    try:
        remaining = iter(texts)
    except TypeError:
        raise TypeError(f"texts: {kind} is no list of str; give the texts to classify, such as ['a text']") from None
    start = 0
    while batch := list(islice(remaining, BATCH)):
        for place, text in enumerate(batch):
            if not isinstance(text, str):
                kind = type(text).__name__
                raise TypeError(f"texts: number {start + place} is of type {kind}, not str; convert it or leave it out")
        start += len(batch)
        yield batch


def _short(name: str) -> str:
    return name if len(name) <= _LETTERS else f"{name[: _LETTERS - 1]}…"
