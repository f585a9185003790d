"""Show a trained network's answers to some texts: in the records, and for letter models after each epoch."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import Checkpoint

from lt_lightning.callbacks.hooks import only_its_own_hooks
from lt_lightning.config.models import CharLM, ModelChoice
from lt_lightning.data.tokenizer import SPECIAL_WORDS
from lt_lightning.errors import SettingError
from lt_lightning.experiment.measuring import History
from lt_lightning.experiment.progress import FitDisplay
from lt_lightning.experiment.subject import Subject
from lt_lightning.models.tasks import DataModule
from lt_lightning.runs.formatting import loss
from lt_lightning.runs.records import ExampleRecord


def check_prompt(model: ModelChoice, data: DataModule) -> None:
    """Raise a `SettingError` if a language model's prompt has a letter that the vocabulary lacks."""
    if not isinstance(model, CharLM) or not model.prompt:
        return
    known = set(data.words[len(SPECIAL_WORDS) :])
    if unknown := [letter for letter in model.prompt if letter not in known]:
        raise SettingError(
            f"model.prompt: {unknown[0]!r} in {model.prompt!r} is not among the {len(known)} letters that the network "
            "knows (the data.max_vocab most frequent); give another prompt, or none: model.prompt=null"
        )


@torch.no_grad()
def show_examples(subject: Subject, model: ModelChoice, seed: int, round: int) -> list[ExampleRecord]:
    """Return the trained network's answers to some texts in a round; see `Task.examples`."""
    module = subject.module
    training = module.training
    module.eval()
    try:
        examples = subject.task.examples(subject.network, subject.data, model, seed)
        return [ExampleRecord(round, *one) for one in examples]
    finally:
        module.train(training)


@only_its_own_hooks
class SpellingCallback(Checkpoint):
    """Print a line per epoch: the validation loss and the network's answers.

    Put it after `history`, which holds the loss: both are Checkpoints, and run after the module's own hooks.
    """

    def __init__(self, display: FitDisplay, history: History, examples: Callable[[], Sequence[ExampleRecord]]) -> None:
        self._display = display
        self._history = history
        self._examples = examples

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Print the line; validation of this epoch has already run."""
        epoch = self._history.epochs[-1]
        answers = "  ".join(one.answer for one in self._examples())
        self._display.say(f"epoch {epoch.epoch:>3}  loss {loss(epoch.valid_loss)}  {answers}")
