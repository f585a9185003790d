"""Trainers and callbacks with which no round can be trained, refused before anything is changed."""

from __future__ import annotations

from collections.abc import Iterable
from weakref import WeakKeyDictionary

import pytorch_lightning as pl
from pytorch_lightning.callbacks import BatchSizeFinder, LearningRateFinder, ModelPruning
from pytorch_lightning.strategies import DeepSpeedStrategy, FSDPStrategy, ModelParallelStrategy

# Private, and the one thing that tells processes that end with the fit from others; a test starts such processes.
from pytorch_lightning.strategies.launchers import _MultiProcessingLauncher

from lt_lightning.errors import SettingError
from lt_lightning.lottery import LotteryError, Rewind

_SHARDING = (DeepSpeedStrategy, FSDPStrategy, ModelParallelStrategy)

_TRAINED: WeakKeyDictionary[pl.LightningModule, dict[str, object]] = WeakKeyDictionary()
"""For each module that was trained for a round, the identities of the callbacks that pruned it, by their state keys."""


_IMPOSSIBLE: dict[type[pl.Callback], str] = {
    LearningRateFinder: "it trains trial fits within a round; leave it out, and set optimizer.lr",
    BatchSizeFinder: "it trains trial fits within a round; leave it out, and set data.batch_size",
    ModelPruning: "it prunes beside the rounds, whose records would not show it; leave it out, and set pruning.amount",
}
"""Callbacks of Lightning's that a run's rounds cannot have, and why."""


class NoStepError(LotteryError):
    """A fit has ended without an optimizer step, and is no round."""


def check_trainer(trainer: pl.Trainer) -> None:
    """Check that a Trainer can train a round.

    Args:
        trainer: as its callbacks are set up.

    Raises:
        LotteryError: if its strategy cuts parameters up or loses what the callback learns, or its limits leave nothing
            to train.
    """
    strategy = type(trainer.strategy).__name__
    if isinstance(trainer.strategy, _SHARDING):
        raise LotteryError(
            f"strategy: {strategy} cuts parameters into shards, whose entries no mask describes; use a strategy that "
            "keeps them whole, such as ddp"
        )
    if isinstance(trainer.strategy.launcher, _MultiProcessingLauncher):
        raise LotteryError(
            f"strategy: {strategy} trains in processes that end with the fit, and the masks with them (ddp_spawn, "
            "ddp_fork, ddp_notebook); use ddp, or one device"
        )
    for name, limit, reached in (
        ("max_epochs", trainer.max_epochs, trainer.current_epoch),
        ("max_steps", trainer.max_steps, trainer.global_step),
    ):
        if limit is not None and 0 <= limit <= reached:
            raise LotteryError(
                f"this Trainer has reached its {name}={limit} and would train nothing: make a new one for each round"
            )


def check_untrained(module: pl.LightningModule, state_key: str, identity: object) -> None:
    """Check that a module whose first round begins was not trained by another callback of the same settings.

    Raises:
        LotteryError: if it was: a callback made anew for each round would prune nothing.
    """
    if _TRAINED.get(module, {}).get(state_key, identity) is not identity:
        raise LotteryError(
            "another PruningCallback has trained this module: use the same callback in all rounds, and for another "
            "lottery a new module, or a copy (copy.deepcopy)"
        )


def note_trained(module: pl.LightningModule, state_key: str, identity: object) -> None:
    """Remember which callback has trained a module, as long as the module lives."""
    _TRAINED.setdefault(module, {})[state_key] = identity


def is_trained_by(module: pl.LightningModule, state_key: str, identity: object) -> bool:
    """Return whether a callback has trained a module for a round."""
    return _TRAINED.get(module, {}).get(state_key) is identity


def check_fresh(trainer: pl.Trainer) -> None:
    """Check that no optimizer holds copies of weights that are about to be replaced.

    Raises:
        LotteryError: if one does.
    """
    if any(getattr(optimizer, "state", None) for optimizer in trainer.optimizers):
        raise LotteryError(
            "start: the module builds its layers so late, and the optimizer copies their weights so early, that it "
            "holds others than the start's; build the layers in __init__"
        )


def check_reachable(trainer: pl.Trainer, rewind: Rewind) -> None:
    """Check that a Trainer's round 0 gets as far as the rewinding point.

    Not as early as `on_fit_start`: the number of batches would load the data before a checkpoint's state of it.

    Raises:
        LotteryError: if it ends before.
    """
    if rewind.at is None:
        return
    if rewind.point == "epoch":
        planned = trainer.max_epochs
    elif trainer.lightning_module.automatic_optimization:
        planned = trainer.estimated_stepping_batches
    else:
        planned = None  # only the module knows
    if planned is not None and 0 <= planned < rewind.at:
        raise LotteryError(
            f"rewind: {rewind} lies beyond the end of round 0, which ends after {rewind.point} {planned:,}; "
            f"choose K ≤ {planned:,}, or train for longer"
        )


def check_callbacks(callbacks: Iterable[pl.Callback]) -> None:
    """Raise if a callback of the settings cannot be part of a run's rounds.

    Raises:
        SettingError: names the callback and the setting to use instead.
    """
    for callback in callbacks:
        for kind, reason in _IMPOSSIBLE.items():
            if isinstance(callback, kind):
                raise SettingError(f"trainer.callbacks: {type(callback).__name__} is not possible here: {reason}")
