"""What the things of a run are called on its pages and figures: of texts with a class, or of letters."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from lt_lightning.runs.metrics import task_of


@dataclass(frozen=True)
class Wording:
    """Names, all in lower case.

    Attributes:
        texts: the rows of the corpus.
        words: the entries of the vocabulary.
        one: what is told apart, one of them.
        many: several of them.
        tested: what a cell of a confusion counts.
        right: the share of those of one kind that are taken for what they are.
        rights: several such shares.
        valid: what `valid_acc` is.
        full: what round 0 trains.
        fulls: what the rounds 0 of several runs train.
        winner: the sparsest later ticket that is at least as good.
        wins: what is said of such a ticket.
        smallest: the sparsest of them, in a column of tickets.
        loser: the best ticket where there is no such.
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
_OF_TASK: Mapping[str, Wording] = MappingProxyType(
    {
        "classification": OF_TEXTS,
        "tagging": replace(OF_LETTERS, texts="pairs"),
        "language model": OF_LETTERS,
        "sequence to sequence": replace(OF_LETTERS, texts="pairs"),
    }
)


def wording_of(description: Mapping[str, Any]) -> Wording:
    """The names that fit the task of a run, and what it started from, from its `run.json`.

    >>> wording_of({"task": "language model"}).words
    'letters'
    >>> wording_of({"ticket": {"corpus": "AG News"}}).full
    'given ticket'
    """
    words = _OF_TASK[task_of(description)]
    if not isinstance(description.get("ticket"), Mapping):
        return words
    # How good the full network would be such a run does not know.
    return _as_good(words, "given ticket", "given tickets")


def shared_wording(descriptions: Sequence[Mapping[str, Any]]) -> Wording:
    """The names that fit several runs of one task, whatever each started from.

    >>> shared_wording([{}, {"ticket": {}}]).fulls
    'networks of round 0'
    """
    found = list(map(wording_of, descriptions))
    if all(words == found[0] for words in found):
        return found[0]
    return _as_good(found[0], "network of round 0", "networks of round 0")


def _as_good(words: Wording, full: str, fulls: str) -> Wording:
    return replace(
        words, full=full, fulls=fulls, winner="smallest ticket as good", wins="as good", smallest="smallest as good",
        loser="best ticket, none as good",
    )  # fmt: skip
