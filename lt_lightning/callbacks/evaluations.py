"""Weights that an evaluation loads between two fits, and that the next fit must not start from."""

from __future__ import annotations

import pytorch_lightning as pl
import torch
from torch import Tensor

from lt_lightning.lottery.rewinding import digest, named_state, restore, snapshot


class EvaluationGuard:
    """Brings back what the last fit left after `trainer.test(…, ckpt_path="best")` and the like.

    Such an evaluation leaves the checkpoint's weights in the module. If they are still there as the next fit starts,
    they go; weights that the user has loaded since stay. A copy is kept only while an evaluation runs, and after one
    that has loaded others.
    """

    def __init__(self) -> None:
        self._left: dict[str, Tensor] | None = None
        self._loaded = b""

    def begin(self, module: pl.LightningModule) -> None:
        """Copy the weights before an evaluation may load others."""
        if self._left is None or digest(named_state(module)) != self._loaded:
            self._left, self._loaded = snapshot(module), b""

    def end(self, module: pl.LightningModule) -> None:
        """Forget the copy if the evaluation has loaded nothing."""
        if self._left is None:
            return
        if all(torch.equal(value, self._left[name].to(value.device)) for name, value in named_state(module)):
            self._left = None
        else:
            self._loaded = digest(named_state(module))

    def undo(self, module: pl.LightningModule) -> None:
        """Give `module` what the last fit left, if it still has what an evaluation loaded."""
        if self._left is not None and digest(named_state(module)) == self._loaded:
            restore(module, self._left)
        self._left = None
