"""What a trained network answers, as strings that people can read, and what it has to be better than."""

from __future__ import annotations

from typing import Any

import torch

from lt_lightning.config.models import CharLM, ModelChoice
from lt_lightning.data.batches import Share
from lt_lightning.data.module import TextDataModule
from lt_lightning.data.pair_module import PairDataModule
from lt_lightning.data.tokenizer import PADDING, SPECIAL_WORDS
from lt_lightning.errors import SettingError
from lt_lightning.lottery import derive_seed
from lt_lightning.models.learner import Learner
from lt_lightning.models.ngram import fit_ngram
from lt_lightning.models.rnn.seq2seq import EncoderDecoder
from lt_lightning.models.rnn.tagger import Tagger
from lt_lightning.models.sampling import sample_letters
from lt_lightning.models.tasks import LanguageModel, SequenceToSequence
from lt_lightning.runs.records import ExampleRecord

DataModule = TextDataModule | PairDataModule
"""What hands out batches, and knows the words or letters in them."""

MOST = 8
"""So many examples are kept of a round."""


def target_names(learner: Learner, data: DataModule) -> list[str]:
    """What the classes that a network tells apart are called: classes of texts, or letters."""
    if isinstance(learner.task, LanguageModel):
        unknown, end = "other letter", "end of text"
        return [unknown, end, *data.words[len(SPECIAL_WORDS) :]]
    names = list(data.corpus.class_names)
    return [*names, "end of string"] if isinstance(learner.task, SequenceToSequence) else names


def find_baseline(learner: Learner, data: DataModule) -> dict[str, Any] | None:
    """What a simple model reaches on the test split, in the unit of the task's metric; None where there is none.

    For a language model an n-gram of order 2 with back-off, fitted on the same training part.
    """
    if not isinstance(learner.task, LanguageModel):
        return None
    assert isinstance(data, TextDataModule)
    train, test = data.texts["train"], data.texts["test"]
    model = fit_ngram(train.ids, train.offsets, symbols=len(data.words), boundary=PADDING, order=2)
    return {"name": "order-2 n-gram with back-off", "value": model.bits(test.ids, test.offsets)}


def check_prompt(model: ModelChoice, data: DataModule) -> None:
    """See that a language model's prompt can be read.

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
def show_examples(learner: Learner, data: DataModule, model: ModelChoice, seed: int, round: int) -> list[ExampleRecord]:
    """What the network answers to a few strings of the test part, or makes up after the prompt.

    Args:
        learner: the trained network.
        data: what it was trained with.
        model: the `model` group, for the language model's sample.
        seed: the run's seed.
        round: the round.

    Returns:
        At most `MOST`; none for classifiers.
    """
    training = learner.training
    learner.eval()
    try:
        if isinstance(learner.task, LanguageModel):
            return [_sample(learner, data, model, seed, round)]
        return _answers(learner, data, round) if isinstance(data, PairDataModule) else []
    finally:
        learner.train(training)


def _sample(learner: Learner, data: DataModule, model: ModelChoice, seed: int, round: int) -> ExampleRecord:
    assert isinstance(learner.network, Tagger) and isinstance(model, CharLM)
    prompt = model.prompt or ""
    ids = {letter: number for number, letter in enumerate(data.words)}
    drawn = sample_letters(
        learner.network, [ids[letter] for letter in prompt], model.sample_length, model.temperature,
        derive_seed(seed, "sample"),
    )  # fmt: skip
    return ExampleRecord(round, prompt, "", "".join(data.words[letter] for letter in drawn))


def _answers(learner: Learner, data: PairDataModule, round: int) -> list[ExampleRecord]:
    """What the network answers to some pairs of the test part, evenly spread over it."""
    pairs = data.corpus.splits["test"]
    rows = torch.linspace(0, len(pairs) - 1, min(MOST, len(pairs))).round().long()
    batch = data.pairs["test"][Share(rows, len(rows), int(data.pairs["test"].lengths[rows].sum()))]
    batch = learner.transfer_batch_to_device(batch, learner.device, 0)
    if isinstance(learner.network, EncoderDecoder):
        # It ends its strings itself, and may go on for too long.
        steps = 2 * batch.targets.shape[1] + 1
        ids = learner.network.greedy(batch.sources, batch.source_lengths, steps).tolist()
    else:
        logits = learner.network(batch.sources, batch.source_lengths)
        lengths = batch.source_lengths.tolist()
        ids = [row[:length] for row, length in zip(logits.argmax(dim=2).tolist(), lengths, strict=True)]
    letters = [*data.words, ""]  # the end of a string is no letter
    written = ["".join(letters[letter] for letter in row) for row in ids]
    return [
        ExampleRecord(round, given=pairs[number][0], expected=pairs[number][1], answer=answer)
        for number, answer in zip(rows.tolist(), written, strict=True)
    ]
