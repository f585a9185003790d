"""Make DataLoaders that give each process its share of each batch, on its device if the rows fit there,
and the DataModule that makes them for every round.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, TypeVar, runtime_checkable

import pytorch_lightning as pl
import torch
from jaxtyping import Float, Int64
from tokenizers import Tokenizer
from torch import Tensor
from torch.utils.data import DataLoader

from lt_lightning.data.batches import LengthBuckets, Share

if TYPE_CHECKING:
    from pytorch_lightning import Trainer

    from lt_lightning.config.sources import DataConfig

Looked = TypeVar("Looked", covariant=True)

MOST_OF_FREE = 0.25
"""The largest fraction of a device's free memory that a part of a corpus may take; the network needs the rest."""


@runtime_checkable
class Rows(Protocol[Looked]):
    """Rows that are looked up a batch at a time, by a `Share`."""

    @property
    def lengths(self) -> Int64[Tensor, " rows"]:
        """Return the length of each row, on the CPU."""
        ...

    @property
    def nbytes(self) -> int:
        """Return the memory that they take on a device, in bytes."""
        ...

    def to(self, device: torch.device) -> Rows[Looked]:
        """Return the same rows on a device."""
        ...

    def __getitem__(self, share: Share) -> Looked: ...
    def __len__(self) -> int: ...


def load_batches(
    rows: Rows[Looked],
    data: DataConfig,
    trainer: Trainer | None,
    shuffle: tuple[int, int] | None,
    epoch: int = 0,
    *,
    repeats: bool = False,
) -> DataLoader[Looked]:
    """Return a DataLoader of batches of rows.

    Args:
        rows: all rows of a part, on the CPU.
        data: the `data` group; `batch_size` and `num_workers` are used.
        trainer: gives the number of processes, the rank and the device; None for a single process on the CPU.
        shuffle: `(seed, round)`; None for a fixed order.
        epoch: the first epoch; Lightning sets later ones, but too late for loaders that prefetch.
        repeats: whether every epoch has the batches of the first.
    """
    sampler = LengthBuckets(
        rows.lengths,
        data.batch_size,
        shuffle=shuffle,
        repeats=repeats,
        processes=trainer.world_size if trainer else 1,
        rank=trainer.global_rank if trainer else 0,
    )
    sampler.set_epoch(epoch)
    workers = data.num_workers
    if trainer is not None and fits(rows.nbytes, trainer.strategy.root_device):
        # Batches are made on the device, which worker processes cannot do.
        rows, workers = rows.to(trainer.strategy.root_device), 0
    # The sampler yields whole batches (batch_size=None): one look-up per batch.
    return DataLoader(rows, sampler=sampler, batch_size=None, num_workers=workers, collate_fn=_as_it_is)  # pyright: ignore[reportArgumentType]


class RoundData(pl.LightningDataModule):
    """Encoded rows, and their loaders for every round.

    Attributes:
        tokenizer: the tokenizer.
        words: the vocabulary, in the order of the ids.
        vectors: pre-trained word vectors, NaN for unknown words; None if embeddings start at random.
        words_found: the number of words with a vector, or None.
        round: the round that the training loader shuffles for; set it before each fit.
        epoch: the first epoch of the next fit; not 0 in a resumed round.
        repeats: whether all rounds and epochs train the same batches.
        order_seed: the seed of the training loader's shuffling.
    """

    tokenizer: Tokenizer
    words: list[str]
    vectors: Float[Tensor, "words dim"] | None = None
    words_found: int | None = None

    def __init__(self, data: DataConfig, order_seed: int) -> None:
        super().__init__()
        self._config = data
        self.order_seed = order_seed
        self.round = self.epoch = 0
        self.repeats = False

    @property
    def loaders(self) -> pl.LightningDataModule:
        """Return the LightningDataModule for a Trainer."""
        return self

    def part(self, name: str) -> Rows[Any]:
        """Return the rows of a part: `train`, `valid` or `test`."""
        raise NotImplementedError

    def train_dataloader(self) -> DataLoader[Any]:
        """Return a loader of the training part, shuffled by `(order_seed, round, epoch)`."""
        shuffle = (self.order_seed, 0 if self.repeats else self.round)
        rows = self.part("train")
        return load_batches(rows, self._config, self.trainer, shuffle, self.epoch, repeats=self.repeats)

    def val_dataloader(self) -> DataLoader[Any]:
        """Return a loader of the validation part, in a fixed order."""
        return load_batches(self.part("valid"), self._config, self.trainer, None, self.epoch)

    def test_dataloader(self) -> DataLoader[Any]:
        """Return a loader of the test split, in a fixed order."""
        return load_batches(self.part("test"), self._config, self.trainer, None, self.epoch)


def fits(nbytes: int, device: torch.device) -> bool:
    """Return whether a part of a corpus is small enough to stay on a CUDA device."""
    return device.type == "cuda" and nbytes <= MOST_OF_FREE * torch.cuda.mem_get_info(device)[0]


def _as_it_is(batch: Looked) -> Looked:  # pyright: ignore[reportGeneralTypeIssues]
    """Return the batch: it holds tensors already, so that nothing needs collating."""
    return batch
