"""Keep pruned entries at zero during one fit."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytorch_lightning as pl
from torch import Tensor, nn
from torch.optim import Optimizer

from lt_lightning.callbacks.changing import MaskChanges
from lt_lightning.callbacks.losses import TrainingLosses
from lt_lightning.callbacks.refusals import check_reachable
from lt_lightning.callbacks.zeros import Hold
from lt_lightning.lottery import Lottery


@dataclass
class FitState:
    """State of a `PruningCallback` during one fit.

    Attributes:
        steps: optimizer steps of the round before this fit; once the fit is over, all of the round.
        is_first: whether the fit begins round 0.
        ended: the last round that ended before it; -1 for none.
        is_resumed: whether a checkpoint has set the lottery's state.
        is_over: whether the fit ended without an error.
        batches: batches trained.
        step: the step to rewind to if it was the last one, else -1.
        seen: the last global step equal to the step to rewind to.
        hold: keeps pruned entries at zero.
        changes: changes masks during the fit, if the schedule does.
        changing: its state in the checkpoint from which the fit resumes.
        before: weights, unset buffers and lotteries before the fit, until it starts.
    """

    steps: int = 0
    is_first: bool = False
    ended: int = -1
    is_resumed: bool = False
    is_over: bool = False
    batches: int = 0
    step: int = -1
    seen: int = -1
    hold: Hold | None = None
    changes: MaskChanges | None = None
    changing: dict[str, Any] = field(default_factory=dict)
    before: tuple[dict[str, Tensor], list[str], list[dict[str, Any]]] | None = None

    @property
    def all_steps(self) -> int:
        """Return the number of optimizer steps of the round so far."""
        return self.steps + (self.hold.steps if self.hold is not None else 0)


class HoldingCallback(pl.Callback):
    """The hooks of `PruningCallback` that run while a fit trains."""

    if TYPE_CHECKING:
        _lottery: Lottery
        _fit: FitState

        def module(self, pl_module: pl.LightningModule) -> nn.Module:
            """Return the pruned part of `pl_module`."""
            ...

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Hook the optimizers; a checkpoint may just have loaded their state."""
        if self._lottery.round <= 0:
            check_reachable(trainer, self._lottery.rewind)
        if self._fit.hold is not None:
            self._fit.hold.watch(trainer)
        self._freeze()
        if self._lottery.schedule.in_fit:
            sources = TrainingLosses(trainer, pl_module, self._lottery.settings.score_batches).sources
            module = self.module(pl_module)
            self._fit.changes = MaskChanges(self._lottery, module, trainer, sources, self._fit.changing)
            if self._fit.hold is not None:  # a checkpoint may have been written between a step and its change
                self._fit.changes.after_batch(trainer.global_step, self._fit.hold, trainer)

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Set pruned entries to zero; save the weights to rewind to again, as hooks may have changed them."""
        self._freeze()
        self._lottery.observe(self.module(pl_module), epochs=trainer.current_epoch, again=True)

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Set pruned entries to zero that were written since the last batch."""
        if self._fit.hold is not None:
            self._fit.hold.watch(trainer)
            if self._fit.changes is not None:
                self._fit.changes.before_batch(trainer.global_step, self._fit.hold)
            # The pre-step hook repeats this before the loss is computed, except in these cases.
            late = trainer.accumulate_grad_batches > 1 or "mixed" in str(trainer.precision)
            if late or not pl_module.automatic_optimization or self._fit.step == trainer.global_step:
                self._freeze(written=True)
        if self._fit.step == trainer.global_step:
            self._lottery.observe(self.module(pl_module), steps=trainer.global_step, again=True)
            self._fit.step = -1

    def on_after_backward(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Freeze gradients immediately if the module clips and steps manually."""
        if self._fit.hold is not None and not pl_module.automatic_optimization:
            self._fit.hold.freeze_gradients()

    def on_before_optimizer_step(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, optimizer: Optimizer
    ) -> None:
        """Freeze gradients after unscaling and before clipping.

        A batch can have several steps; the weights between them can be observed only here.
        """
        self._lottery.observe(self.module(pl_module), steps=trainer.global_step)
        if self._fit.hold is not None:
            changes = self._fit.changes
            if changes is None or not changes.before_step(trainer.global_step, self._fit.hold, trainer, optimizer):
                self._fit.hold.freeze_gradients()
                self._lottery.observe_gradients(self.module(pl_module), optimizer)

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Set pruned entries to zero; save the weights if this is the step to rewind to."""
        self._fit.batches += 1
        self._freeze(written=True)
        if self._lottery.rewind.at == trainer.global_step and self._fit.step != trainer.global_step:
            self._fit.step = trainer.global_step if self._fit.seen < trainer.global_step else -1
            self._fit.seen = trainer.global_step
        self._lottery.observe(self.module(pl_module), steps=trainer.global_step)
        if self._fit.changes is not None and self._fit.hold is not None:
            self._fit.changes.after_batch(trainer.global_step, self._fit.hold, trainer)

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Set pruned entries to zero."""
        self._freeze()

    on_validation_end = on_validation_start

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Set pruned entries to zero; raise if a schedule has not reached its density."""
        self._freeze()
        if self._fit.changes is not None:
            self._fit.changes.require_complete(trainer.global_step)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Set pruned entries to zero; save the weights if this is the epoch to rewind to."""
        self._freeze()
        self._lottery.observe(self.module(pl_module), epochs=trainer.current_epoch + 1)

    def _freeze(self, *, written: bool = False) -> None:
        if self._fit.hold is not None:
            self._fit.hold.freeze(written=written)

    def _release(self) -> None:
        self._fit.steps = self._fit.all_steps
        if self._fit.hold is not None:
            self._fit.hold.release()
            self._fit.hold = self._fit.changes = None
