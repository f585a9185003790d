"""Log the times of a round's events, for `benchmarks.rounds`."""

from __future__ import annotations

from pathlib import Path
from time import perf_counter
from typing import Any

import pytorch_lightning as pl


class RoundClock(pl.Callback):
    """Append a line per event, its name and the time, to a file.

    Args:
        path: the file.
    """

    def __init__(self, path: str) -> None:
        self._path = Path(path)

    def _note(self, event: str) -> None:
        with self._path.open("a", encoding="utf-8") as file:
            file.write(f"{event} {perf_counter()}\n")

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Log the start of a fit or a test."""
        self._note("setup_fit" if stage == "fit" else "setup_test")

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Log the start of a step."""
        self._note("work_begins")

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Log the end of a step."""
        self._note("work_ends")

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Log the start of validation."""
        self._note("work_begins")

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Log the end of validation."""
        self._note("work_ends")

    def on_test_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Log the start of the test."""
        self._note("work_begins")

    def on_test_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Log the end of the test."""
        self._note("work_ends")

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Log the end of an epoch, before it is saved."""
        self._note("epoch_ended")

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Log the start of an epoch."""
        self._note("epoch_begins")
