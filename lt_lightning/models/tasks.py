"""Tasks: classification, tagging, language modelling and sequence to sequence.

A task turns a network and a batch into `Answers`: logits and targets, one per row for classification and one per
letter for the others, from which the losses are computed. A decoder gets the right letters as it writes (teacher
forcing), except for the test's accuracy.

All that differs between tasks is a method here; no other code asks for the task. `runs.tasks` has the names and the
metric of each task for pages, without torch.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from lt_lightning.config.models import CharLM, ModelChoice
from lt_lightning.data.batches import Batch, Share
from lt_lightning.data.module import TextDataModule
from lt_lightning.data.own_module import OwnData
from lt_lightning.data.pair_module import PairBatch, PairDataModule
from lt_lightning.data.tokenizer import PADDING, SPECIAL_WORDS
from lt_lightning.lottery import derive_seed
from lt_lightning.models.ngram import fit_ngram
from lt_lightning.models.rnn.tagger import Tagger
from lt_lightning.models.sampling import sample_letters

DataModule = TextDataModule | PairDataModule | OwnData
"""The modules that make batches and know their words or letters."""


class Answers(NamedTuple):
    """A network's answers to a batch, and the right ones.

    Attributes:
        logits: `(targets, classes)`, or `(targets,)`: one logit, that of class 1 of two.
        targets: the right classes.
        rows: the row of the batch that each belongs to.
        everywhere: the number of targets in this step over all processes.
    """

    logits: Float[Tensor, "targets classes"] | Float[Tensor, " targets"]
    targets: Int64[Tensor, " targets"]
    rows: Int64[Tensor, " targets"]
    everywhere: int


class Example(NamedTuple):
    """A text, the expected answer and the network's answer."""

    given: str
    expected: str
    answer: str


MOST = 8
"""The number of examples of a round."""


class RunTask(ABC):
    """The part of a task that records and the screen need.

    Attributes:
        name: the name of the task in `run.json`, a key of `runs.tasks.TASKS`.
        shows_epochs: whether the examples are shown after each epoch.
        shows_rounds: whether the examples are shown after each round.
    """

    name: ClassVar[str]
    shows_epochs: ClassVar[bool] = False
    shows_rounds: ClassVar[bool] = False

    def class_names(self, data: DataModule) -> list[str]:
        """Return the names of the network's classes: classes of texts, or letters."""
        return list(data.corpus.class_names)

    def baseline(self, data: DataModule) -> tuple[str, float] | None:
        """Return the name and the test score of a simple model, in the unit of the task's metric, or None."""
        return None

    def examples(self, network: nn.Module, data: DataModule, model: ModelChoice, seed: int) -> list[Example]:
        """Return the network's answers to at most `MOST` texts.

        Args:
            network: the network, in evaluation mode.
            data: the data that it was trained with.
            model: the `model` group.
            seed: the seed of a sample.
        """
        return []


class OwnTask(RunTask):
    """The task of a LightningModule of the user's own, which computes its losses and metrics itself."""

    name: ClassVar[str] = "custom"


class Task(RunTask):
    """The base of the tasks that a `Learner` trains a network for.

    Attributes:
        has_perplexity: whether exp(loss) is a measure of the task.
        has_exact: whether a row can be right in every target.
    """

    has_perplexity: ClassVar[bool] = False
    has_exact: ClassVar[bool] = False

    @abstractmethod
    def answer(self, network: nn.Module, batch: Any) -> Answers:
        """Return the network's answers to a batch."""

    def predict(self, network: nn.Module, batch: Any, answers: Answers) -> Int64[Tensor, " targets"]:
        """Return the classes that the network predicts on its own, one for each target."""
        return predicted_classes(answers.logits)


@dataclass(frozen=True)
class Classification(Task):
    """Each text is of one class."""

    name: ClassVar[str] = "classification"

    def answer(self, network: nn.Module, batch: Batch) -> Answers:
        """Return one answer per text."""
        rows = torch.arange(len(batch.labels), device=batch.labels.device)
        logits = network(batch.ids, batch.lengths, **_counts(network, batch.counts))
        return Answers(logits, batch.labels, rows, batch.global_rows)


@dataclass(frozen=True)
class Tagging(Task):
    """Each letter of a string is answered with a letter, from left to right."""

    name: ClassVar[str] = "tagging"
    has_exact: ClassVar[bool] = True
    shows_epochs: ClassVar[bool] = True

    def answer(self, network: nn.Module, batch: PairBatch) -> Answers:
        """Return one answer per letter."""
        logits = network(batch.sources, batch.source_lengths)
        return _letters(logits, batch.targets, batch.target_lengths, batch.global_letters, batch.target_counts)

    def examples(self, network: nn.Module, data: DataModule, model: ModelChoice, seed: int) -> list[Example]:
        """Return the answers to some pairs of the test part."""
        assert isinstance(data, PairDataModule)
        rows, batch = _some_pairs(network, data)
        logits = network(batch.sources, batch.source_lengths)
        lengths = batch.source_lengths.tolist()
        ids = [row[:length] for row, length in zip(logits.argmax(dim=2).tolist(), lengths, strict=True)]
        return _spelled(data, rows, ids)


@dataclass(frozen=True)
class LanguageModel(Task):
    """Each letter of a text, and its end, is predicted from those before it.

    `<pad>` stands before a text and after it: it is what the first letter is predicted from, and the last prediction.
    """

    name: ClassVar[str] = "language model"
    has_perplexity: ClassVar[bool] = True
    shows_rounds: ClassVar[bool] = True

    def answer(self, network: nn.Module, batch: Batch) -> Answers:
        """Return one answer per letter and one for the end, each from the right letters before it (teacher forcing)."""
        boundary = torch.full_like(batch.ids[:, :1], PADDING)
        logits = network(torch.cat([boundary, batch.ids], dim=1), batch.lengths + 1)
        targets = torch.cat([batch.ids, boundary], dim=1)  # rows are filled up with <pad>: it ends the short ones too
        counts = None if batch.counts is None else batch.counts + 1
        return _letters(logits, targets, batch.lengths + 1, batch.global_words + batch.global_rows, counts)

    def class_names(self, data: DataModule) -> list[str]:
        """Return the letters, below the names of those that stand for others."""
        return ["other letter", "end of text", *data.words[len(SPECIAL_WORDS) :]]

    def baseline(self, data: DataModule) -> tuple[str, float]:
        """Return the score of an n-gram model that is fitted on the same training part."""
        assert isinstance(data, TextDataModule)
        train, test = data.texts["train"], data.texts["test"]
        model = fit_ngram(train.ids, train.offsets, symbols=len(data.words), boundary=PADDING, order=2)
        return "order-2 n-gram with back-off", model.bits(test.ids, test.offsets)

    def examples(self, network: nn.Module, data: DataModule, model: ModelChoice, seed: int) -> list[Example]:
        """Return a sample of the network's own that goes on from `model.prompt`."""
        assert isinstance(network, Tagger) and isinstance(model, CharLM)
        prompt = model.prompt or ""
        ids = {letter: number for number, letter in enumerate(data.words)}
        drawn = sample_letters(
            network, [ids[letter] for letter in prompt], model.sample_length, model.temperature,
            derive_seed(seed, "sample"),
        )  # fmt: skip
        return [Example(prompt, "", "".join(data.words[letter] for letter in drawn))]


@dataclass(frozen=True)
class SequenceToSequence(Task):
    """A string is answered with a string, letter by letter, and its end."""

    name: ClassVar[str] = "sequence to sequence"
    has_exact: ClassVar[bool] = True

    end: int
    """The id that ends a string and starts the decoder."""

    def answer(self, network: nn.Module, batch: PairBatch) -> Answers:
        """Return one answer per letter and one for the end; the decoder gets the right letters (teacher forcing)."""
        boundary = torch.full_like(batch.targets[:, :1], self.end)
        given, counts = torch.cat([boundary, batch.targets], dim=1), batch.target_counts
        logits = network(batch.sources, batch.source_lengths, given, **_counts(network, batch.source_counts))
        targets = torch.cat([batch.targets, boundary], dim=1)  # padding is the end's id: it ends the short ones too
        everywhere = batch.global_letters + batch.global_rows
        return _letters(logits, targets, batch.target_lengths + 1, everywhere, None if counts is None else counts + 1)

    def predict(self, network: nn.Module, batch: PairBatch, answers: Answers) -> Int64[Tensor, " targets"]:
        """Return what the decoder writes by greedy decoding."""
        greedy: Any = network.greedy
        written = greedy(batch.sources, batch.source_lengths, batch.targets.shape[1] + 1)
        return written[_inside(written, batch.target_lengths + 1)]

    def class_names(self, data: DataModule) -> list[str]:
        """Return the letters, and the end of a string."""
        return [*data.corpus.class_names, "end of string"]

    def examples(self, network: nn.Module, data: DataModule, model: ModelChoice, seed: int) -> list[Example]:
        """Return the answers to some pairs of the test part; the network ends them, and may go on for too long."""
        assert isinstance(data, PairDataModule)
        rows, batch = _some_pairs(network, data)
        greedy: Any = network.greedy
        return _spelled(
            data, rows, greedy(batch.sources, batch.source_lengths, 2 * batch.targets.shape[1] + 1).tolist()
        )


def _some_pairs(network: nn.Module, data: PairDataModule) -> tuple[list[int], PairBatch]:
    """Return some rows of the test part, evenly spread over it, and their batch on the network's device."""
    pairs = data.pairs["test"]
    rows = torch.linspace(0, len(pairs) - 1, min(MOST, len(pairs))).round().long()
    batch = pairs[Share(rows, len(rows), int(pairs.lengths[rows].sum()))]
    device = next(network.parameters()).device
    return rows.tolist(), batch._replace(**{name: getattr(batch, name).to(device) for name in PairBatch._fields[:4]})


def _spelled(data: PairDataModule, rows: Sequence[int], answers: Sequence[Sequence[int]]) -> list[Example]:
    """Return pairs of the test part with answers that are given as ids."""
    letters, pairs = [*data.words, ""], data.corpus.splits["test"]  # the end of a string is no letter
    return [
        Example(*pairs[row], "".join(letters[letter] for letter in answer))
        for row, answer in zip(rows, answers, strict=True)
    ]


def predicted_classes(
    logits: Float[Tensor, "targets classes"] | Float[Tensor, " targets"],
) -> Int64[Tensor, " targets"]:
    """Return the class of the highest logit; for a single logit, class 1 if it is positive."""
    return (logits > 0).long() if logits.dim() == 1 else torch.argmax(logits, dim=1)


def _counts(network: nn.Module, counts: np.ndarray | None) -> dict[str, Any]:
    """Return the lengths on the host as an argument for a network that `takes_counts`."""
    return {"counts": counts} if getattr(network, "takes_counts", False) else {}


def _letters(
    logits: Tensor, targets: Tensor, lengths: Tensor, everywhere: int, counts: np.ndarray | None = None
) -> Answers:
    """Return the answers within each row's length; `counts` are the lengths on the host."""
    if counts is not None and targets.device.type != "cpu":
        # The host knows the places: it need not wait for the device to find them.
        rows, columns = (np.arange(targets.shape[1]) < counts[:, None]).nonzero()
        places = torch.from_numpy(np.stack([rows, columns])).to(targets.device, non_blocking=True)
        flat = places[0] * targets.shape[1] + places[1]
        inside_logits, inside_targets = (one.flatten(0, 1).index_select(0, flat) for one in (logits, targets))
        return Answers(inside_logits, inside_targets, places[0], everywhere)
    inside = _inside(targets, lengths)
    return Answers(logits[inside], targets[inside], inside.nonzero()[:, 0], everywhere)


def _inside(targets: Tensor, lengths: Tensor) -> Tensor:
    return torch.arange(targets.shape[1], device=targets.device) < lengths[:, None]
