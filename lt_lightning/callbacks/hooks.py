"""Skip no-op hooks in the batch loop, and call hooks that Lightning does not have."""

from __future__ import annotations

from typing import TypeVar

import pytorch_lightning as pl

Kind = TypeVar("Kind", bound=type[pl.Callback])

_EACH_BATCH = (
    "on_train_batch_start", "on_before_zero_grad", "on_before_backward", "on_after_backward",
    "on_before_optimizer_step", "on_train_batch_end", "on_validation_batch_start", "on_validation_batch_end",
    "on_test_batch_start", "on_test_batch_end",
)  # fmt: skip


def only_its_own_hooks(kind: Kind) -> Kind:
    """Skip the no-op hooks that `kind` inherits: Lightning skips a hook that is not callable.

    Do not subclass such a callback: its `super()` has no hook to call.
    """
    for name in _EACH_BATCH:
        if getattr(kind, name) is getattr(pl.Callback, name):
            setattr(kind, name, None)
    return kind


def callbacks_of(trainer: pl.Trainer) -> list[pl.Callback]:
    """Return the callbacks of a Trainer in order."""
    return trainer.callbacks  # pyright: ignore[reportAttributeAccessIssue]


def call_hook(name: str, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
    """Call a hook that Lightning does not have on all callbacks that define it."""
    for one in callbacks_of(trainer):
        if callable(method := getattr(one, name, None)):
            method(trainer, pl_module)
