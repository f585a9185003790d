"""Define what a schedule is: one dataclass that decides on masks. Imports no torch."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from torch import Tensor

    from lt_lightning.lottery.mask import Mask


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


NEVER = Timing(begin=0, end=1, every=1, last=0)


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
        in_fit: whether masks change during a fit.
        uses_criterion: whether the schedule prunes by the criterion of the settings.
        is_gradual: whether the changes of masks during a fit lead to the density.
        gradient_steps: the number of steps before a change whose dense gradients are summed for it. The last of these
            steps is not taken: the change takes its place.
    """

    is_single: ClassVar[bool] = True
    uses_criterion: ClassVar[bool] = True
    is_gradual: ClassVar[bool] = False
    in_fit: ClassVar[bool] = False

    @property
    def gradient_steps(self) -> int:
        """Return 0."""
        return 0

    def first_mask(self, mask: Mask, inputs: Inputs) -> Mask:
        """Return the mask of round 0, inside `mask`."""
        return mask

    def time(self, steps: int | None) -> Timing:
        """Return when masks change in a fit of so many steps; None if their number is not known."""
        raise NotImplementedError

    def next_mask(self, mask: Mask, step: int, timing: Timing, inputs: Inputs) -> Mask:
        """Return the mask after the change at `step`."""
        raise NotImplementedError
