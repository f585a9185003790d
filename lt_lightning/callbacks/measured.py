"""Record which weights an evaluation measures; callbacks may swap weights for it."""

from __future__ import annotations

from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor

from lt_lightning.callbacks.agreement import digest
from lt_lightning.callbacks.hooks import only_its_own_hooks


@only_its_own_hooks
class MeasuredWeights(pl.Callback):
    """Record digests of the weights and buffers that validations and a test measure.

    Put it after callbacks that swap weights, such as averages (EMA, SWA).

    Args:
        submodule: the part of the LightningModule whose weights count; all of it by default.

    Attributes:
        validated: the digest measured by each validation of a fit, by epoch, counted from 1.
        tested: the digest measured by the last test; None before it.
    """

    def __init__(self, submodule: str = "") -> None:
        self.validated: dict[int, Tensor] = {}
        self.tested: Tensor | None = None
        self._submodule = submodule

    def on_validation_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Record the weights before the first batch."""
        if batch_idx == 0 and not trainer.sanity_checking:
            self.validated[trainer.current_epoch + 1] = self.digest(pl_module)

    def on_test_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Record the weights before the first batch."""
        if batch_idx == 0:
            self.tested = self.digest(pl_module)

    def digest(self, pl_module: pl.LightningModule) -> Tensor:
        """Return the digest of the current weights and buffers."""
        module = pl_module.get_submodule(self._submodule)
        return digest([*module.named_parameters(), *module.named_buffers()])


def differs(trainer: pl.Trainer, one: Tensor | None, other: Tensor) -> bool:
    """Return whether two digests differ, or `one` is None, on any process."""
    different = one is None or not torch.equal(one, other)
    return trainer.strategy.reduce_boolean_decision(different, all=False)
