"""The pruning callback: a lottery ticket's rounds as a series of Lightning fits."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import pytorch_lightning as pl
from torch import nn
from torch.optim import Optimizer

from lt_lightning.lottery import Freezer, Lottery, LotteryError, Mask, Settings, Start


class PruningCallback(pl.Callback):
    """Play a lottery with any LightningModule: one `Trainer.fit` is one round.

    The first fit trains the whole network, or what `start` leaves of it. As each later fit starts, the callback prunes
    the share `amount` of the entries still alive and rewinds the survivors; while a fit runs, pruned entries get no
    gradient (clipping does not count them) and stay exactly 0.0, whatever the optimizer; as it ends, the callback keeps
    what the next round needs. Use the same callback and the same module in every fit, and a new Trainer for each:

        pruning = PruningCallback(amount=0.2, rewind="init")
        for round in range(5):
            trainer = pl.Trainer(max_epochs=3, callbacks=[pruning])
            trainer.fit(module, datamodule)
            print(round, pruning.mask.sparsity)

    A checkpoint that Lightning writes during a fit holds the callback's state, so `fit(ckpt_path=…)` goes on in the
    middle of a round.

    Args:
        submodule: the part of the LightningModule to prune and rewind, by its name; all of it by default. Parameter
            names and patterns are relative to it.
        initialize: what draws the weights of the part again for `rewind="random"`; by default its `reset_parameters`
            methods (see `lt_lightning.lottery.reinitialize`).
        start: a mask, and weights, that the first fit begins with instead of the whole network: a ticket from
            elsewhere.
        settings: `amount`, `criterion`, `scope`, `threshold`, `rewind`, `include`, `exclude` and `seed`, as in
            `lt_lightning.lottery.Settings`, which has their defaults.

    Raises:
        LotteryError: if a setting is out of its range; when a fit starts, if it does not fit the module.
    """

    def __init__(
        self,
        *,
        submodule: str = "",
        initialize: Callable[[nn.Module], None] | None = None,
        start: Start | None = None,
        **settings: Any,
    ) -> None:
        self._lottery = Lottery(Settings(**settings), initialize, start)
        self._submodule = submodule
        self._freezer: Freezer | None = None
        self._told = ExitStack()

    @property
    def state_key(self) -> str:
        """What a checkpoint calls this callback's state: two of them may prune two parts of one module."""
        return self._generate_state_key(submodule=self._submodule)

    @property
    def round(self) -> int:
        """The round that is trained now or was last; -1 before the first."""
        return self._lottery.round

    @property
    def mask(self) -> Mask:
        """The mask of that round."""
        return self._lottery.mask

    def module(self, pl_module: pl.LightningModule) -> nn.Module:
        """The part of `pl_module` that is pruned and rewound."""
        return pl_module.get_submodule(self._submodule)

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Update the mask and rewind the weights."""
        module = self.module(pl_module)
        self._lottery.begin_round(module)
        self._freezer = self._lottery.freezer(module)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Take hold of the optimizers, whose state a checkpoint may just have filled."""
        self._check_reachable(trainer)
        if self._freezer is not None:
            for handle in self._freezer.watch(trainer.optimizers):
                self._told.callback(handle.remove)
            self._freezer.tell(self.module(pl_module))
            self._told.callback(self._freezer.tell, self.module(pl_module), over=True)

    def on_after_backward(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Freeze the gradients at once where a module steps, and may clip, by hand."""
        if self._freezer is not None and not pl_module.automatic_optimization:
            self._freezer.freeze_gradients()

    def on_before_optimizer_step(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, optimizer: Optimizer
    ) -> None:
        """Freeze the pruned entries' gradients: after unscaling, before clipping.

        A batch can have several steps: what the weights are after the one before is seen here, and only here.
        """
        self._lottery.observe(self.module(pl_module), steps=trainer.global_step)
        if self._freezer is not None:
            self._freezer.freeze_gradients()

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Keep the weights if this is the step to rewind to."""
        self._lottery.observe(self.module(pl_module), steps=trainer.global_step)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Keep the weights if this is the epoch to rewind to."""
        self._lottery.observe(self.module(pl_module), epochs=trainer.current_epoch + 1)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Close the round."""
        self._lottery.end_round(self.module(pl_module))
        self._release()

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Close the round also where a checkpoint left nothing to train, and so no training started or ended."""
        if self._lottery.training:
            self.on_train_end(trainer, pl_module)

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Let go of the optimizers; the round is not over and the next fit takes it up again."""
        self._release()

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps of the lottery."""
        return self._lottery.state_dict()

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take the lottery up where a checkpoint left it."""
        self._lottery.load_state_dict(state_dict)

    def _release(self) -> None:
        self._told.close()
        self._freezer = None

    def _check_reachable(self, trainer: pl.Trainer) -> None:
        """Say before round 0, not after it, that it is too short for the rewinding point.

        Not as early as `on_fit_start`: the number of batches would load the data before a checkpoint's state of it.
        """
        rewind = self._lottery.rewind
        if rewind.at is None or self.round > 0:
            return
        if rewind.point == "epoch":
            planned = trainer.max_epochs
        elif trainer.lightning_module.automatic_optimization:
            planned = trainer.estimated_stepping_batches
        else:
            planned = None  # only the module knows
        if planned is not None and 0 <= planned < rewind.at:
            raise LotteryError(
                f"rewind: {rewind} lies beyond the end of round 0, which ends after {rewind.point} {planned:,}; "
                f"choose K ≤ {planned:,}, or train for longer"
            )
