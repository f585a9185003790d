"""The ticket from elsewhere that a run started from: the `ticket` entry of `run.json`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lt_lightning.runs.formatting import count, percent, say


@dataclass(frozen=True)
class CarriedWords:
    """The living words of a ticket, how many of these a run knows too, and how many words the run has."""

    carried: int | None = None
    living: int | None = None
    here: int | None = None


@dataclass(frozen=True)
class Origin:
    """The ticket that a run started from.

    Attributes:
        file: the path of the ticket's file.
        seal: the checksum of its content.
        corpus: the corpus of the ticket's run.
        experiment: the experiment of that run.
        run: the name of its directory.
        round: the round whose ticket it is.
        seed: the seed of that run.
        sparsity: the share of the entries that are pruned.
        test_acc: the test accuracy of the ticket.
        rewind: the point that its run rewound to.
        weights: `first`, those that the ticket's run began with; `trained`, the ticket's; `own`, new ones.
        fresh: the parameters of which nothing carries over.
        carried: the other parameters.
        words: the number of words that carry over.
        alive: the entries alive in round 0.
        total: all prunable entries.
    """

    file: str | None = None
    seal: str | None = None
    corpus: str | None = None
    experiment: str | None = None
    run: str | None = None
    round: int | None = None
    seed: int | None = None
    sparsity: float | None = None
    test_acc: float | None = None
    rewind: str | None = None
    weights: str | None = None
    fresh: tuple[str, ...] | None = None
    carried: tuple[str, ...] | None = None
    words: CarriedWords = CarriedWords()
    alive: int | None = None
    total: int | None = None


def ticket_title(corpus: str | None, number: int | None) -> str:
    """Return the name of the ticket of a round.

    >>> ticket_title("AG News", 3)
    'ticket of AG News, round 3'
    """
    return f"ticket of {say(corpus)}, round {count(number)}"


def transfer_line(origin: Origin | None) -> str:
    """Return a line about what a run took over from its ticket; nothing if it began with the whole network."""
    if origin is None:
        return ""
    parts = [
        _words(origin),
        _WEIGHTS.get(origin.weights or "", ""),
        _fresh(origin.fresh, origin.carried),
        _alive(origin),
    ]
    return f"{ticket_title(origin.corpus, origin.round)}: {'; '.join(filter(None, parts))}"


_WEIGHTS = {
    "first": "the first weights of its run",
    "trained": "its trained weights",
    "own": "new weights",
}


def _words(origin: Origin) -> str:
    """Return how many words carry over; nothing if the whole table of them does not."""
    if "embedding.weight" in (origin.fresh or ()):
        return ""
    words = origin.words
    return f"{count(words.carried)} of its {count(words.living)} living words are words here (of {count(words.here)})"


def _fresh(names: Sequence[str] | None, carried: Sequence[str] | None = None) -> str:
    """Return what begins whole, with weights of its own.

    >>> _fresh(["fc.weight", "fc.bias"]), _fresh([])
    ('fc.* drawn afresh', '')
    >>> _fresh(["fc.weight", "fc.bias", "convs.0.bias"], carried=["convs.0.weight"])
    'fc.*, convs.0.bias drawn afresh'
    """
    if not names:
        return ""
    parts = {name.rpartition(".")[0] for name in carried or ()}
    shown = dict.fromkeys(
        say(name) if (part := name.rpartition(".")[0]) in parts else f"{say(part)}.*" for name in names
    )
    return f"{say(list(shown))} drawn afresh"


def _alive(origin: Origin) -> str:
    alive, total = origin.alive, origin.total
    return f"{percent(alive / total)} alive" if alive is not None and total and 0 <= alive <= total else ""
