"""Change masks during a fit: count steps, sum the gradients that a schedule asks for, and replace what holds zeros."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import astuple
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities import rank_zero_warn
from torch import Tensor, nn
from torch.optim import Optimizer

from lt_lightning.callbacks.hooks import callbacks_of
from lt_lightning.callbacks.zeros import Hold
from lt_lightning.lottery import LayerCollapseWarning, Lottery, LotteryError, Mask
from lt_lightning.lottery.rounds import SourcesOf
from lt_lightning.lottery.schedules.base import NEVER, Timing
from lt_lightning.lottery.selection import all_finite


class MaskChanges:
    """The changes of a lottery's mask during one fit.

    A change that needs no gradient comes after an optimizer step, one that needs gradients in place of a step.

    Args:
        lottery: in a round whose schedule changes masks.
        module: the pruned part.
        trainer: the Trainer of the fit, as training starts.
        sources: computes what criteria ask for.
        state: what `state_dict` returned, if the fit resumes from a checkpoint; its times count.

    Raises:
        LotteryError: if the schedule does not fit the number of steps or of optimizers, or how the module optimizes.
    """

    def __init__(
        self, lottery: Lottery, module: nn.Module, trainer: pl.Trainer, sources: SourcesOf, state: Mapping[str, Any]
    ) -> None:
        name = lottery.settings.schedule
        if len(trainer.optimizers) != 1:
            raise LotteryError(
                f"schedule: {name} counts the steps of one optimizer, and the module has {len(trainer.optimizers)}; "
                "use one, or schedule=rounds or at_init"
            )
        self._window = lottery.schedule.gradient_steps
        if self._window and not trainer.lightning_module.automatic_optimization:
            raise LotteryError(
                f"schedule: {name} takes the place of optimizer steps, which a module that optimizes manually takes "
                "itself; use schedule=set or gradual"
            )
        lotteries = [
            one for each in callbacks_of(trainer) if isinstance(one := getattr(each, "_lottery", None), Lottery)
        ]
        if self._window and sum(one.schedule.gradient_steps > 0 for one in lotteries) > 1:
            raise LotteryError(f"schedule: two callbacks with {name} would take each other's steps; use one")
        if state:
            timing = Timing(*state["timing"])
        else:  # a fast_dev_run is too short for any change
            is_dev_run = bool(trainer.fast_dev_run)  # pyright: ignore[reportAttributeAccessIssue]
            timing = NEVER if is_dev_run else lottery.schedule.time(planned_steps(trainer))
        self._lottery, self._module, self._sources, self._timing = lottery, module, sources, timing
        self._done = state["done"] if state else trainer.global_step
        self._is_dense = False
        params = dict(module.named_parameters())
        sums = state["sums"] if state else {}
        self._sums: dict[str, Tensor] = {name: total.to(params[name].device) for name, total in sums.items()}

    def before_batch(self, step: int, hold: Hold) -> None:
        """Let the module compute dense gradients if the next change sums them."""
        dense = self._sums_at(step)
        if dense != self._is_dense:
            hold.skip_pruned(not dense)
            self._is_dense = dense

    def before_step(self, step: int, hold: Hold, trainer: pl.Trainer, optimizer: Optimizer) -> bool:
        """Sum the gradients of a step, and change the mask in its place if it is time.

        Returns:
            Whether the change took the place of the step; the gradients are None then.
        """
        if not self._sums_at(step):
            return False
        self._sum_gradients()
        if not self._timing.is_due(step):
            return False
        self._change(step, hold, trainer)
        self._sums = {}
        for group in optimizer.param_groups:
            for param in group["params"]:
                param.grad = None
        return True

    def after_batch(self, step: int, hold: Hold, trainer: pl.Trainer) -> None:
        """Make the changes that are due after the steps since the last call; a batch may have several."""
        for one in range(self._done + 1, step + 1) if not self._window else ():
            if self._timing.is_due(one):
                self._change(one, hold, trainer)
        self._done = step

    def require_complete(self, step: int) -> None:
        """Raise LotteryError if the fit ended before a change without which the density is not the one asked for."""
        if self._lottery.schedule.is_gradual and step < self._timing.last:
            raise LotteryError(
                f"schedule: the round ended after step {step:,}, before the last pruning at step "
                f"{self._timing.last:,}, at a density of {1 - self._lottery.mask.sparsity:.4g}; let it train to the "
                "end, or give an earlier end"
            )

    def state_dict(self) -> dict[str, Any]:
        """Return the times, the last step that was handled, and the sums of gradients so far, on the CPU."""
        sums = {name: total.cpu() for name, total in self._sums.items()}
        return {"timing": list(astuple(self._timing)), "done": self._done, "sums": sums}

    def _sums_at(self, step: int) -> bool:
        return 0 <= self._timing.until_next(step) < self._window

    @torch.no_grad()
    def _sum_gradients(self) -> None:
        params = dict(self._module.named_parameters())
        pruned = [name for name, alive in self._lottery.mask.counts.items() if alive < params[name].numel()]
        grads = {name: grad for name in pruned if (grad := params[name].grad) is not None}
        if not all_finite(grads.values()):
            return  # the gradient scaler skips such a step, too
        for name in pruned:
            total = self._sums.setdefault(name, torch.zeros_like(params[name]))
            if name in grads:
                total.add_(grads[name])

    def _change(self, step: int, hold: Hold, trainer: pl.Trainer) -> None:
        sums = {name: self._sums.get(name, torch.zeros_like(alive, dtype=torch.float32))
                for name, alive in self._lottery.mask.items()} if self._window else {}  # fmt: skip
        if self._lottery.change_mask(self._module, step, self._timing, sums, self._sources) is not None:
            hold.renew(self._lottery.freezer(self._module), trainer)
            self._is_dense = False
            warn_of_collapse(self._lottery.mask)


def warn_of_collapse(mask: Mask) -> None:
    """Warn if a tensor of two or more dimensions has no living entry."""
    if names := mask.collapsed:
        rank_zero_warn(
            f"layer collapse: no entry of {', '.join(names)} is alive, so that nothing passes through; prune less, or "
            "use scope=layerwise or erk",
            category=LayerCollapseWarning,
        )


def planned_steps(trainer: pl.Trainer) -> int | None:
    """Return the number of optimizer steps of a fit; None if it is not known."""
    if not trainer.lightning_module.automatic_optimization:
        return None  # only the module knows
    steps = trainer.estimated_stepping_batches
    return None if math.isinf(steps) or steps < 0 else int(steps)
