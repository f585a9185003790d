"""`EpochSeeds` seeds by run, round and epoch alone; hooks of callbacks that do nothing are not called."""

from types import SimpleNamespace
from typing import Any

import pytest
import pytorch_lightning as pl
import torch

from lt_lightning import callbacks
from lt_lightning.callbacks import EpochSeeds
from lt_lightning.callbacks.hooks import only_its_own_hooks
from lt_lightning.experiment.examples import SpellingCallback
from lt_lightning.experiment.measuring import History
from lt_lightning.experiment.progress import ProgressCallback
from lt_lightning.experiment.round_checkpoint import RoundCheckpoint


def draw(
    *, seed: int = 0, round: int = 1, epoch: int = 2, rank: int = 0, batch: int = 0, before: int = 0
) -> list[float]:
    """Return what a module draws in the first batch of an epoch."""
    torch.manual_seed(before)
    trainer: Any = SimpleNamespace(current_epoch=epoch, global_rank=rank)
    EpochSeeds(seed, round).on_train_batch_start(trainer, None, None, batch)  # pyright: ignore[reportArgumentType]
    return torch.rand(8).tolist()


def test_an_epoch_draws_the_same_whatever_was_drawn_before() -> None:
    assert draw(before=5) == draw(before=6)


def test_other_seeds_rounds_epochs_and_processes_draw_differently() -> None:
    draws = [draw(), draw(seed=1), draw(round=2), draw(epoch=3), draw(rank=1), draw(round=2, epoch=1)]
    assert len({tuple(one) for one in draws}) == len(draws)


def test_the_batches_of_an_epoch_go_on_drawing() -> None:
    assert draw(batch=1, before=5) != draw(batch=1, before=6)


INTERNAL = (
    callbacks.BestWeights, callbacks.EpochSeeds, callbacks.FiniteLossCallback, History, RoundCheckpoint,
    ProgressCallback, SpellingCallback,
)  # fmt: skip


def hooks(kind: type[pl.Callback]) -> set[str]:
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
