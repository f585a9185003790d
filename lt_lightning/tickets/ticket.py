"""Predict the classes of texts with a ticket."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import islice
from math import prod
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from lt_lightning.config.enums import Splitter
from lt_lightning.data.tokenizer import PADDING
from lt_lightning.errors import SettingError
from lt_lightning.tickets.explaining import Explanation, LeftOutShares, Reasons, WindowShares
from lt_lightning.tickets.file import EncoderTicketError, Packed
from lt_lightning.tickets.hub import find_ticket
from lt_lightning.tickets.numpy import Convolution, build_network
from lt_lightning.tickets.reading import Reader, replace_surrogates

if TYPE_CHECKING:
    from lt_lightning.tickets.encoder.file import PackedEncoder
    from lt_lightning.tickets.encoder.reading import PieceReader

BATCH = 512
"""Number of texts whose ids are in memory at a time."""
_NAMED, _LETTERS = 10, 24
"""Number of classes in a `repr`, and of letters of each."""


class Network(Protocol):
    """A network that maps texts, the ids of each, to logits, float32 (texts, logits)."""

    def logits(self, texts: Sequence[np.ndarray]) -> np.ndarray:
        """Return the logits of texts."""
        ...


class Ticket:
    """A text classifier in one file, written by `python -m lt_lightning.export RUN`; needs neither torch nor a GPU.

    The ticket of a pre-trained encoder needs onnxruntime, or torch and transformers; others need none of them.

    Texts are a list, tuple, column or other iterable of str. A ticket is immutable and thread-safe: concurrent calls
    return the same bits as sequential ones. It can be pickled and copied.

    Args:
        packed: the content of the file.

    Raises:
        SettingError: the ticket splits texts with spaCy, or has an encoder, and a library for it is not installed.

    Examples:
        >>> from lt_lightning import Ticket  # doctest: +SKIP
        >>> ticket = Ticket.load("news.ticket")  # doctest: +SKIP
        >>> ticket.predict(["Stocks fell", "They won in overtime"]).round(2)  # doctest: +SKIP
        array([[0.02, 0.01, 0.93, 0.04],
               [0.03, 0.95, 0.01, 0.01]], dtype=float32)
    """

    def __init__(self, packed: Packed | PackedEncoder) -> None:
        self.packed = packed
        self._network, self._reader = open_network(packed), open_reader(packed)

    @classmethod
    def load(cls, path: str | PathLike[str]) -> Ticket:
        """Read a ticket from its file, or from the Hugging Face Hub.

        Args:
            path: the file, or an address on the Hub: `hf://OWNER/NAME`, `hf://OWNER/NAME@REVISION` or
                `hf://OWNER/NAME@REVISION/FILE.safetensors`.

        Raises:
            SettingError: the file is not a ticket, or damaged, or cannot be had from the Hub.
        """
        return cls(load_packed(find_ticket(path)))

    def __reduce__(self) -> tuple[type[Ticket], tuple[Packed | PackedEncoder]]:
        """Pickle the content of the file; the network may hold functions, which cannot be pickled."""
        return type(self), (self.packed,)

    def __repr__(self) -> str:
        """Return the task, the classes, the density and the size."""
        parameters = self.packed.parameters.values()
        alive, total = sum(len(one.values) for one in parameters), sum(prod(one.shape) for one in parameters)
        short = (name if len(name) <= _LETTERS else f"{name[: _LETTERS - 1]}…" for name in self.class_names[:_NAMED])
        names = [repr(name) for name in short]
        more = len(self.class_names) - len(names)
        classes = ", ".join([*names, f"… {more:,} more"] if more else names)
        known = len(self.packed.words) if isinstance(self._reader, Reader) else self._reader.size
        unit = "words" if isinstance(self._reader, Reader) else "pieces"
        return (
            f"<{type(self).__name__} text classification, {len(self.class_names):,} classes ({classes}), "
            f"{100 * alive / total:.3g} % alive ({alive:,} of {total:,} weights), {known:,} {unit}>"
        )

    @property
    def class_names(self) -> tuple[str, ...]:
        """The classes of the columns of `predict`."""
        return tuple(self.packed.about["class_names"])

    @property
    def temperature(self) -> float:
        """The temperature that `predict` divides logits by, fitted on validation rows; 1 if there is none.

        See: Guo et al. 2017, https://arxiv.org/abs/1706.04599.
        """
        return self.packed.about.get("temperature") or 1.0

    def ids(self, texts: Iterable[str]) -> list[np.ndarray]:
        """Return the ids of the words or pieces of each text, (words,) int32, at most as many as in training.

        Raises:
            TypeError: `texts` is not an iterable of str.
        """
        return [ids for batch in _batches(texts) for ids in self._reader.read(batch)]

    def logits(self, texts: Iterable[str]) -> np.ndarray:
        """Return the network's logits, (texts, classes) float32; of two classes class 1's only, (texts,).

        An encoder has a logit for each class, of two classes too. A text's logits do not depend on the other texts: to
        the bit with a convolutional network, except for the last digits with a recurrent one or an encoder.

        Raises:
            TypeError: `texts` is not an iterable of str.
            SettingError: a logit is not finite.
        """
        logits = self._logits(texts)
        return logits[:, 0] if logits.shape[1] == 1 else logits

    def predict(self, texts: Iterable[str], *, raw: bool = False) -> np.ndarray:
        """Return the probability of each class for each text, (texts, classes) float32; rows sum to 1.

        Texts without words and unknown words are classified too.

        Args:
            texts: the texts.
            raw: do not divide the logits by the temperature.

        Raises:
            TypeError: `texts` is not an iterable of str.
            SettingError: a logit is not finite.
        """
        logits = self._logits(texts).astype(np.float64) / (1 if raw else self.temperature)
        if logits.shape[1] == 1:
            logits = np.concatenate([np.zeros_like(logits), logits], axis=1)
        powers = np.exp(logits - logits.max(axis=1, keepdims=True))
        return (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32)

    def explain(self, texts: Iterable[str]) -> list[Explanation]:
        """Return what each word of each text adds to each logit.

        With a convolutional network the shares are exact: with `bias` they add up to the logits but for rounding. With
        a recurrent one they are how much a logit falls without the word, which takes a reading of the text per word.

        Raises:
            TypeError: `texts` is not an iterable of str.
            SettingError: the ticket has a pre-trained encoder, or a logit is not finite.
        """
        if not isinstance(self._reader, Reader):
            raise SettingError("the ticket has a pre-trained encoder, whose words have no shares; give another ticket")
        found = []
        for text in (text for batch in _batches(texts) for text in batch):
            ids = self._reader.read([text])[0]
            shares, bias = self._reasons.shares(ids)
            found.append(
                Explanation(
                    replace_surrogates(text), self._reader.spans(text), ids > PADDING, shares, bias,
                    self._read_logits([ids])[0], self._reasons.method,
                )
            )  # fmt: skip
        return found

    @cached_property
    def _reasons(self) -> Reasons:
        if isinstance(self._network, Convolution) and isinstance(self.packed, Packed):
            return WindowShares(self.packed)
        return LeftOutShares(self._network)

    def _logits(self, texts: Iterable[str]) -> np.ndarray:
        parts = [self._read_logits(self._reader.read(batch)) for batch in _batches(texts)]
        return np.concatenate(parts) if parts else self._read_logits([])

    def _read_logits(self, texts: Sequence[np.ndarray]) -> np.ndarray:
        """Return the logits of word ids; raise a `SettingError` if one is not finite."""
        with np.errstate(over="ignore", invalid="ignore"):  # checked below
            logits = self._network.logits(texts)
        if not np.isfinite(logits).all():
            raise SettingError("the ticket's weights are so large that a logit is not finite; lower the learning rate")
        return logits


def load_packed(path: Path) -> Packed | PackedEncoder:
    """Read the packed ticket of any network.

    Raises:
        SettingError: the file is not a ticket, or damaged.
    """
    try:
        return Packed.load(path)
    except EncoderTicketError:
        from lt_lightning.tickets.encoder.file import PackedEncoder

        return PackedEncoder.load(path)


def open_network(packed: Packed | PackedEncoder) -> Network:
    """Return the network of a ticket.

    Raises:
        SettingError: it is an encoder, and no library that computes it is installed.
    """
    if isinstance(packed, Packed):
        return build_network(packed)
    from lt_lightning.tickets.encoder.network import EncoderNetwork

    return EncoderNetwork(packed)


def open_reader(packed: Packed | PackedEncoder) -> Reader | PieceReader:
    """Return the object that converts texts to ids.

    Raises:
        SettingError: the ticket splits texts with spaCy, which is not installed, or its tokenizer cannot be read.
    """
    if isinstance(packed, Packed):
        words = packed.words + packed.zero_words
        ids = np.concatenate([packed.word_ids, np.full(len(packed.zero_words), PADDING)])
        return Reader(words, ids, Splitter(packed.about["splitter"]), packed.about["max_length"])
    from lt_lightning.tickets.encoder.reading import PieceReader

    return PieceReader(packed.tokenizer)


def _batches(texts: Iterable[str]) -> Iterator[list[str]]:
    """Yield lists of at most `BATCH` texts.

    Raises:
        TypeError: `texts` is not an iterable of str; the message names its type.
    """
    kind = type(texts).__name__
    if isinstance(texts, (str, bytes)):
        raise TypeError(f"texts: a single {kind}; give a list of str, such as [text]")
    # Iterating over a table or a mapping would yield the names of its columns, which are str too.
    if isinstance(texts, Mapping) or len(getattr(texts, "shape", ())) > 1:
        raise TypeError(f"texts: {kind} has columns; give the column of the texts, such as texts['text']")
    try:
        remaining = iter(texts)
    except TypeError:
        raise TypeError(f"texts: {kind} is not a list of str; give the texts to classify, such as ['a text']") from None
    start = 0
    while batch := list(islice(remaining, BATCH)):
        for place, text in enumerate(batch):
            if not isinstance(text, str):
                kind = type(text).__name__
                raise TypeError(f"texts: number {start + place} is of type {kind}, not str; convert it or leave it out")
        start += len(batch)
        yield batch
