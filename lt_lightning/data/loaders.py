"""Loaders: the rows of a part as batches of similar lengths, each process its share, on its device if they fit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar, runtime_checkable

import torch
from jaxtyping import Int64
from torch import Tensor
from torch.utils.data import DataLoader

from lt_lightning.data.batches import LengthBuckets, Share

if TYPE_CHECKING:
    import pytorch_lightning as pl

    from lt_lightning.config.sources import DataConfig

Looked = TypeVar("Looked", covariant=True)

MOST_OF_FREE = 0.25
"""A part of a corpus is put on a device if it takes no more than this share of what is free there: the network, its
optimizer and its gradients need the rest."""


@runtime_checkable
class Rows(Protocol[Looked]):
    """What is looked up a batch at a time, by a `Share` of the rows."""

    @property
    def lengths(self) -> Int64[Tensor, " rows"]:
        """Of each row, to have those of similar lengths together; on the CPU."""
        ...

    @property
    def nbytes(self) -> int:
        """How much memory they take on a device."""
        ...

    def to(self, device: torch.device) -> Rows[Looked]:
        """The same rows on a device; so are the batches that are looked up."""
        ...

    def __getitem__(self, share: Share) -> Looked: ...
    def __len__(self) -> int: ...


def load_batches(
    rows: Rows[Looked],
    data: DataConfig,
    trainer: pl.Trainer | None,
    shuffle: tuple[int, int] | None,
    epoch: int = 0,
) -> DataLoader[Looked]:
    """Hand out rows batch by batch.

    Args:
        rows: all rows of a part, on the CPU.
        data: the `data` group; says how large batches are, and how many processes make them.
        trainer: knows how many processes share the rows, which of them this is, and on which device it trains; None for
            a single one, on the CPU.
        shuffle: `(seed, round)` to shuffle by; None for a fixed order.
        epoch: the first epoch that is shuffled; Lightning says when the next begins, but not soon enough for loaders
            that work ahead.
    """
    sampler = LengthBuckets(
        rows.lengths,
        data.batch_size,
        shuffle=shuffle,
        processes=trainer.world_size if trainer else 1,
        rank=trainer.global_rank if trainer else 0,
    )
    sampler.set_epoch(epoch)
    workers = data.num_workers
    if trainer is not None and fits(rows.nbytes, trainer.strategy.root_device):
        # Batches are looked up where they are needed. No other process could do it, nor has it anything to do.
        rows, workers = rows.to(trainer.strategy.root_device), 0
    # The sampler gives whole batches (batch_size=None): a batch is one look-up in memory, not one a row.
    return DataLoader(rows, sampler=sampler, batch_size=None, num_workers=workers, collate_fn=_as_it_is)  # pyright: ignore[reportArgumentType]


def fits(nbytes: int, device: torch.device) -> bool:
    """Whether a part of a corpus is small enough to stay on a device; the CPU's memory is where it is already."""
    return device.type == "cuda" and nbytes <= MOST_OF_FREE * torch.cuda.mem_get_info(device)[0]


def _as_it_is(batch: Looked) -> Looked:  # pyright: ignore[reportGeneralTypeIssues]
    """In place of a search through the batch for what may not be a tensor yet."""
    return batch
