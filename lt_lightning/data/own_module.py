"""Wrap a LightningDataModule of the user's own: its facts for the records, and shuffling that survives resuming."""

from __future__ import annotations

import functools
import os
from collections.abc import Sequence
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities import CombinedLoader
from torch.utils.data import DataLoader

from lt_lightning.data.own_corpus import OwnCorpus
from lt_lightning.lottery import derive_seed


class OwnData:
    """The facts about a LightningDataModule that a run records, and seeds for its training loaders.

    A loader's shuffling depends on `order_seed`, round and epoch alone, so that a resumed round gives the same batches:
    global generators and those of the loaders are seeded before each epoch's first batch is drawn.

    Args:
        module: the LightningDataModule. Its attributes `rows` (part to number), `class_names` and `words` are recorded,
            if it has them.
        corpus: its description.
        order_seed: the seed of the order of batches.

    Attributes:
        loaders: the LightningDataModule.
        round: the round that the training loader shuffles for; set it before each fit.
        epoch: the first epoch of the next fit; not 0 in a resumed round, whose Trainer counts on only later.
        repeats: whether all rounds and epochs train the same batches.
        order_seed: the seed of the order of batches.
    """

    words: Sequence[str] = ()
    words_found = None
    vectors = None
    tokenizer = None

    def __init__(self, module: pl.LightningDataModule, corpus: OwnCorpus, order_seed: int) -> None:
        self.loaders = module
        class_names = _strings(getattr(module, "class_names", None))
        self.corpus = OwnCorpus(corpus.name, corpus.source, corpus.fingerprints, class_names)
        self.round = self.epoch = 0
        self.repeats = False
        self.order_seed = order_seed
        self._generators: list[torch.Generator] = []
        self._seeded: tuple[int, int] | None = None
        make = module.train_dataloader

        @functools.wraps(make)
        def seeded() -> Any:
            loaders = make()
            flat = CombinedLoader(loaders).flattened
            self._generators = [_own_generator(one) for one in flat if isinstance(one, DataLoader)]
            reloads = 0 if module.trainer is None else module.trainer.current_epoch
            self._seed_all(max(self.epoch, reloads))
            return loaders

        module.train_dataloader = seeded  # pyright: ignore[reportAttributeAccessIssue]

    @property
    def rows(self) -> dict[str, int]:
        """Return the number of rows of each part that the module states."""
        rows = getattr(self.loaders, "rows", None)  # a user's attribute of this name may be anything
        return {str(part): size for part, size in rows.items() if type(size) is int} if isinstance(rows, dict) else {}

    def seed_epoch(self, epoch: int) -> None:
        """Seed the generators that draw the batches of an epoch."""
        self._seed_all(epoch, loaders=self._seeded != (self.round, epoch))

    def _seed_all(self, epoch: int, *, loaders: bool = True) -> None:
        # The first epoch's loader has drawn a number by the time that the epoch starts: its own generator goes on.
        at = (0, 0) if self.repeats else (self.round, epoch)
        seed = derive_seed(self.order_seed, "round", at[0], "batches", at[1])
        pl.seed_everything(seed, verbose=False)
        # Lightning's DistributedSampler takes it for all epochs, and it must be the same in every process.
        os.environ["PL_GLOBAL_SEED"] = str(derive_seed(self.order_seed, "round", at[0], "sampler"))
        for generator in self._generators if loaders else ():
            generator.manual_seed(seed)
        self._seeded = (self.round, epoch)


class BatchSeeds(pl.Callback):
    """Seed the batches of each epoch; see `OwnData`."""

    def __init__(self, data: OwnData) -> None:
        self._data = data

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Seed before the epoch's first batch."""
        self._data.seed_epoch(trainer.current_epoch)


def _strings(found: Any) -> tuple[str, ...]:
    """Return the names in a list, a tuple or an array; none in anything else."""
    found = found.tolist() if hasattr(found, "tolist") else found
    return tuple(map(str, found)) if isinstance(found, (list, tuple)) else ()


def _own_generator(loader: DataLoader[Any]) -> torch.Generator:
    """Return the generator of a loader; a new one for a loader that draws from the global generator."""
    if loader.generator is None:
        loader.generator = torch.Generator()
    return loader.generator
