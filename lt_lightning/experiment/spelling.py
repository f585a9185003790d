"""What a network that answers letter by letter says after each epoch: a student can watch it learn to spell."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytorch_lightning as pl

from lt_lightning.callbacks.hooks import only_its_own_hooks
from lt_lightning.experiment.history import History
from lt_lightning.experiment.progress import RoundsDisplay
from lt_lightning.runs.terminal import loss


@only_its_own_hooks
class SpellingCallback(pl.Callback):
    """Prints a line an epoch: the validation loss, and the strings that the network then answers.

    Args:
        display: where to.
        history: knows the loss; it must be among the callbacks before this one.
        answers: gives the strings.
    """

    def __init__(self, display: RoundsDisplay, history: History, answers: Callable[[], Sequence[str]]) -> None:
        self._display = display
        self._history = history
        self._answers = answers

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Say both: validation, if this epoch had any, is over by now, and was of the same weights."""
        epoch = self._history.epochs[-1]
        self._display.say(f"epoch {epoch.epoch:>3}  loss {loss(epoch.valid_loss)}  {'  '.join(self._answers())}")
