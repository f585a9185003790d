"""Hooks that do nothing are not called, and all others are."""

from __future__ import annotations

import pytest
import pytorch_lightning as pl

from lt_lightning import callbacks
from lt_lightning.callbacks.hooks import only_its_own_hooks
from lt_lightning.experiment.examples import SpellingCallback
from lt_lightning.experiment.measuring import History
from lt_lightning.experiment.progress import ProgressCallback
from lt_lightning.experiment.round_checkpoint import RoundCheckpoint

INTERNAL = (
    callbacks.BestWeights,
    callbacks.EpochSeeds,
    callbacks.FiniteLossCallback,
    History,
    RoundCheckpoint,
    ProgressCallback,
    SpellingCallback,
)


def hooks(kind: type[pl.Callback]) -> set[str]:
    """The hooks that Lightning would call."""
    return {name for name in dir(kind) if name.startswith("on_") and callable(getattr(kind, name))}


@pytest.mark.parametrize("kind", INTERNAL)
def test_of_a_batchs_hooks_those_are_left_that_the_callback_has(kind):
    bases = kind.__mro__[: kind.__mro__.index(pl.Callback)]
    written = {name for base in bases for name, value in vars(base).items() if name.startswith("on_") and value}
    of_a_batch = {name for name in hooks(pl.Callback) if "_batch_" in name and "predict" not in name}
    assert hooks(kind) & of_a_batch == written & of_a_batch
    assert written <= hooks(kind)


def test_what_is_inherited_from_another_callback_is_called_all_the_same():
    class Base(pl.Callback):
        def on_train_batch_end(self, *arguments):
            """Something."""

    @only_its_own_hooks
    class Child(Base):
        def on_before_zero_grad(self, *arguments):
            """Something else."""

    assert hooks(pl.Callback) - hooks(Child) >= {"on_train_batch_start", "on_test_batch_end"}
    assert {"on_train_batch_end", "on_before_zero_grad", "on_fit_start", "on_train_epoch_end"} <= hooks(Child)
    assert pl.Callback.on_train_batch_start is not None
