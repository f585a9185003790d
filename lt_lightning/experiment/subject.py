"""Build the LightningModule and the data of a run, and describe them for `run.json` and the screen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytorch_lightning as pl
import torch
from lightning_fabric.plugins.environments.cluster_environment import ClusterEnvironment
from pytorch_lightning.utilities.model_helpers import is_overridden
from torch import Tensor, nn

from lt_lightning.config.enums import Splitter
from lt_lightning.config.metric_names import parse_name
from lt_lightning.config.schema import Config
from lt_lightning.config.sources import CustomData
from lt_lightning.data.batches import count_measured
from lt_lightning.data.corpus import Corpus
from lt_lightning.data.module import TextDataModule
from lt_lightning.data.own_corpus import OwnCorpus
from lt_lightning.data.own_module import OwnData
from lt_lightning.data.pair_module import PairDataModule
from lt_lightning.data.sources.pairs import PairCorpus
from lt_lightning.data.tokenizer import SPECIAL_WORDS
from lt_lightning.experiment.resume.compare import without_resume
from lt_lightning.experiment.trainer import make_trainer
from lt_lightning.models.build import build_learner, build_own
from lt_lightning.models.tasks import DataModule, OwnTask, RunTask
from lt_lightning.runs.description import Description, describe_run
from lt_lightning.runs.metrics import Baseline
from lt_lightning.runs.notes import partial_note, transfer_line
from lt_lightning.runs.recorded import Origin
from lt_lightning.runs.tasks import CLASSIFICATION, OWN


@dataclass(frozen=True)
class Subject:
    """A LightningModule and its data."""

    module: pl.LightningModule
    network: nn.Module  # its part that is pruned and kept in tickets
    submodule: str  # the name of that part; empty for the whole module
    task: RunTask
    data: DataModule
    judged: tuple[str, str] | None = None  # a logged name, and `max` or `min`; None for the task's

    @property
    def confusion(self) -> Tensor | None:
        """Return the last test's targets by class (rows) and predicted class (columns); None if not counted."""
        return None if self.judged is not None else getattr(self.module, "confusion", None)

    @property
    def has_test(self) -> bool:
        """Return whether there is a test part to measure."""
        return self.judged is None or (
            is_overridden("test_step", self.module) and is_overridden("test_dataloader", self.data.loaders)
        )


def build_subject(config: Config, data: DataModule) -> Subject:
    """Build the LightningModule of the settings on some data; torch's generators must be seeded.

    Raises:
        SettingError: a class cannot be built, or the model does not fit the data.
    """
    if isinstance(data, OwnData):
        assert config.metric is not None
        module = build_own(config.model, pl.LightningModule)
        mode = config.metric_mode or parse_name(config.metric).mode or "max"
        return Subject(module, module, "", OwnTask(), data, (config.metric, mode))
    learner = build_learner(
        config.model,
        config.embedding,
        config.optimizer,
        words=len(data.words),
        classes=len(data.corpus.class_names),
        vectors=data.vectors,
        scheduler=config.scheduler,
        metrics=config.metrics,
    )
    return Subject(learner, learner.network, "network", learner.task, data)


def load_data(config: Config, corpus: Corpus | PairCorpus | OwnCorpus) -> DataModule:
    """Return the DataModule of a corpus.

    Raises:
        SettingError: the corpus is too small to split, the vectors cannot be loaded, or the class cannot be built.
    """
    if isinstance(corpus, OwnCorpus):
        assert isinstance(config.data, CustomData)
        pl.seed_everything(config.seed, verbose=False)
        return OwnData(build_own(config.data, pl.LightningDataModule), corpus, config.seed)
    if isinstance(corpus, PairCorpus):
        return PairDataModule(corpus, config.data, config.seed)
    return TextDataModule(corpus, config.data, config.embedding, config.seed)


def describe(
    config: Config,
    subject: Subject,
    command: Sequence[str],
    run: Path,
    environment: ClusterEnvironment,
    origin: Origin | None,
) -> Description:
    """Return the description of a run that starts now."""
    trainer = make_trainer(config.trainer, [], run, environment)  # resolves `auto` on this machine
    root = trainer.strategy.root_device
    device = torch.cuda.get_device_name(root) if root.type == "cuda" else f"{root} ({torch.get_num_threads()} threads)"
    task, network = subject.task, subject.network
    baseline = task.baseline(subject.data)
    return describe_run(
        config,
        subject.data,
        without_resume(command),
        task=task.name,
        network=getattr(network, "title", type(network).__name__),
        class_names=task.class_names(subject.data),
        baseline=baseline and Baseline(*baseline),
        parameters=sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad),
        device=device,
        processes=trainer.world_size,
        measured=measured_rows(config, subject.data, trainer),
        origin=origin,
    )


def measured_rows(config: Config, data: DataModule, trainer: pl.Trainer) -> dict[str, int]:
    """Return the number of rows of the validation and the test part that a Trainer measures, if known."""
    batch_size = getattr(config.data, "batch_size", None)
    if batch_size is None:
        return {}
    return {
        part: count_measured(data.rows[part], batch_size, trainer.world_size, limit or 1.0)
        for part, limit in (("valid", trainer.limit_val_batches), ("test", trainer.limit_test_batches))
    }


def summarize(config: Config, data: DataModule, description: Description) -> str:
    """Return lines on the data, the network and the rounds to come."""
    pruning = config.pruning
    rounds = f"{pruning.rounds} round{'' if pruning.rounds == 1 else 's'} of pruning by {pruning.amount:g}"
    baseline = description.shown_baseline
    lines = [
        f"{data.corpus.name}: {_size(config, data, description)}",
        *data.corpus.notes,
        f"{description.network}: {description.parameters:,} parameters; {rounds}, rewind {pruning.rewind}, "
        f"seed {config.seed}",
        transfer_line(description.ticket),
        f"to be beaten: {baseline.name}, {baseline.value:.4f} {description.metric_for().name}" if baseline else "",
        partial_note(description),
    ]
    return "\n".join(filter(None, lines))


def _size(config: Config, data: DataModule, description: Description) -> str:
    """Return the number of rows, classes and words, if known."""
    rows = ", ".join(f"{count:,} {part}" for part, count in data.rows.items())
    parts = [f"{rows} rows" if rows else data.corpus.source]
    if description.task in (CLASSIFICATION, OWN) and data.corpus.class_names:
        parts.append(f"{len(data.corpus.class_names)} classes")
    if data.words:
        letters = getattr(config.data, "tokenizer", None) is Splitter.letters
        known = set(data.words) - set(SPECIAL_WORDS) if letters else data.words
        share = data.words_found and data.words_found / len(data.words)
        found = "" if share is None else f" ({share:.1%} with a {config.embedding.name} vector)"
        parts.append(f"{len(known):,} {'letters' if letters else 'words'}{found}")
    return ", ".join(parts)
