"""A callback that writes down when the parts of a round happen: `benchmarks.rounds` makes its sums of it."""

from __future__ import annotations

from pathlib import Path
from time import perf_counter
from typing import Any

import pytorch_lightning as pl


class RoundClock(pl.Callback):
    """Appends a line an event, its name and the time, to a file.

    Args:
        path: the file.
    """

    def __init__(self, path: str) -> None:
        self._path = Path(path)

    def _note(self, event: str) -> None:
        with self._path.open("a", encoding="utf-8") as file:
            file.write(f"{event} {perf_counter()}\n")

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """A fit or a test begins."""
        self._note("setup_fit" if stage == "fit" else "setup_test")

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """A step begins."""
        self._note("work_begins")

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """A step ends."""
        self._note("work_ends")

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Validation begins."""
        self._note("work_begins")

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Validation ends."""
        self._note("work_ends")

    def on_test_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """The test begins."""
        self._note("work_begins")

    def on_test_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """The test ends."""
        self._note("work_ends")

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """An epoch has ended; what is kept of it is kept now."""
        self._note("epoch_ended")

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """An epoch begins."""
        self._note("epoch_begins")
