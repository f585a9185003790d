"""A round's best weights instead of its last."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl
from torch import Tensor

from lt_lightning.callbacks.hooks import only_its_own_hooks
from lt_lightning.lottery.rewinding import restore, snapshot


@only_its_own_hooks
class BestWeights(pl.Callback):
    """Give a fit's module, when training ends, the weights of its lowest validation loss.

    They are kept in memory, where the weights are. Put it before the `PruningCallback`: what a round is tested with,
    what its ticket holds and what the next round prunes are then the same weights.

    Attributes:
        epoch: the epoch that they are of, counted from 1; None before the first validation.
    """

    def __init__(self, monitor: str = "valid_loss") -> None:
        self.monitor = monitor
        self.epoch: int | None = None
        self._lowest: Tensor | None = None
        self._weights: dict[str, Tensor] = {}

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Forget the last fit, before a checkpoint may tell of an earlier part of this one."""
        if stage == "fit":
            self.epoch, self._lowest, self._weights = None, None, {}

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Keep the weights if there were none better."""
        if trainer.sanity_checking or trainer.state.fn != "fit":
            return
        loss = trainer.callback_metrics[self.monitor]
        if self._lowest is None or self._lowest.isnan() or loss < self._lowest:
            self.epoch, self._lowest, self._weights = trainer.current_epoch + 1, loss, snapshot(pl_module)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Put the best weights back."""
        restore(pl_module, self._weights)
        self._weights = {}

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps: the best weights so far, and how good they were."""
        return {"epoch": self.epoch, "lowest": self._lowest, "weights": self._weights}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take it up."""
        self.epoch, self._lowest, self._weights = (state_dict[key] for key in ("epoch", "lowest", "weights"))
