"""Randomness that does not depend on what was drawn before."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl

from lt_lightning.callbacks.hooks import only_its_own_hooks
from lt_lightning.lottery import derive_seed


@only_its_own_hooks
class EpochSeeds(pl.Callback):
    """Seeds all generators anew as each epoch starts: an epoch draws the same dropout whether or not the run stopped
    and went on before it, however often something was logged, and whatever the loaders drew.

    Dropout differs from process to process, from round to round and from epoch to epoch, but not from run to run.

    Args:
        seed: the run's seed.
        round: the round.
    """

    def __init__(self, seed: int, round: int) -> None:
        self._seed = seed
        self._round = round

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Seed them before the first batch: by now the loader has drawn what it draws, which a resumed fit does
        at another moment.
        """
        if batch_idx == 0:
            place = ("round", self._round, "epoch", trainer.current_epoch, trainer.global_rank)
            pl.seed_everything(derive_seed(self._seed, *place), verbose=False)
