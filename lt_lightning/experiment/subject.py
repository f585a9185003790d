"""Build the LightningModule and the data of a run, and describe them for `run.json` and the screen."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytorch_lightning as pl
from pytorch_lightning.utilities.model_helpers import is_overridden
from torch import Tensor, nn

from lt_lightning.config.metric_names import parse_name
from lt_lightning.config.schema import Config
from lt_lightning.config.sources import CustomData
from lt_lightning.data.corpus import Corpus
from lt_lightning.data.module import TextDataModule
from lt_lightning.data.own_corpus import OwnCorpus
from lt_lightning.data.own_module import OwnData
from lt_lightning.data.pair_module import PairDataModule
from lt_lightning.data.sources.pairs import PairCorpus
from lt_lightning.errors import SettingError
from lt_lightning.experiment.own_encoder import find_own_encoder
from lt_lightning.models.build import build_learner, build_own
from lt_lightning.models.tasks import DataModule, OwnTask, RunTask


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
    def tokenizer(self) -> str:
        """Return the tokenizer of the data, as JSON; empty if there is none."""
        return "" if self.data.tokenizer is None else self.data.tokenizer.to_str()

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
        for name, one in (("validation_step", module), ("val_dataloader", data.loaders)):
            if not is_overridden(name, one):
                raise SettingError(
                    f"metric: {type(one).__name__} has no {name}, which would log {config.metric}; write one"
                )
        mode = config.metric_mode or parse_name(config.metric).mode or "max"
        return Subject(module, module, "", OwnTask(), data, (config.metric, mode))
    learner = build_learner(
        config.model,
        config.embedding,
        config.optimizer,
        words=len(data.words),
        classes=len(data.corpus.class_names),
        vectors=data.vectors,
        encoder=getattr(data, "encoder", None),
        max_length=getattr(data, "max_length", None),
        scheduler=config.scheduler,
        metrics=config.metrics,
        class_names=data.corpus.class_names,
    )
    return Subject(learner, learner.network, "network", learner.task, data)


def load_data(config: Config, corpus: Corpus | PairCorpus | OwnCorpus, run: Path = Path("outputs")) -> DataModule:
    """Return the DataModule of a corpus.

    Args:
        config: the settings.
        corpus: the data.
        run: the run directory, which keeps files of the run's encoder once it has begun.

    Raises:
        SettingError: the corpus is too small to split, the vectors or the files of the encoder cannot be loaded, or the
            class cannot be built.
    """
    if isinstance(corpus, OwnCorpus):
        assert isinstance(config.data, CustomData)
        pl.seed_everything(config.seed, verbose=False)
        return OwnData(build_own(config.data, pl.LightningDataModule), corpus, config.order_seed)
    if isinstance(corpus, PairCorpus):
        return PairDataModule(corpus, config.data, config.order_seed)
    encoder = find_own_encoder(config, run)
    return TextDataModule(corpus, config.data, config.embedding, config.seed, config.order_seed, encoder)
