"""Stop a round that prunes nothing, or leaves nothing alive, before it trains."""

from __future__ import annotations

import pytorch_lightning as pl

from lt_lightning.callbacks.hooks import only_its_own_hooks
from lt_lightning.callbacks.pruning import PruningCallback
from lt_lightning.experiment.exhaustion import check_round


@only_its_own_hooks
class ExhaustionCallback(pl.Callback):
    """Check a round's mask against the number of living entries before; put it after the `PruningCallback`.

    Args:
        pruning: holds the mask.
        before: the number of living entries in the round before; None for round 0.
        go_on: the command that resumes the run, for the message.

    Raises:
        SettingError: nothing was pruned, or nothing is alive.
    """

    def __init__(self, pruning: PruningCallback, before: int | None, go_on: str) -> None:
        self._pruning = pruning
        self._before = before
        self._go_on = go_on

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Check the mask after the round has pruned."""
        mask = self._pruning.mask
        check_round(self._pruning.round, self._before, mask.alive, mask.total, self._go_on)
