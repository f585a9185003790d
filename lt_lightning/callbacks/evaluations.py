"""Restore the weights of the last fit after an evaluation has loaded others."""

from __future__ import annotations

import weakref
from dataclasses import dataclass

import pytorch_lightning as pl
import torch
from torch import Tensor

from lt_lightning.lottery.rewinding import digest, named_state, restore, snapshot


class EvaluationGuard:
    """Restore the last fit's weights after `trainer.test(…, ckpt_path="best")` and similar calls.

    Such a call leaves the checkpoint's weights in the module. They are replaced when the next fit starts, unless the
    user has written weights since. A copy exists only during an evaluation, and after one that has loaded weights.
    """

    def __init__(self) -> None:
        self._module: weakref.ref[pl.LightningModule] | None = None
        self._left: dict[str, Tensor] | None = None
        self._loaded: Marks | None = None

    def begin(self, module: pl.LightningModule) -> None:
        """Copy the weights before an evaluation may load others."""
        if not self._holds(module) or self._loaded != Marks.of(module):
            self._module, self._left, self._loaded = weakref.ref(module), snapshot(module), None

    def end(self, module: pl.LightningModule) -> None:
        """Delete the copy if the evaluation has loaded nothing."""
        if not self._holds(module) or self._left is None:
            return
        state = dict(named_state(module))
        if state.keys() == self._left.keys() and all(_equal(value, self._left[name]) for name, value in state.items()):
            self._left = None
        else:
            self._loaded = Marks.of(module)

    def undo(self, module: pl.LightningModule) -> None:
        """Restore the last fit's weights if `module` still has those that an evaluation loaded."""
        if self._holds(module) and self._left is not None and self._loaded == Marks.of(module):
            restore(module, self._left)
        self._left = None

    def _holds(self, module: pl.LightningModule) -> bool:
        return self._left is not None and self._module is not None and self._module() is module


def _equal(left: Tensor, right: Tensor) -> bool:
    if left.layout == torch.strided:
        return torch.equal(left, right.to(left.device))
    return digest([("", left)]) == digest([("", right)])


@dataclass(frozen=True)
class Marks:
    """The digest of a module's weights and torch's counts of writes to them; later writes change one of the two."""

    content: bytes
    writes: tuple[int, ...]

    @classmethod
    def of(cls, module: pl.LightningModule) -> Marks:
        """Return the current marks of `module`."""
        state = dict(named_state(module))
        return cls(digest(state.items()), tuple(value._version for value in state.values()))
