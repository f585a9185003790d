"""A trained network's answers to some texts, for the record."""

from __future__ import annotations

import torch

from lt_lightning.config.models import CharLM, ModelChoice
from lt_lightning.data.tokenizer import SPECIAL_WORDS
from lt_lightning.errors import SettingError
from lt_lightning.experiment.subject import Subject
from lt_lightning.models.tasks import DataModule
from lt_lightning.runs.records import ExampleRecord


def check_prompt(model: ModelChoice, data: DataModule) -> None:
    """Check that a language model's prompt can be read.

    Raises:
        SettingError: if it holds a letter that the vocabulary does not.
    """
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
