"""`EpochSeeds`: what dropout draws depends on the run's seed, the round and the epoch, and on nothing else."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import torch

from lt_lightning.callbacks import EpochSeeds


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
