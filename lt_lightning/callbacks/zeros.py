"""Hold pruned entries at zero: a freezer that follows the optimizers of a fit."""

from __future__ import annotations

import pytorch_lightning as pl
from torch import nn

from lt_lightning.lottery import Freezer
from lt_lightning.lottery.freezing import Handle


class Hold:
    """A freezer and the hooks by which it follows the optimizers of a fit."""

    def __init__(self, freezer: Freezer, module: nn.Module) -> None:
        self._freezer = freezer
        self._module = module
        self._optimizers: list[int] = []
        self._handles: list[Handle] = []

    @property
    def steps(self) -> int:
        """Return the number of optimizer steps of this fit."""
        return self._freezer.steps

    def watch(self, trainer: pl.Trainer) -> None:
        """Hook the optimizers, and new ones if the module replaces them."""
        optimizers = [id(optimizer) for optimizer in trainer.optimizers]
        if optimizers == self._optimizers:
            return
        self.release()
        self._optimizers = optimizers
        self._handles = self._freezer.watch(trainer.optimizers)
        if not trainer.lightning_module.automatic_optimization:
            self._handles += self._freezer.watch_gradients()
        self._freezer.tell(self._module)

    def skip_pruned(self, skip: bool) -> None:
        """Let the module skip pruned entries, or compute the gradients of all."""
        self._freezer.tell(self._module, over=not skip)

    def renew(self, freezer: Freezer, trainer: pl.Trainer) -> None:
        """Follow another mask from now on, and set the moments of pruned entries to zero."""
        self.release()
        freezer.steps = self._freezer.steps
        self._freezer = freezer
        self.watch(trainer)

    def freeze(self, *, written: bool = False) -> None:
        """Set the pruned entries to zero; see `Freezer.freeze_weights`."""
        self._freezer.freeze_weights(written=written)

    def freeze_gradients(self) -> None:
        """Set the gradients of pruned entries to zero."""
        self._freezer.freeze_gradients()

    def release(self) -> None:
        """Remove all hooks."""
        for handle in self._handles:
            handle.remove()
        if self._optimizers:
            self._freezer.tell(self._module, over=True)
        self._handles, self._optimizers = [], []
