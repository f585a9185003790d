"""Define a study: its corpora, arms and claims. Imports no torch."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from lt_lightning.runs.densities import densities_alike

ADVICE = "start the same command again: it goes on with what is missing"
"""How to go on with a study that was stopped."""

FULL = "full"
"""The name of the whole network in a claim: round 0 of the arm that it is compared with."""

KINDS = ("better", "as_good")
"""What a claim says of its first arm."""


@dataclass(frozen=True)
class Corpus:
    """A corpus of a study.

    Attributes:
        settings: the overrides that choose the data, the network and the rest of what all arms share.
        epochs: the epochs of each round at length 1.
        seeds: the seeds; of a number n, those from 0 to n − 1.
        lengths: the multiples of `epochs` that are trained.
        densities: the share of the weights that each pruning round leaves, from dense to sparse.
        arms: the names of the arms that are run on it; empty for all.
    """

    settings: tuple[str, ...]
    epochs: int
    seeds: tuple[int, ...]
    lengths: tuple[int, ...]
    densities: tuple[float, ...]
    arms: tuple[str, ...] = ()

    def densities_in(self, steps: int) -> tuple[float, ...]:
        """Return the densities of an arm that takes each of the corpus' steps in so many equal ones.

        >>> Corpus((), 1, (0,), (1,), (0.25, 0.0625)).densities_in(2)
        (0.5, 0.25, 0.125, 0.0625)
        """
        return tuple(
            high * (low / high) ** (part / steps) if part < steps else low
            for high, low in pairwise((1.0, *self.densities))
            for part in range(1, steps + 1)
        )

    def amounts_in(self, steps: int) -> list[float]:
        """Return the share of the living weights that each round of such an arm prunes."""
        return [round(1 - low / high, 6) for high, low in pairwise((1.0, *self.densities_in(steps)))]

    def arms_of(self, study: Study) -> dict[str, Arm]:
        """Return the arms of a study that are run on this corpus."""
        return {name: one for name, one in study.arms.items() if name in self.arms or not self.arms}

    def round_at(self, density: float) -> int | None:
        """Return the round that leaves about this share of the weights; None if there is no such round."""
        near = min(self.densities, key=lambda one: abs(one - density), default=math.inf)
        return self.densities.index(near) + 1 if densities_alike(near, density) else None


@dataclass(frozen=True)
class Arm:
    """An arm of a study: its changes to what all arms share.

    Attributes:
        settings: the overrides.
        of: the arm whose tickets it trains again, as a branch; None for an arm that prunes.
        dense: whether it trains the whole network once, for as many epochs as all rounds together.
        steps: the number of equal rounds in which it prunes what other arms prune in one.
    """

    settings: tuple[str, ...]
    of: str | None = None
    dense: bool = False
    steps: int = 1


@dataclass(frozen=True)
class Claim:
    """A sentence that the study supports, refutes, or leaves undecided.

    Attributes:
        text: the sentence.
        kind: `better`: the first arm's mean is higher than the second's; `as_good`: it is less than `margin` lower.
        first: the arm that the claim is about.
        second: the arm to compare with, or `full`.
        margin: a difference that does not matter, in points.
        densities: the densities to compare at; empty for the area under accuracy over log density.
    """

    text: str
    kind: str
    first: str
    second: str
    margin: float = 0.5
    densities: tuple[float, ...] = ()


@dataclass(frozen=True)
class Study:
    """A study.

    Attributes:
        name: the name of its file.
        question: what it asks.
        corpora: the corpora by name.
        arms: the arms by name.
        claims: the claims.
    """

    name: str
    question: str
    corpora: Mapping[str, Corpus]
    arms: Mapping[str, Arm]
    claims: tuple[Claim, ...]

    def steps(self, arm: str) -> int:
        """Return in how many rounds an arm prunes what others prune in one; of a branch, its trunk."""
        return self.arms[self.arms[arm].of or arm].steps

    def densities(self, corpus: str, arm: str) -> tuple[float, ...]:
        """Return the share of the weights that each pruning round of an arm leaves."""
        return self.corpora[corpus].densities_in(self.steps(arm))


def overrides_of(settings: Sequence[str]) -> dict[str, str]:
    """Return overrides by the setting that they change; the last of each counts.

    >>> overrides_of(["+experiment=quickstart", "seed=1", "seed=2"])
    {'experiment': '+experiment=quickstart', 'seed': 'seed=2'}
    """
    return {re.split("[=@]", one.lstrip("+~"), maxsplit=1)[0]: one for one in settings}
