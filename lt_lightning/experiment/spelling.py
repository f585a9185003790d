"""Print the strings that a letter model answers after each epoch."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Checkpoint

from lt_lightning.callbacks.hooks import only_its_own_hooks
from lt_lightning.experiment.history import History
from lt_lightning.experiment.progress import RoundsDisplay
from lt_lightning.runs.formatting import loss


@only_its_own_hooks
class SpellingCallback(Checkpoint):
    """Print a line per epoch: the validation loss and the network's answers.

    Args:
        display: prints the lines.
        history: holds the loss; put it before this callback, as both run after the module's own hooks.
        answers: returns the strings.
    """

    def __init__(self, display: RoundsDisplay, history: History, answers: Callable[[], Sequence[str]]) -> None:
        self._display = display
        self._history = history
        self._answers = answers

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Print the line; validation of this epoch has already run."""
        epoch = self._history.epochs[-1]
        self._display.say(f"epoch {epoch.epoch:>3}  loss {loss(epoch.valid_loss)}  {'  '.join(self._answers())}")
