"""The metric of each task and the names of its things, for pages and without torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from lt_lightning.runs.metrics import ACCURACY, BITS, EXACT_MATCH, LETTERS_RIGHT, Metric


@dataclass(frozen=True)
class Wording:
    """Names, all in lower case.

    Attributes:
        texts: the rows of the corpus.
        words: the entries of the vocabulary.
        one: one of the things that the network classifies.
        many: several of them.
        tested: the things that a cell of a confusion counts.
        right: the share of one class that is taken for the right class.
        rights: several such shares.
        valid: the name of `valid_acc`.
        full: the network of round 0.
        fulls: the networks of round 0 of several runs.
        winner: the sparsest later ticket that is at least as good.
        wins: the word for such a ticket in a column of tickets.
        smallest: the sparsest of them, in a column of tickets.
        loser: the best ticket if there is no such ticket.
    """

    texts: str
    words: str
    one: str
    many: str
    tested: str
    right: str
    rights: str
    valid: str
    full: str = "full network"
    fulls: str = "full networks"
    winner: str = "smallest winning ticket"
    wins: str = "wins"
    smallest: str = "smallest winner"
    loser: str = "best ticket, none wins"


OF_TEXTS = Wording("texts", "words", "class", "classes", "test rows", "accuracy", "accuracies", "accuracy")
OF_LETTERS = Wording(
    "texts", "letters", "letter", "letters", "places in the test part", "share right", "shares", "letters right"
)


@dataclass(frozen=True)
class TaskFacts:
    """Facts about all runs of a task.

    Attributes:
        name: the task's name in `run.json` and in `models.tasks`.
        metric: the metric by which rounds are judged.
        words: the names of the task's things.
        sorts_texts: whether the network sorts texts into the classes of a corpus; only such a network can be packed.
    """

    name: str
    metric: Metric
    words: Wording
    sorts_texts: bool = False

    @staticmethod
    def from_json(name: Any) -> TaskFacts:
        """Return the task that `run.json` names; runs without a known name are older, and sort texts.

        >>> TaskFacts.from_json("tagging").metric.name, TaskFacts.from_json(["?"]).name
        ('letters right', 'classification')
        """
        return TASKS.get(name, CLASSIFICATION) if isinstance(name, str) else CLASSIFICATION

    def to_json(self) -> str:
        """Return the task's name."""
        return self.name


OF_ROWS = Wording("rows", "words", "class", "classes", "test rows", "accuracy", "accuracies", "accuracy")

OWN = TaskFacts("custom", ACCURACY, OF_ROWS)
"""The task of a LightningModule of the user's own, which computes its own losses and metrics."""

CLASSIFICATION = TaskFacts("classification", ACCURACY, OF_TEXTS, sorts_texts=True)
TASKS: Mapping[str, TaskFacts] = MappingProxyType(
    {
        one.name: one
        for one in (
            CLASSIFICATION,
            OWN,
            TaskFacts("tagging", LETTERS_RIGHT, replace(OF_LETTERS, texts="pairs")),
            TaskFacts("language model", BITS, OF_LETTERS),
            TaskFacts("sequence to sequence", EXACT_MATCH, replace(OF_LETTERS, texts="pairs")),
        )
    }
)
"""The tasks by their names."""


def from_ticket(words: Wording) -> Wording:
    """Return the names for a run that started from a ticket: the score of its full network is not known.

    >>> from_ticket(OF_TEXTS).full
    'given ticket'
    """
    return _as_good(words, "given ticket", "given tickets")


def pruned_at_once(words: Wording) -> Wording:
    """Return the names for a run of one round, whose network is pruned before or during training.

    >>> pruned_at_once(OF_TEXTS).full
    'pruned network'
    """
    return _as_good(words, "pruned network", "pruned networks")


def shared_wording(all_words: Sequence[Wording]) -> Wording:
    """Return the names that fit several runs of one task, whatever each started from.

    >>> shared_wording([OF_TEXTS, from_ticket(OF_TEXTS)]).fulls
    'networks of round 0'
    """
    if all(words == all_words[0] for words in all_words):
        return all_words[0]
    return _as_good(all_words[0], "network of round 0", "networks of round 0")


def _as_good(words: Wording, full: str, fulls: str) -> Wording:
    return replace(
        words, full=full, fulls=fulls, winner="smallest ticket as good", wins="as good", smallest="smallest as good",
        loser="best ticket, none as good",
    )  # fmt: skip
