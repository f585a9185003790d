"""Callbacks of Lightning's that a run's rounds cannot have, and why."""

from __future__ import annotations

from collections.abc import Iterable

import pytorch_lightning as pl
from pytorch_lightning.callbacks import BatchSizeFinder, LearningRateFinder, ModelPruning

from lt_lightning.errors import SettingError

_REASONS: dict[type[pl.Callback], str] = {
    LearningRateFinder: "it trains trial fits within a round; leave it out, and set optimizer.lr",
    BatchSizeFinder: "it trains trial fits within a round; leave it out, and set data.batch_size",
    ModelPruning: "it prunes beside the rounds, whose records would not show it; leave it out, and set pruning.amount",
}


def check_callbacks(callbacks: Iterable[pl.Callback]) -> None:
    """Raise if a callback cannot be part of a round.

    Raises:
        SettingError: names the callback and the setting to use instead.
    """
    for callback in callbacks:
        for kind, reason in _REASONS.items():
            if isinstance(callback, kind):
                raise SettingError(f"trainer.callbacks: {type(callback).__name__} is not possible here: {reason}")
