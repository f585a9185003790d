"""What a network is trained to do: which answers a batch asks of it, which are right, and what it says on its own.

A task turns a network and a batch into `Answers`: logits and targets, one a row for classification, one a letter for
the others. Training, validation and the test's loss are of these. Where the right answer is fed to the network as it
writes (teacher forcing), the test's accuracy is of what it writes without.

Each task has `name`, what `run.json` and the report call it; `has_perplexity`, whether exp(loss) says something;
`has_exact`, whether a row can be right in every target; `answer`, the network's answers to a batch; and `predict`, the
classes that it says on its own, one for each of the answers' targets.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from lt_lightning.data.batches import Batch
from lt_lightning.data.pair_module import PairBatch
from lt_lightning.data.tokenizer import PADDING


class Answers(NamedTuple):
    """What a network says of a batch, and what it should.

    Attributes:
        logits: `(targets, classes)`, or `(targets,)`: one logit, that of class 1 of two.
        targets: the right classes.
        rows: which row of the batch each is of.
        everywhere: the number of targets that all processes have in this step.
    """

    logits: Float[Tensor, "targets classes"] | Float[Tensor, " targets"]
    targets: Int64[Tensor, " targets"]
    rows: Int64[Tensor, " targets"]
    everywhere: int


@dataclass(frozen=True)
class Classification:
    """Each text is of one class."""

    name: ClassVar[str] = "classification"
    has_perplexity: ClassVar[bool] = False
    has_exact: ClassVar[bool] = False

    def answer(self, network: nn.Module, batch: Batch) -> Answers:
        """One answer a text."""
        rows = torch.arange(len(batch.labels), device=batch.labels.device)
        return Answers(network(batch.ids, batch.lengths), batch.labels, rows, batch.global_rows)

    def predict(self, network: nn.Module, batch: Batch, answers: Answers) -> Int64[Tensor, " targets"]:
        """The class of the highest logit."""
        return predicted_classes(answers.logits)


@dataclass(frozen=True)
class Tagging:
    """Each letter of a string is answered with a letter, from left to right."""

    name: ClassVar[str] = "tagging"
    has_perplexity: ClassVar[bool] = False
    has_exact: ClassVar[bool] = True

    def answer(self, network: nn.Module, batch: PairBatch) -> Answers:
        """One answer a letter."""
        logits = network(batch.sources, batch.source_lengths)
        return _letters(logits, batch.targets, batch.target_lengths, batch.global_letters)

    def predict(self, network: nn.Module, batch: PairBatch, answers: Answers) -> Int64[Tensor, " targets"]:
        """The likeliest letters."""
        return predicted_classes(answers.logits)


@dataclass(frozen=True)
class LanguageModel:
    """Each letter of a text, and its end, is predicted from those before it.

    `<pad>` stands before a text and after it: it is what the first letter is predicted from, and the last prediction.
    """

    name: ClassVar[str] = "language model"
    has_perplexity: ClassVar[bool] = True
    has_exact: ClassVar[bool] = False

    def answer(self, network: nn.Module, batch: Batch) -> Answers:
        """One answer a letter, and one for the end; the letters before it are the right ones (teacher forcing)."""
        boundary = torch.full_like(batch.ids[:, :1], PADDING)
        logits = network(torch.cat([boundary, batch.ids], dim=1), batch.lengths + 1)
        targets = torch.cat([batch.ids, boundary], dim=1)  # rows are filled up with <pad>: it ends the short ones too
        return _letters(logits, targets, batch.lengths + 1, batch.global_words + batch.global_rows)

    def predict(self, network: nn.Module, batch: Batch, answers: Answers) -> Int64[Tensor, " targets"]:
        """The likeliest letter after those that the text has."""
        return predicted_classes(answers.logits)


@dataclass(frozen=True)
class SequenceToSequence:
    """A string is answered with a string, letter by letter, and its end."""

    name: ClassVar[str] = "sequence to sequence"
    has_perplexity: ClassVar[bool] = False
    has_exact: ClassVar[bool] = True

    end: int
    """The id that ends a string, and that the decoder is given first."""

    def answer(self, network: nn.Module, batch: PairBatch) -> Answers:
        """One answer a letter, and one for the end; the decoder is given the right letters (teacher forcing)."""
        boundary = torch.full_like(batch.targets[:, :1], self.end)
        logits = network(batch.sources, batch.source_lengths, torch.cat([boundary, batch.targets], dim=1))
        targets = torch.cat([batch.targets, boundary], dim=1)  # padding is the end's id: it ends the short ones too
        return _letters(logits, targets, batch.target_lengths + 1, batch.global_letters + batch.global_rows)

    def predict(self, network: nn.Module, batch: PairBatch, answers: Answers) -> Int64[Tensor, " targets"]:
        """What the decoder writes on its own (greedy decoding)."""
        greedy: Any = network.greedy
        written = greedy(batch.sources, batch.source_lengths, batch.targets.shape[1] + 1)
        return written[_inside(written, batch.target_lengths + 1)]


Task = Classification | Tagging | LanguageModel | SequenceToSequence
"""What a network can be asked to learn."""


def predicted_classes(
    logits: Float[Tensor, "targets classes"] | Float[Tensor, " targets"],
) -> Int64[Tensor, " targets"]:
    """The class of the highest logit; of a single one, class 1 where it is positive."""
    return (logits > 0).long() if logits.dim() == 1 else torch.argmax(logits, dim=1)


def _letters(logits: Tensor, targets: Tensor, lengths: Tensor, everywhere: int) -> Answers:
    """The answers within each row's length."""
    inside = _inside(targets, lengths)
    return Answers(logits[inside], targets[inside], inside.nonzero()[:, 0], everywhere)


def _inside(targets: Tensor, lengths: Tensor) -> Tensor:
    return torch.arange(targets.shape[1], device=targets.device) < lengths[:, None]
