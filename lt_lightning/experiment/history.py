"""Record the metrics of each epoch."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any

import pytorch_lightning as pl

from lt_lightning.callbacks.hooks import only_its_own_hooks
from lt_lightning.models.learner import Learner
from lt_lightning.runs.records import EpochRecord


@only_its_own_hooks
class History(pl.Callback):
    """Collect an `EpochRecord` per epoch from a `Learner`; epochs without validation have NaN for its metrics.

    Attributes:
        epochs: the records of the current or last fit, in order.
    """

    def __init__(self, round: int) -> None:
        self.round = round
        self.epochs: list[EpochRecord] = []
        self._validated = (math.nan,) * 3

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Read the validation metrics."""
        if not trainer.sanity_checking:
            metrics = trainer.callback_metrics
            self._validated = tuple(float(metrics[f"valid_{name}"]) for name in ("loss", "acc", "f1"))

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Append the epoch's record; validation has already run."""
        assert isinstance(pl_module, Learner)
        train_loss = float(pl_module.train_loss.compute())
        self.epochs.append(EpochRecord(self.round, trainer.current_epoch + 1, train_loss, *self._validated))
        self._validated = (math.nan,) * 3

    def state_dict(self) -> dict[str, Any]:
        """Return the epochs so far, as plain values."""
        return {"epochs": [asdict(epoch) for epoch in self.epochs]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the epochs."""
        self.epochs = [EpochRecord(**epoch) for epoch in state_dict["epochs"]]
