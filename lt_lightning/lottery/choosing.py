"""Choose the masks of a lottery by its settings: scores, scope, pattern, schedule and control."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from lt_lightning.lottery.controls import control_mask
from lt_lightning.lottery.criteria import random
from lt_lightning.lottery.mask import Mask
from lt_lightning.lottery.patterns import check_shapes
from lt_lightning.lottery.pruning import prune
from lt_lightning.lottery.schedules.base import Inputs, Timing
from lt_lightning.lottery.schedules.registry import Rounds
from lt_lightning.lottery.scopes import check_amounts, densities
from lt_lightning.lottery.scores.scoring import Sources, asks_for, compute_scores
from lt_lightning.lottery.seeds import derive_seed
from lt_lightning.lottery.settings import Settings


@dataclass(frozen=True)
class Change:
    """A change of a mask.

    Attributes:
        step: the optimizer steps of the round before it; 0 for a change as the round begins.
        sparsity: the share of entries that are pruned after it.
        dropped: the number of entries that it pruned.
        grown: the number of entries that it revived.
        densities: the share of living entries of each parameter after it.
    """

    step: int
    sparsity: float
    dropped: int
    grown: int
    densities: Mapping[str, float]

    @classmethod
    def between(cls, step: int, before: Mask, after: Mask) -> Change | None:
        """Return the change from one mask to another; None if they are equal."""
        # A round ends on the device that it trained on, and the next is chosen where the parameters are then.
        dropped = sum(int((before[name].to(one.device) & ~one).count_nonzero()) for name, one in after.items())
        grown = after.alive - before.alive + dropped
        if not dropped and not grown:
            return None
        densities = {name: count / max(1, after[name].numel()) for name, count in after.counts.items()}
        return cls(step, after.sparsity, dropped, grown, densities)


class Chooser:
    """Choose masks by the settings of a lottery.

    Args:
        settings: the settings.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._plan = settings.plan

    def check(self, params: Mapping[str, Tensor]) -> None:
        """Raise LotteryError if the settings do not fit the shapes or names of the prunable parameters."""
        shapes = {name: tuple(param.shape) for name, param in params.items()}
        check_shapes(self._settings.pattern, shapes)
        density = getattr(self._plan, "density", None)
        if self._settings.scope == "erk" and self._settings.pattern == "unstructured" and density is not None:
            densities("erk", shapes, density)
        if isinstance(self._plan, Rounds):
            check_amounts(self._plan.amounts, params)

    def check_criterion(self, module: nn.Module, params: Mapping[str, Tensor], sources: Sources) -> None:
        """Raise LotteryError if the criterion runs the network on an example, and the network does not fit."""
        if "example" in sources and asks_for(self._settings.criterion, "example"):
            self._inputs(module, params, 0, 0, sources).score(Mask.ones(params))

    def first(self, module: nn.Module, params: Mapping[str, Tensor], mask: Mask, sources: Sources) -> Mask:
        """Return the mask of round 0, inside `mask`, for the module's current weights."""
        inputs = self._inputs(module, params, 0, 0, sources)
        return self._controlled(self._plan.first_mask(mask, inputs), mask, 0, inputs)

    def next_round(
        self, module: nn.Module, params: Mapping[str, Tensor], mask: Mask, round: int, sources: Sources
    ) -> Mask:
        """Return the mask of a round after round 0, for the weights that the round before left."""
        settings, plan = self._settings, self._plan
        assert isinstance(plan, Rounds)
        inputs = self._inputs(module, params, round, 0, sources)
        pruned = prune(
            inputs.score(mask), mask, plan.amount_in(round), scope=settings.scope, threshold=settings.threshold,
            amount_of=plan.amount_of, amounts=plan.amounts, pattern=settings.pattern,
        )  # fmt: skip
        return self._controlled(pruned, mask, round, inputs)

    def change(
        self,
        module: nn.Module,
        params: Mapping[str, Tensor],
        mask: Mask,
        round: int,
        step: int,
        timing: Timing,
        gradients: Mapping[str, Tensor],
        sources: Sources,
    ) -> Mask:
        """Return the mask after the change at a step of a round."""
        inputs = self._inputs(module, params, round, step, sources, gradients)
        return self._plan.next_mask(mask, step, timing, inputs)

    def _inputs(
        self,
        module: nn.Module,
        params: Mapping[str, Tensor],
        round: int,
        step: int,
        sources: Sources,
        gradients: Mapping[str, Tensor] | None = None,
    ) -> Inputs:
        settings = self._settings

        def score(mask: Mask) -> Mapping[str, Tensor]:
            generator = torch.Generator().manual_seed(derive_seed(settings.seed, "criterion", round))
            options = {} if settings.temperature is None else {"temperature": settings.temperature}
            return compute_scores(
                settings.criterion, mask, module=module, parameters=params, generator=generator, sources=sources,
                options=options,
            )  # fmt: skip

        def draw() -> Mapping[str, Tensor]:
            return random(params, torch.Generator().manual_seed(derive_seed(settings.seed, "draw", round, step)))

        shape = {"scope": settings.scope, "pattern": settings.pattern}
        return Inputs(score, draw, shape, params, gradients or {})

    def _controlled(self, pruned: Mask, within: Mask, round: int, inputs: Inputs) -> Mask:
        """Return the mask that is trained: the pruned one, or a control."""
        kind = self._settings.mask
        if kind == "pruned":
            return pruned
        scores = inputs.score(within) if kind == "invert" else None
        seed = derive_seed(self._settings.seed, "mask", round)
        return control_mask(kind, pruned, within, seed, scores, pattern=self._settings.pattern)  # pyright: ignore[reportArgumentType]
