"""Schedules that change masks during a fit: gradual pruning, SET and RigL. Imports no torch.

Times are steps of the optimizer, or shares of the round's steps: `end=300` is step 300, `end=0.75` three quarters.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from numbers import Integral
from typing import TYPE_CHECKING, ClassVar

from lt_lightning.lottery.errors import LotteryError
from lt_lightning.lottery.schedules.base import Inputs, Schedule, Timing
from lt_lightning.lottery.schedules.sparsity import cubic_sparsity

if TYPE_CHECKING:
    from torch import Tensor

    from lt_lightning.lottery.mask import Mask

Time = int | float
"""A step (a whole number), or a share of the round's steps (a float up to 1)."""


@dataclass(frozen=True)
class InFit(Schedule):
    """A schedule whose masks change during a fit."""

    in_fit: ClassVar[bool] = True

    density: float
    begin: Time = 0
    end: Time = 0.75
    every: int | None = None  # None: 100, or fewer for `UPDATES` updates

    UPDATES: ClassVar[int] = 10
    """The smallest number of updates in a fit where `every` is not given."""
    STRICT: ClassVar[int] = 1
    """1 if the last update comes before `end`, 0 if it may come at `end`."""

    def __post_init__(self) -> None:
        """Raise LotteryError if the times cannot be."""
        if type(self.begin) is type(self.end) and self.begin >= self.end:
            raise LotteryError(f"begin: {self.begin} is not before end, {self.end}; give an earlier one")
        if isinstance(self.end, Integral) and self.end == 1:
            raise LotteryError("end: 1 is the first step; write 1.0 for the end of the round, or a later step")

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
class Gradual(InFit):
    """Prune during training, fast at first (Zhu and Gupta 2017, https://arxiv.org/abs/1710.01878).

    The sparsity rises from `initial` to 1 − density between `begin` and `end` by `cubic_sparsity`.
    """

    STRICT: ClassVar[int] = 0
    UPDATES: ClassVar[int] = 20
    is_gradual: ClassVar[bool] = True

    initial: float = 0.0

    def __post_init__(self) -> None:
        """Raise LotteryError if the first sparsity is above the last, or the times cannot be."""
        super().__post_init__()
        if self.initial > 1 - self.density:
            raise LotteryError(
                f"initial: a sparsity of {self.initial:g} leaves fewer entries than density={self.density:g}; give "
                f"{1 - self.density:g} at most"
            )

    def time(self, steps: int | None) -> Timing:
        """Return when masks change, see `InFit.time`; the last change reaches the density."""
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
class Set(InFit):
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
        grow_batches: the number of steps whose gradients are summed to choose what grows; None: 4, or `every` if that
            is less. Words that no batch has have gradient zero.
    """

    grow_batches: int | None = None

    def __post_init__(self) -> None:
        """Raise LotteryError if more steps are summed than lie between two changes, or the times cannot be."""
        super().__post_init__()
        if self.gradient_steps > (self.every or self.gradient_steps):
            raise LotteryError(
                f"grow_batches: {self.grow_batches} are more than the {self.every} steps between two changes; give "
                "fewer, or a larger every"
            )

    @property
    def gradient_steps(self) -> int:
        """Return the number of steps whose gradients are summed."""
        return self.grow_batches or min(4, self.every or 4)

    def grow_scores(self, inputs: Inputs) -> Mapping[str, Tensor]:
        """Return the absolute values of the dense gradients."""
        return {name: gradient.abs() for name, gradient in inputs.gradients.items()}


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
