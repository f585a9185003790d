"""What each epoch of a round came to."""

from __future__ import annotations

import pytorch_lightning as pl

from lt_lightning.models.classifier import TextClassifier
from lt_lightning.results.records import EpochRecord


class History(pl.Callback):
    """Collects an `EpochRecord` an epoch from a `TextClassifier`.

    Attributes:
        epochs: the records of the current or last fit, in order.
    """

    def __init__(self, round: int) -> None:
        self.round = round
        self.epochs: list[EpochRecord] = []

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Read the epoch's losses and accuracy; validation is over by now."""
        assert isinstance(pl_module, TextClassifier)
        metrics = trainer.callback_metrics
        self.epochs.append(
            EpochRecord(
                round=self.round,
                epoch=trainer.current_epoch + 1,
                train_loss=float(pl_module.train_loss.compute()),
                valid_loss=float(metrics["valid_loss"]),
                valid_acc=float(metrics["valid_acc"]),
            )
        )
