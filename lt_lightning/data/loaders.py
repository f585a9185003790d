"""Loaders: the rows of a part as batches of similar lengths, each process its share of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from jaxtyping import Int64
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from lt_lightning.data.batches import LengthBuckets

if TYPE_CHECKING:
    import pytorch_lightning as pl

    from lt_lightning.config import DataConfig

Rows = TypeVar("Rows", covariant=True)


def load_batches(
    batched: Dataset[Rows],
    lengths: Int64[Tensor, " rows"],
    data: DataConfig,
    trainer: pl.Trainer | None,
    shuffle: tuple[int, int] | None,
    epoch: int = 0,
) -> DataLoader[Rows]:
    """Hand out rows batch by batch.

    Args:
        batched: what is looked up a batch at a time, by a `Share` of the rows.
        lengths: of each row, to have those of similar lengths together.
        data: the `data` group; says how large batches are.
        trainer: knows how many processes share the rows, and which of them this is; None for a single one.
        shuffle: `(seed, round)` to shuffle by; None for a fixed order.
        epoch: the first epoch that is shuffled; Lightning says when the next begins, but not soon enough for loaders
            that work ahead.
    """
    sampler = LengthBuckets(
        lengths,
        data.batch_size,
        shuffle=shuffle,
        processes=trainer.world_size if trainer else 1,
        rank=trainer.global_rank if trainer else 0,
    )
    sampler.set_epoch(epoch)
    # The sampler gives whole batches (batch_size=None): a batch is one look-up in memory, not one a row.
    return DataLoader(batched, sampler=sampler, batch_size=None, num_workers=data.num_workers)  # pyright: ignore[reportArgumentType]
