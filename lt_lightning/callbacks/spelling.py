"""What a network that answers letter by letter says after each epoch: a student can watch it learn to spell."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import pytorch_lightning as pl

from lt_lightning.callbacks.progress import RoundsDisplay


class SpellingCallback(pl.Callback):
    """Prints a line an epoch: the validation loss, and the strings that the network then answers.

    Args:
        display: where to.
        answers: gives the strings.
    """

    def __init__(self, display: RoundsDisplay, answers: Callable[[], Sequence[str]]) -> None:
        self._display = display
        self._answers = answers

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Validation is over by now, and of the same weights."""
        loss = float(trainer.callback_metrics.get("valid_loss", math.nan))
        self._display.say(f"epoch {trainer.current_epoch + 1:>3}  loss {loss:.4f}  {'  '.join(self._answers())}")
