"""Seed the generators at the start of each epoch."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl

from lt_lightning.callbacks.hooks import only_its_own_hooks
from lt_lightning.lottery import derive_seed


@only_its_own_hooks
class EpochSeeds(pl.Callback):
    """Seed all generators when an epoch starts, so that its dropout does not depend on earlier draws or on resuming.

    Dropout differs between processes, rounds and epochs, but not between runs.
    """

    def __init__(self, seed: int, round: int) -> None:
        self._seed = seed
        self._round = round

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Seed before the first batch: the loader has drawn its numbers by then, in a resumed fit too."""
        if batch_idx == 0:
            place = ("round", self._round, "epoch", trainer.current_epoch, trainer.global_rank)
            pl.seed_everything(derive_seed(self._seed, *place), verbose=False)
