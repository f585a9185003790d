"""Fine-tune the same encoder by this project's training and by transformers' own Trainer.

A peer takes the common start and either equal batches or None, for an epoch of its own batches, and returns its times.
Each fit has its own copy of the weights.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from types import MappingProxyType
from typing import Any, cast

import pytorch_lightning as pl
import torch
import transformers
from torch.utils.data import DataLoader

from benchmarks.step import Loader
from lt_lightning.callbacks import PruningCallback
from lt_lightning.config.encoders import Encoder
from lt_lightning.config.optimizers import AdamW
from lt_lightning.config.schema import Config
from lt_lightning.data.batches import Batch, Share
from lt_lightning.data.module import TextDataModule
from lt_lightning.data.sources.encoders import EncoderFiles
from lt_lightning.errors import SettingError
from lt_lightning.experiment.trainer import make_trainer
from lt_lightning.lottery import Freezer, Mask
from lt_lightning.lottery.selection import prunable_parameters
from lt_lightning.models.build import build_learner
from lt_lightning.models.encoder import EncoderClassifier
from lt_lightning.models.learner import Learner

OURS, PRUNED, THEIRS = "ours", "ours, pruned", "transformers' Trainer"

MATRICES, NO_MATRICES = ("encoder.encoder.layer.*.weight",), ("*LayerNorm*",)
"""Patterns of the parameters that are pruned, the matrices of the encoder as in Chen et al. 2020, and of exceptions."""


@dataclass(frozen=True)
class Start:
    """The common start of all peers.

    Attributes:
        config: the settings.
        data: the texts.
        files: the files of the encoder.
        learner: the module with its first weights.
        density: the share of the matrices that is alive in the pruned round.
    """

    config: Config
    data: TextDataModule
    files: EncoderFiles
    learner: Learner
    density: float


@dataclass(frozen=True)
class Fitted:
    """A fit.

    Attributes:
        weights: the trained weights, by the names of our network.
        steps: the seconds of each step, the loading of its successor's batch included.
        seconds: the seconds of the epoch.
        beginning: the seconds in which pruning began the round.
        pruning: the seconds in all that pruning and freezing took; None without pruning.
    """

    weights: dict[str, torch.Tensor]
    steps: list[float]
    seconds: float
    beginning: float = 0.0
    pruning: float | None = None


Peer = Callable[[Start, Sequence[Batch] | None], Fitted]


def begin(config: Config, data: TextDataModule, density: float) -> Start:
    """Build the module with its first weights.

    Raises:
        SettingError: transformers' own classifier of such an encoder is not a pooler with a linear layer on top.
    """
    assert isinstance(config.model, Encoder) and data.encoder is not None
    if data.encoder.kind != "bert":
        raise SettingError(f"--encoder: {data.encoder.name} is of {data.encoder.kind}; give the folder of a BERT")
    torch.manual_seed(config.seed)
    learner = build_learner(
        config.model, None, config.optimizer, words=len(data.words), classes=len(data.corpus.class_names),
        encoder=data.encoder, max_length=data.max_length, scheduler=config.scheduler,
    )  # fmt: skip
    return Start(config, data, data.encoder, learner, density)


def ours(start: Start, batches: Sequence[Batch] | None) -> Fitted:
    """Train the whole network: round 0."""
    pruning = PruningCallback(include=MATRICES, exclude=NO_MATRICES, submodule="network")
    return _fit(start, batches, pruning)


def pruned(start: Start, batches: Sequence[Batch] | None) -> Fitted:
    """Prune, rewind and train again: round 1."""
    pruning = PruningCallback(
        amount=1 - start.density, scope="global", include=MATRICES, exclude=NO_MATRICES, submodule="network"
    )
    network = start.learner.network
    first = {name: value.clone() for name, value in network.state_dict().items()}
    mask = Mask.ones(prunable_parameters(network, MATRICES, NO_MATRICES))
    pruning.load_state_dict({"round": 0, "training": False, "mask": dict(mask), "rewind_weights": first})
    watch = Stopwatch()
    with watch.following(pruning):
        return _fit(start, batches, pruning, watch)


def _fit(
    start: Start, batches: Sequence[Batch] | None, pruning: PruningCallback, watch: Stopwatch | None = None
) -> Fitted:
    learner, clock = copy.deepcopy(start.learner), _OurClock(watch)
    loader = start.data.train_dataloader() if batches is None else Loader(iter(batches), len(batches))
    with TemporaryDirectory() as folder:
        make_trainer(start.config.trainer, [pruning, clock], Path(folder)).fit(learner, loader)
    pruning_seconds = None if watch is None else watch.seconds
    return Fitted(learner.network.state_dict(), clock.steps, clock.seconds, clock.beginning, pruning_seconds)


def theirs(start: Start, batches: Sequence[Batch] | None) -> Fitted:
    """Train transformers' own classifier by its Trainer, with its own collator, on rows in random order."""
    config, network = start.config, start.learner.network
    assert isinstance(config.optimizer, AdamW) and isinstance(network, EncoderClassifier)
    settings = copy.deepcopy(network.encoder.config)
    settings.num_labels, settings.classifier_dropout = network.head.out_features, config.model.dropout  # pyright: ignore
    model = transformers.AutoModelForSequenceClassification.from_config(settings, dtype=torch.float32)
    model.base_model.load_state_dict(network.encoder.state_dict())
    model.classifier.load_state_dict(network.head.state_dict())
    clock = _TheirClock()
    with TemporaryDirectory() as folder:
        arguments = transformers.TrainingArguments(
            output_dir=folder, num_train_epochs=1, per_device_train_batch_size=config.data.batch_size,
            learning_rate=config.optimizer.lr, weight_decay=config.optimizer.weight_decay,
            adam_beta1=config.optimizer.betas[0], adam_beta2=config.optimizer.betas[1],
            adam_epsilon=config.optimizer.eps, lr_scheduler_type="linear",
            optim="adamw_torch_fused", max_grad_norm=1.0, use_cpu=True, dataloader_pin_memory=False,
            remove_unused_columns=False, save_strategy="no", logging_strategy="no", report_to="none",
            disable_tqdm=True, seed=config.seed,
        )  # fmt: skip
        if batches is None:
            rows = cast("Any", _rows(start.data))
            trainer = transformers.Trainer(model, arguments, _collator(start), rows, callbacks=[clock])
        else:
            rows = cast("Any", [*map(_as_theirs, batches)])
            trainer = _TrainerOfBatches(model, arguments, None, rows, callbacks=[clock])
        trainer.remove_callback(transformers.PrinterCallback)
        trainer.train()
    head = {f"head.{name}": value for name, value in model.classifier.state_dict().items()}
    weights = {f"encoder.{name}": value for name, value in model.base_model.state_dict().items()}
    return Fitted(weights | head, clock.steps, clock.seconds)


PEERS: Mapping[str, Peer] = MappingProxyType({OURS: ours, PRUNED: pruned, THEIRS: theirs})
"""All peers by name."""


class _TrainerOfBatches(transformers.Trainer):
    """A Trainer whose dataset is a list of padded batches."""

    def get_train_dataloader(self) -> DataLoader[Any]:
        """Return the batches in their order."""
        return DataLoader(self.train_dataset, batch_size=None)  # pyright: ignore[reportArgumentType]


def _as_theirs(batch: Batch) -> dict[str, torch.Tensor]:
    real = torch.arange(batch.ids.shape[1]) < batch.lengths[:, None]
    return {"input_ids": batch.ids, "attention_mask": real.long(), "labels": batch.labels}


def _rows(data: TextDataModule) -> Any:
    """Return the rows of an epoch as a list, as their Trainer takes them."""
    part = data.part("train")
    ones = [part[Share(torch.tensor([row]), 1, 0)] for row in range(len(part))]
    return [{"input_ids": one.ids[0].tolist(), "labels": int(one.labels)} for one in ones]


def _collator(start: Start) -> Any:
    """Return the collator that pads to the longest row of a batch."""
    tokenizer = start.data.tokenizer
    padding = tokenizer.id_to_token(start.files.padding)
    return transformers.DataCollatorWithPadding(
        transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token=padding)
    )


class _Clock:
    """When an epoch and its steps begin."""

    def __init__(self) -> None:
        self.began, self.times = 0.0, [0.0][:0]

    @property
    def steps(self) -> list[float]:
        """Return the seconds of each step."""
        return [end - begin for begin, end in zip(self.times, self.times[1:], strict=False)]

    @property
    def seconds(self) -> float:
        """Return the seconds of the epoch."""
        return self.times[-1] - self.began


class _OurClock(_Clock, pl.Callback):
    """Note the times in Lightning's Trainer, and what `watch` has measured when the epoch begins."""

    def __init__(self, watch: Stopwatch | None) -> None:
        super().__init__()
        self._watch, self.beginning = watch, 0.0

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Begin the epoch."""
        self.beginning = 0.0 if self._watch is None else self._watch.seconds
        self.began = perf_counter()

    def on_train_batch_start(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, *arguments: Any
    ) -> None:
        """Begin a step."""
        self.times.append(perf_counter())

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """End the epoch."""
        self.times.append(perf_counter())


class _TheirClock(_Clock, transformers.TrainerCallback):
    """Note the times in transformers' Trainer."""

    def on_epoch_begin(self, *arguments: Any, **named: Any) -> None:
        """Begin the epoch."""
        self.began = perf_counter()

    def on_step_begin(self, *arguments: Any, **named: Any) -> None:
        """Begin a step."""
        self.times.append(perf_counter())

    def on_epoch_end(self, *arguments: Any, **named: Any) -> None:
        """End the epoch."""
        self.times.append(perf_counter())


class Stopwatch:
    """Add up the time in functions, once where they call each other.

    Attributes:
        seconds: the time so far.
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        self._depth = 0

    def timed(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return the same function, timed."""

        @wraps(function)
        def call(*arguments: Any, **named: Any) -> Any:
            began = perf_counter()
            self._depth += 1
            try:
                return function(*arguments, **named)
            finally:
                self._depth -= 1
                if not self._depth:
                    self.seconds += perf_counter() - began

        return call

    @contextmanager
    def following(self, pruning: PruningCallback) -> Iterator[None]:
        """Time the hooks of a callback, and the freezing in the hooks of optimizers."""
        for name in dir(pl.Callback):
            if name in ("setup", "teardown") or name.startswith("on_"):
                setattr(pruning, name, self.timed(getattr(pruning, name)))
        own = {name: getattr(Freezer, name) for name in ("freeze_gradients", "freeze_weights")}
        try:
            for name, method in own.items():
                setattr(Freezer, name, self.timed(method))
            yield
        finally:
            for name, method in own.items():
                setattr(Freezer, name, method)
