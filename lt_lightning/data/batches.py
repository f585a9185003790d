"""Batches of rows of similar lengths, the same in every run with the same seed.

A *global* batch is what all processes train on in one step. Its rows are dealt out among them, so that every row is
seen exactly once an epoch and one process sees what several would see together.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Int32, Int64
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from lt_lightning.data.encoding import EncodedTexts
from lt_lightning.data.tokenizer import PADDING
from lt_lightning.errors import SettingError
from lt_lightning.kernels import rows as kernels
from lt_lightning.lottery.seeds import derive_seed

POOL = 64
"""How many batches' worth of shuffled rows are sorted by length together: little padding, much chance."""


class Batch(NamedTuple):
    """What a network is given, and what it should answer.

    Attributes:
        ids: word ids, each row filled up with `<pad>` to the longest.
        lengths: the number of words in each row.
        labels: the class of each row.
        global_rows: the number of rows that all processes have in this step.
        global_words: the number of words in these rows; padding does not count.
    """

    ids: Int64[Tensor, "batch length"]
    lengths: Int64[Tensor, " batch"]
    labels: Int64[Tensor, " batch"]
    global_rows: int
    global_words: int


class Share(NamedTuple):
    """The rows of one global batch that one process takes, and how many rows and words there are in all."""

    rows: Int64[Tensor, " share"]
    global_rows: int
    global_words: int


Padded = tuple[Int64[Tensor, "share length"], Int64[Tensor, " share"]]
"""Ids of rows of one width, and how many each row has."""


class FlatRows(NamedTuple):
    """Rows of ids, one after another, on any device.

    Attributes:
        ids: all ids.
        offsets: row r is `ids[offsets[r]:offsets[r + 1]]`.
        lengths: the number of ids of each row, always on the CPU: how wide a batch is must be known without waiting for
            a device that is still at work on the last one.
    """

    ids: Int32[Tensor, " ids"]
    offsets: Int64[Tensor, " rows_and_1"]
    lengths: Int64[Tensor, " rows"]

    @classmethod
    def of(cls, ids: Int32[Tensor, " ids"], offsets: Int64[Tensor, " rows_and_1"]) -> FlatRows:
        """The rows of tensors on the CPU."""
        return cls(ids, offsets, offsets.diff())

    @property
    def nbytes(self) -> int:
        """How much memory they take on a device."""
        return self.ids.nbytes + self.offsets.nbytes

    def to(self, device: torch.device) -> FlatRows:
        """The same rows on a device."""
        return self._replace(ids=self.ids.to(device), offsets=self.offsets.to(device))

    def padded(self, rows: Int64[Tensor, " share"], padding: int) -> Padded:
        """Look up these rows, where they are.

        Args:
            rows: which; on the CPU.
            padding: the id that fills them up to the longest; where all are empty, to a length of one.

        Returns:
            Their ids, and how many each has.
        """
        return copy_rows(self, rows, padding) if self.ids.device.type == "cpu" else gather_rows(self, rows, padding)


def copy_rows(all_rows: FlatRows, rows: Int64[Tensor, " share"], padding: int) -> Padded:
    """`FlatRows.padded` on the CPU, row by row: after a step little is in the caches, and this needs little else."""
    chosen = rows.numpy()
    starts, lengths = all_rows.offsets.numpy()[chosen], all_rows.lengths.numpy()[chosen]
    padded = np.empty((len(chosen), max(1, lengths.max())), np.int64)
    kernels.copy_rows(all_rows.ids.numpy(), starts, lengths, padding, padded)
    return torch.from_numpy(padded), torch.from_numpy(lengths)


def gather_rows(all_rows: FlatRows, rows: Int64[Tensor, " share"], padding: int) -> Padded:
    """`FlatRows.padded` on any other device: all rows at once, without waiting for it."""
    device = all_rows.ids.device
    longest = int(all_rows.lengths.index_select(0, rows).max())
    rows = rows.to(device, non_blocking=True)
    starts = all_rows.offsets.index_select(0, rows)
    lengths = all_rows.offsets.index_select(0, rows + 1) - starts
    places = torch.arange(max(1, longest), device=device)
    # Where no row has an id, there must still be one to look up before it is overwritten.
    ids = all_rows.ids if len(all_rows.ids) else torch.full((1,), padding, dtype=torch.int32, device=device)
    # Padding reads the last id of all, harmlessly, before it is overwritten: no row reaches past the end.
    positions = (starts[:, None] + places).clamp_(max=len(ids) - 1)
    found = ids.index_select(0, positions.flatten()).view_as(positions).long()
    return found.masked_fill_(places >= lengths[:, None], padding), lengths


class BatchedTexts(Dataset[Batch]):
    """Texts that are looked up a batch at a time: `texts[share]` is the batch of these rows.

    Args:
        rows: the texts' word ids.
        labels: the class of each, on the same device.
    """

    def __init__(self, rows: FlatRows, labels: Int64[Tensor, " rows"]) -> None:
        self._rows = rows
        self._labels = labels

    @classmethod
    def of(cls, texts: EncodedTexts) -> BatchedTexts:
        """Texts on the CPU."""
        return cls(FlatRows.of(texts.ids, texts.offsets), texts.labels)

    @property
    def lengths(self) -> Int64[Tensor, " rows"]:
        """The number of words of each row, on the CPU."""
        return self._rows.lengths

    @property
    def nbytes(self) -> int:
        """How much memory the texts take on a device."""
        return self._rows.nbytes + self._labels.nbytes

    def to(self, device: torch.device) -> BatchedTexts:
        """The same texts on a device; so are the batches that are looked up."""
        return BatchedTexts(self._rows.to(device), self._labels.to(device))

    def __len__(self) -> int:
        return len(self._labels)

    def __getitem__(self, share: Share) -> Batch:
        ids, lengths = self._rows.padded(share.rows, PADDING)
        labels = self._labels.index_select(0, share.rows.to(self._labels.device, non_blocking=True))
        return Batch(ids, lengths, labels, share.global_rows, share.global_words)


def check_rows(rows: Mapping[str, int], processes: int) -> None:
    """See that every process gets a row of each part.

    Args:
        rows: the number of rows of each part.
        processes: how many share them.

    Raises:
        SettingError: if there are fewer rows than processes.
    """
    part, fewest = min(rows.items(), key=lambda item: item[1])
    if fewest < processes:
        what = f"{fewest} {part} row{'s' * (fewest != 1)}".replace("  ", " ")
        raise SettingError(f"data: {what} for {processes} processes; use trainer.devices={fewest}")


def count_measured(rows: int, batch_size: int, processes: int, limit: int | float) -> int:
    """Return how many rows a validation or a test measures.

    Args:
        rows: the number of rows of the part.
        batch_size: rows a process and step.
        processes: how many processes share each global batch.
        limit: Lightning's `limit_test_batches` or `limit_val_batches`: a number of batches, or a share of them.
    """
    sizes = cut(rows, batch_size * processes, processes)
    return sum(sizes[: limit if isinstance(limit, int) else int(len(sizes) * limit)])


def cut(rows: int, size: int, processes: int) -> list[int]:
    """Return the sizes of the global batches; a last one with fewer rows than processes joins the one before it."""
    full, rest = divmod(rows, size)
    if rest and (rest >= processes or not full):
        return [size] * full + [rest]
    return [size] * (full - 1) + [size + rest]


class LengthBuckets(Sampler[Share]):
    """Deals out global batches of rows of similar lengths.

    Lightning calls `set_epoch` at the start of each epoch; the shuffle depends on `(seed, round, epoch)` alone.

    Args:
        lengths: the number of words of each row.
        batch_size: rows a process and step.
        shuffle: `(seed, round)` to shuffle by; None for a fixed order, by length.
        processes: how many processes share each global batch.
        rank: which of them this is.

    Raises:
        SettingError: if there are fewer rows than processes.
    """

    def __init__(
        self,
        lengths: Int64[Tensor, " rows"],
        batch_size: int,
        *,
        shuffle: tuple[int, int] | None = None,
        processes: int = 1,
        rank: int = 0,
    ) -> None:
        check_rows({"": len(lengths)}, processes)
        self._lengths = lengths
        self._global_size = batch_size * processes
        self._shuffle = shuffle
        self._processes = processes
        self._rank = rank
        self._epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Say which epoch the next pass is."""
        self._epoch = epoch

    def __len__(self) -> int:
        return len(self._cuts())

    def __iter__(self) -> Iterator[Share]:
        batches = self._global_batches()
        words_up_to = self._lengths[torch.cat(batches)].cumsum(0)
        last = torch.tensor([*map(len, batches)]).cumsum(0) - 1
        words = words_up_to[last].diff(prepend=words_up_to.new_zeros(1)).tolist()
        for rows, global_words in zip(batches, words, strict=True):
            share = rows if self._processes == 1 else rows[self._rank :: self._processes]
            yield Share(share, len(rows), global_words)

    def _cuts(self) -> list[int]:
        return cut(len(self._lengths), self._global_size, self._processes)

    def _global_batches(self) -> list[Int64[Tensor, " rows"]]:
        rows = len(self._lengths)
        if self._shuffle is None:
            return list(self._lengths.argsort(stable=True).split(self._cuts()))
        generator = torch.Generator().manual_seed(
            derive_seed(self._shuffle[0], "shuffle", self._shuffle[1], self._epoch)
        )
        order = torch.randperm(rows, generator=generator)
        pools = order.split(POOL * self._global_size)
        order = torch.cat([pool[self._lengths[pool].argsort(stable=True)] for pool in pools])
        batches = order.split(self._cuts())
        return [batches[index] for index in torch.randperm(len(batches), generator=generator).tolist()]
