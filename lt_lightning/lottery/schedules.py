"""Define when pruning happens: between rounds, before training, or during training. Imports no torch.

A schedule is one dataclass: its fields are the settings that it reads, with their defaults. To add one, write a
dataclass with the methods of `Schedule` and list it in `SCHEDULES`.

Times are steps of the optimizer, or shares of the round's steps: `end=300` is step 300, `end=0.75` three quarters.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from numbers import Integral, Real
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar

from lt_lightning.lottery.errors import LotteryError
from lt_lightning.lottery.sparsity import cubic_sparsity

if TYPE_CHECKING:
    from torch import Tensor

    from lt_lightning.lottery.mask import Mask

Time = int | float
"""A step (a whole number), or a share of the round's steps (a float up to 1)."""


@dataclass(frozen=True)
class Timing:
    """The steps of one fit at which masks change: every `every` steps after `begin`, up to `last`.

    Step t is the moment after t optimizer steps. Formulas count from `begin` to `end`.
    """

    begin: int
    end: int
    every: int
    last: int

    def is_due(self, step: int) -> bool:
        """Return whether the mask changes after `step` optimizer steps."""
        return self.begin < step <= self.last and (step - self.begin) % self.every == 0

    def until_next(self, step: int) -> int:
        """Return how many steps after `step` the mask changes next, 0 if it changes now; -1 if never again."""
        ahead = max(step, self.begin + 1)
        due = self.begin + math.ceil((ahead - self.begin) / self.every) * self.every
        return due - step if due <= self.last else -1


@dataclass(frozen=True)
class Inputs:
    """What a schedule prunes by.

    Attributes:
        score: returns the criterion's scores of the entries of a mask.
        draw: returns uniform random scores of all entries.
        settings: the keyword arguments of `prune_to`: `scope` and `pattern`.
        weights: the weights by parameter name.
        gradients: the dense gradients by parameter name, if the schedule asks for them.
    """

    score: Callable[[Mask], Mapping[str, Tensor]]
    draw: Callable[[], Mapping[str, Tensor]]
    settings: Mapping[str, Any]
    weights: Mapping[str, Tensor] = field(default_factory=dict)
    gradients: Mapping[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class Schedule:
    """Train one round, and leave its mask as it is: the base of all schedules.

    Attributes:
        is_single: whether there is only round 0, which trains a pruned network.
        uses_criterion: whether the schedule prunes by the criterion of the settings.
        gradient_steps: the number of steps before a change whose dense gradients are summed for it. The last of these
            steps is not taken: the change takes its place.
    """

    is_single: ClassVar[bool] = True
    uses_criterion: ClassVar[bool] = True

    @property
    def gradient_steps(self) -> int:
        return 0

    def first_mask(self, mask: Mask, inputs: Inputs) -> Mask:
        """Return the mask of round 0, inside `mask`."""
        return mask

    def time(self, steps: int | None) -> Timing | None:
        """Return when masks change in a fit of so many steps (None: not known); None if they do not."""
        return None

    def next_mask(self, mask: Mask, step: int, timing: Timing, inputs: Inputs) -> Mask:
        """Return the mask after the change at `step`."""
        raise NotImplementedError


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
        if isinstance(self.amount, Real):
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


@dataclass(frozen=True)
class _InFit(Schedule):
    """A schedule whose masks change during a fit."""

    density: float
    begin: Time = 0
    end: Time = 0.75
    every: int | None = None  # None: 100, or fewer for `UPDATES` updates

    UPDATES: ClassVar[int] = 20
    """The smallest number of updates in a fit where `every` is not given."""
    STRICT: ClassVar[int] = 1
    """1 if the last update comes before `end`, 0 if it may come at `end`."""

    def time(self, steps: int | None) -> Timing:
        """Return when masks change in a fit of so many steps (None: not known).

        Raises:
            LotteryError: if a time lies beyond the fit, or no update fits.
        """
        begin, end = (_as_step(key, getattr(self, key), steps) for key in ("begin", "end"))
        every = self.every or max(1, min(100, (end - begin) // self.UPDATES))
        last = begin + max(0, end - begin - self.STRICT) // every * every
        if steps is not None and end > steps:
            raise LotteryError(
                f"end: step {end:,} lies beyond the round, which has {steps:,} optimizer steps; give {steps:,} at "
                "most, a share such as 0.75, or train for longer"
            )
        if last <= begin:
            raise LotteryError(
                f"every: {every:,} steps from step {begin:,} on leave no update before step {end:,}; give a smaller "
                "number, or train for longer"
            )
        return Timing(begin, end, every, last)


@dataclass(frozen=True)
class Gradual(_InFit):
    """Prune during training, fast at first (Zhu and Gupta 2017, https://arxiv.org/abs/1710.01878).

    The sparsity rises from `initial` to 1 − density between `begin` and `end` by `cubic_sparsity`.
    """

    STRICT: ClassVar[int] = 0

    initial: float = 0.0

    def time(self, steps: int | None) -> Timing:
        """Return when masks change, see `_InFit.time`; the last change reaches the density."""
        timing = super().time(steps)
        return replace(timing, end=timing.last)

    def first_mask(self, mask: Mask, inputs: Inputs) -> Mask:
        """Return the mask of sparsity `initial`."""
        return self._prune(mask, self.initial, inputs)

    def next_mask(self, mask: Mask, step: int, timing: Timing, inputs: Inputs) -> Mask:
        """Return the mask of the sparsity that the step should have."""
        final = 1 - self.density
        sparsity = cubic_sparsity(step, timing.begin, timing.end, timing.every, self.initial, final)
        return self._prune(mask, sparsity, inputs)

    def _prune(self, mask: Mask, sparsity: float, inputs: Inputs) -> Mask:
        from lt_lightning.lottery.pruning import prune_to

        return prune_to(inputs.score(mask), mask, 1 - sparsity, **inputs.settings) if sparsity else mask


@dataclass(frozen=True)
class Set(_InFit):
    """Keep the density; replace the smallest weights by random ones (SET; Mocanu et al. 2018, https://doi.org/10.1038/s41467-018-04316-3).

    Attributes:
        drop_fraction: the share of a tensor's living entries that the first update replaces; it falls to 0 at `end` by
            a cosine.
    """

    uses_criterion: ClassVar[bool] = False

    drop_fraction: float = 0.3

    def first_mask(self, mask: Mask, inputs: Inputs) -> Mask:
        """Return a random mask of the density."""
        from lt_lightning.lottery.pruning import prune_to

        return prune_to(inputs.draw(), mask, self.density, **inputs.settings)

    def next_mask(self, mask: Mask, step: int, timing: Timing, inputs: Inputs) -> Mask:
        """Return the mask with the smallest weights of each tensor replaced; tensors without a choice stay."""
        from lt_lightning.lottery.regrowing import regrow

        counts = {
            name: self.count(alive, step, timing.end) if alive < mask[name].numel() else 0
            for name, alive in mask.counts.items()
        }
        return regrow(inputs.weights, mask, self.grow_scores(inputs), counts, pattern=inputs.settings["pattern"])

    def grow_scores(self, inputs: Inputs) -> Mapping[str, Tensor]:
        """Return the scores of entries; the highest grow."""
        return inputs.draw()

    def count(self, alive: int, step: int, end: int) -> int:
        """Return how many of a tensor's living entries an update replaces.

        >>> [Set(density=0.1).count(1000, step, 100) for step in (0, 50, 100)]
        [300, 150, 0]
        """
        return int(alive * self.drop_fraction / 2 * (1 + math.cos(math.pi * step / end)))


@dataclass(frozen=True)
class RigL(Set):
    """Keep the density; replace the smallest weights by those of the largest gradients (Evci et al. 2020, https://arxiv.org/abs/1911.11134).

    An update takes the place of an optimizer step.

    Attributes:
        grow_batches: the number of steps whose gradients are summed to choose what grows. Words that no batch has have
            no gradient.
    """

    grow_batches: int = 4

    @property
    def gradient_steps(self) -> int:
        return self.grow_batches

    def grow_scores(self, inputs: Inputs) -> Mapping[str, Tensor]:
        """Return the absolute values of the dense gradients."""
        return {name: gradient.abs() for name, gradient in inputs.gradients.items()}


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
    is_whole = isinstance(value, Integral) and not isinstance(value, bool)
    is_number = isinstance(value, Real) and not isinstance(value, bool)
    if key in ("iterations", "every", "grow_batches") and not (is_whole and value >= 1):
        raise LotteryError(f"{key}: {value!r} is not a whole number from 1 on; give one")
    if key in ("density", "drop_fraction") and not (is_number and 0 < value <= 1):
        raise LotteryError(f"{key}: {value!r} is not a share above 0 and up to 1; give one, such as 0.1")
    if key == "initial" and not (is_number and 0 <= value < 1):
        raise LotteryError(f"{key}: {value!r} is not a share from 0 to below 1; give one, such as 0.5")
    if key in ("begin", "end") and not ((is_whole and value >= 0) or (is_number and 0 <= value <= 1)):
        raise LotteryError(
            f"{key}: {value!r} is neither a step (0, 1, 2, …) nor a share of the round's steps (0.0 to 1.0); give one"
        )


def _as_step(key: str, time: Time, steps: int | None) -> int:
    """Return a time as a step."""
    if isinstance(time, Integral):
        return int(time)
    if steps is None:
        raise LotteryError(
            f"{key}: {time} is a share of the round's steps, whose number is not known here (the module optimizes "
            "manually, or the Trainer has no end); give a step, a whole number"
        )
    return round(time * steps)
