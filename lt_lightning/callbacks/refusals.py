"""Refuse Trainers and callbacks that cannot train a round, before anything changes."""

from __future__ import annotations

from collections.abc import Iterable
from weakref import WeakKeyDictionary

import pytorch_lightning as pl
from pytorch_lightning.callbacks import BatchSizeFinder, LearningRateFinder, ModelPruning
from pytorch_lightning.strategies import DeepSpeedStrategy, FSDPStrategy, ModelParallelStrategy

# Private: the only way to recognise processes that end with the fit; a test starts such processes.
from pytorch_lightning.strategies.launchers import _MultiProcessingLauncher

from lt_lightning.errors import SettingError
from lt_lightning.lottery import LotteryError, Rewind

_SHARDING = (DeepSpeedStrategy, FSDPStrategy, ModelParallelStrategy)

_TRAINED: WeakKeyDictionary[pl.LightningModule, dict[str, object]] = WeakKeyDictionary()
"""For each module that trained a round, the tokens of the callbacks that pruned it, by state key."""

_IMPOSSIBLE: dict[type[pl.Callback], str] = {
    LearningRateFinder: "it trains trial fits within a round; leave it out, and set optimizer.lr",
    BatchSizeFinder: "it trains trial fits within a round; leave it out, and set data.batch_size",
    ModelPruning: "it prunes beside the rounds, whose records would not show it; leave it out, and set pruning.amount",
}
"""Lightning callbacks that a run cannot have, and the reasons."""


class NoStepError(LotteryError):
    """A fit ended without an optimizer step, so it is not a round."""


def check_trainer(trainer: pl.Trainer) -> None:
    """Raise LotteryError if a Trainer's strategy shards parameters or loses the masks, or its limits are reached."""
    strategy = type(trainer.strategy).__name__
    if isinstance(trainer.strategy, _SHARDING):
        raise LotteryError(
            f"strategy: {strategy} cuts parameters into shards, which masks do not describe; use a strategy that "
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
    """Raise LotteryError if another callback of the same settings has trained `module`.

    A new callback for each round would prune nothing.
    """
    if _TRAINED.get(module, {}).get(state_key, identity) is not identity:
        raise LotteryError(
            "another PruningCallback has trained this module: use the same callback in all rounds, and for another "
            "lottery a new module, or a copy (copy.deepcopy)"
        )


def note_trained(module: pl.LightningModule, state_key: str, identity: object) -> None:
    """Record which callback has trained a module."""
    _TRAINED.setdefault(module, {})[state_key] = identity


def is_trained_by(module: pl.LightningModule, state_key: str, identity: object) -> bool:
    """Return whether a callback has trained a module."""
    return _TRAINED.get(module, {}).get(state_key) is identity


def check_fresh(trainer: pl.Trainer) -> None:
    """Raise LotteryError if an optimizer holds copies of weights that are about to be replaced."""
    if any(getattr(optimizer, "state", None) for optimizer in trainer.optimizers):
        raise LotteryError(
            "start: the optimizer copied the weights of layers that the module built late, before those of the start "
            "were loaded; build the layers in __init__"
        )


def check_reachable(trainer: pl.Trainer, rewind: Rewind) -> None:
    """Raise LotteryError if a Trainer's round 0 ends before the rewinding point.

    Call it after `on_fit_start`: counting batches loads the data, before a checkpoint's state of it.
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
    """Raise a SettingError for the first callback that a run cannot have; it names the setting to use instead."""
    for callback in callbacks:
        for kind, reason in _IMPOSSIBLE.items():
            if isinstance(callback, kind):
                raise SettingError(f"trainer.callbacks: {type(callback).__name__} is not possible here: {reason}")
