"""How pruned entries are held at zero in the course of one fit."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytorch_lightning as pl
from torch import Tensor, nn

from lt_lightning.lottery import Freezer
from lt_lightning.lottery.freezing import Handle


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
        self._handles: list[Handle] = []

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


@dataclass
class FitState:
    """The state of the fit that runs, for a `PruningCallback`.

    Attributes:
        steps: the optimizer steps of the round before this fit, or in it once it is over.
        is_first: whether it begins round 0.
        ended: the last round that had ended before it; -1 for none.
        is_resumed: whether a checkpoint has brought the lottery's state.
        is_over: whether it has ended as it should.
        batches: the batches trained.
        step: the step to rewind to, if it was the last one.
        seen: the last step that was the step to rewind to.
        hold: what keeps pruned entries at zero.
        before: weights, buffers without a value and lotteries before the fit, until it starts.
    """

    steps: int = 0
    is_first: bool = False
    ended: int = -1
    is_resumed: bool = False
    is_over: bool = False
    batches: int = 0
    step: int = -1
    seen: int = -1
    hold: Hold | None = None
    before: tuple[dict[str, Tensor], list[str], list[dict[str, Any]]] | None = None

    @property
    def all_steps(self) -> int:
        """The optimizer steps of the round so far."""
        return self.steps + (self.hold.steps if self.hold is not None else 0)
