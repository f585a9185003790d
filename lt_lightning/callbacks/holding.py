"""How pruned entries are held at zero in the course of one fit."""

from __future__ import annotations

import pytorch_lightning as pl
from torch import nn

from lt_lightning.lottery import Freezer


class Hold:
    """Keeps the pruned entries of a module at zero while it is trained.

    Args:
        freezer: sets them to zero.
        module: the part that is pruned.

    Attributes:
        steps: the optimizer steps of the fit so far.
    """

    def __init__(self, freezer: Freezer, module: nn.Module) -> None:
        self._freezer = freezer
        self._module = module
        self._optimizers: list[int] = []
        self._handles: list = []

    @property
    def steps(self) -> int:
        """The optimizer steps of the fit so far."""
        return self._freezer.steps

    def watch(self, trainer: pl.Trainer) -> None:
        """Take hold of the optimizers, and of others if the module makes new ones."""
        optimizers = [id(optimizer) for optimizer in trainer.optimizers]
        if optimizers == self._optimizers:
            return
        self.release()
        self._optimizers = optimizers
        self._handles = self._freezer.watch(trainer.optimizers)
        if not trainer.lightning_module.automatic_optimization:
            self._handles += self._freezer.watch_gradients()
        self._freezer.tell(self._module)

    def freeze(self, *, written: bool = False) -> None:
        """Set the pruned entries to zero; see `Freezer.freeze_weights`."""
        self._freezer.freeze_weights(written=written)

    def freeze_gradients(self) -> None:
        """Set their gradients to zero."""
        self._freezer.freeze_gradients()

    def release(self) -> None:
        """Let go of the optimizers."""
        for handle in self._handles:
            handle.remove()
        if self._optimizers:
            self._freezer.tell(self._module, over=True)
        self._handles, self._optimizers = [], []
