"""What a callback has to do with a step is what it costs the step."""

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
    """Spare Lightning the calls, at every batch, of the hooks that `kind` inherits and that do nothing.

    Lightning passes over a hook that cannot be called. For callbacks that nobody is to inherit from: `super()` has
    nothing to call then.
    """
    for name in _EACH_BATCH:
        if getattr(kind, name) is getattr(pl.Callback, name):
            setattr(kind, name, None)
    return kind
