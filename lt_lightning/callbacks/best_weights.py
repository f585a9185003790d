"""Keep a round's best weights instead of its last."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl
from torch import Tensor

from lt_lightning.callbacks.hooks import only_its_own_hooks
from lt_lightning.lottery.rewinding import restore, snapshot


@only_its_own_hooks
class BestWeights(pl.Callback):
    """Load the weights of the best validation when training ends.

    They are kept on the device of the weights. Put this callback before the `PruningCallback`, so that a round's test,
    its ticket and the next round's pruning use the same weights.

    Args:
        monitor: the name of the logged value that is compared.
        mode: `min` or `max`: which values are better.

    Attributes:
        epoch: the epoch of the best weights, counted from 1; None before the first validation.
    """

    def __init__(self, monitor: str = "valid_loss", mode: str = "min") -> None:
        self.monitor = monitor
        self._sign = -1 if mode == "max" else 1
        self.epoch: int | None = None
        self._lowest: Tensor | None = None
        self._weights: dict[str, Tensor] = {}

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Reset before a fit; a checkpoint may be loaded later."""
        if stage == "fit":
            self.epoch, self._lowest, self._weights = None, None, {}

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Save the weights if the value is the best so far."""
        if trainer.sanity_checking or trainer.state.fn != "fit":
            return
        loss = self._sign * trainer.callback_metrics[self.monitor]
        if self._lowest is None or self._lowest.isnan() or loss < self._lowest:
            self.epoch, self._lowest, self._weights = trainer.current_epoch + 1, loss, snapshot(pl_module)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Load the best weights."""
        restore(pl_module, self._weights)
        self._weights = {}

    def state_dict(self) -> dict[str, Any]:
        """Return the best weights so far and their value, negated where higher is better."""
        return {"epoch": self.epoch, "lowest": self._lowest, "weights": self._weights}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load what `state_dict` returned."""
        self.epoch, self._lowest, self._weights = (state_dict[key] for key in ("epoch", "lowest", "weights"))
