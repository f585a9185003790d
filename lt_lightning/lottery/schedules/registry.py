"""Define when pruning happens: between rounds, before training, or during training. Imports no torch.

A schedule is one dataclass: its fields are the settings that it reads, with their defaults. To add one, write a
subclass of `Schedule` and list it in `SCHEDULES`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from numbers import Integral, Real
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar

from lt_lightning.lottery.errors import LotteryError
from lt_lightning.lottery.schedules.base import Inputs, Schedule
from lt_lightning.lottery.schedules.during_training import Gradual, RigL, Set

if TYPE_CHECKING:
    from lt_lightning.lottery.mask import Mask


@dataclass(frozen=True)
class Rounds(Schedule):
    """Prune between rounds (IMP; Frankle and Carbin 2019, https://arxiv.org/abs/1803.03635).

    Attributes:
        amount: the share to prune in each round, or a list with one share per round.
        amount_of: `alive`: of the living entries; `all`: of all entries.
        amounts: other shares for the parameters that match a pattern, by pattern; the first match counts.
    """

    is_single: ClassVar[bool] = False

    amount: float | Sequence[float] = 0.2
    amount_of: str = "alive"
    amounts: Mapping[str, float] = field(default_factory=dict)

    def amount_in(self, round: int) -> float:
        """Return the share that a round prunes, from round 1 on.

        Raises:
            LotteryError: if the list of amounts is too short.
        """
        if not isinstance(self.amount, Sequence):
            return float(self.amount)
        if round > len(self.amount):
            raise LotteryError(
                f"amount: {len(self.amount)} amounts are given, none for round {round}; give one per round"
            )
        return float(self.amount[round - 1])


@dataclass(frozen=True)
class AtInit(Schedule):
    """Prune before training, in `iterations` steps of scoring and pruning (Tanaka et al. 2020, https://arxiv.org/abs/2006.05467).

    After iteration k of n the density is density^(k/n).
    """

    density: float
    iterations: int = 1

    def targets(self) -> list[float]:
        """Return the density after each iteration.

        >>> AtInit(density=0.25, iterations=2).targets()
        [0.5, 0.25]
        """
        return [self.density ** (k / self.iterations) for k in range(1, self.iterations)] + [self.density]

    def first_mask(self, mask: Mask, inputs: Inputs) -> Mask:
        """Return the mask after all iterations; each scores what the one before has left."""
        from lt_lightning.lottery.pruning import prune_to

        for density in self.targets():
            mask = prune_to(inputs.score(mask), mask, density, **inputs.settings)
        return mask


SCHEDULES: Mapping[str, type[Schedule]] = MappingProxyType(
    {"rounds": Rounds, "at_init": AtInit, "gradual": Gradual, "set": Set, "rigl": RigL}
)


def make_schedule(name: str, given: Mapping[str, Any]) -> Schedule:
    """Return a schedule of the settings that it reads.

    Args:
        name: a key of `SCHEDULES`.
        given: settings by name; None stands for the default.

    Raises:
        LotteryError: if a setting is given that the schedule does not read, is missing, or is out of its range.
    """
    if name not in SCHEDULES:
        raise LotteryError(f"schedule: {name!r} is none of {', '.join(SCHEDULES)}")
    cls = SCHEDULES[name]
    reads = {one.name for one in fields(cls)}
    for key, value in given.items():
        if value is None:
            continue
        if key not in reads:
            readers = [other for other, kind in SCHEDULES.items() if key in {one.name for one in fields(kind)}]
            raise LotteryError(f"{key}: schedule={name} does not read it, only {', '.join(readers)}; leave it out")
        _check(key, value)
    if "density" in reads and given.get("density") is None:
        raise LotteryError(f"density: missing: schedule={name} prunes to it; give one, such as 0.1")
    return cls(**{key: value for key, value in given.items() if value is not None})


def _check(key: str, value: Any) -> None:
    """Raise LotteryError if a setting of a schedule is out of its range."""
    number = float(value) if isinstance(value, Real) and not isinstance(value, bool) else math.nan
    is_whole = isinstance(value, Integral)
    if key in ("iterations", "every", "grow_batches") and not (is_whole and number >= 1):
        raise LotteryError(f"{key}: {value!r} is not a whole number from 1 on; give one")
    if key in ("density", "drop_fraction") and not 0 < number <= 1:
        raise LotteryError(f"{key}: {value!r} is not a share above 0 and up to 1; give one, such as 0.1")
    if key == "initial" and not 0 <= number < 1:
        raise LotteryError(f"{key}: {value!r} is not a share from 0 to below 1; give one, such as 0.5")
    if key in ("begin", "end") and not (number >= 0 and (is_whole or number <= 1)):
        raise LotteryError(
            f"{key}: {value!r} is neither a step (0, 1, 2, …) nor a share of the round's steps (0.0 to 1.0); give one"
        )
