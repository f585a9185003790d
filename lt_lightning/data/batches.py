"""Batch rows of similar lengths, in an order that the seed determines.

A *global* batch is what all processes train on in one step. Its rows are divided among them, so that each row occurs
once an epoch.
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
"""The number of batches of shuffled rows that are sorted by length together: little padding, much randomness."""


class Batch(NamedTuple):
    """The input of a network, and its labels.

    Attributes:
        ids: word ids, each row padded with `<pad>` to the longest.
        lengths: the number of words in each row.
        labels: the class of each row.
        global_rows: the number of rows of all processes in this step.
        global_words: the number of words in these rows, without padding.
        counts: `lengths` on the host, which some layers need there; None if the host has to ask the device for them.
    """

    ids: Int64[Tensor, "batch length"]
    lengths: Int64[Tensor, " batch"]
    labels: Int64[Tensor, " batch"]
    global_rows: int
    global_words: int
    counts: Int64[np.ndarray, " batch"] | None = None

    def row(self, row: int, processes: int = 1) -> Batch:
        """Return the batch in which each of the processes has the one row `row`, without padding."""
        length = int(self.lengths[row] if self.counts is None else self.counts[row])
        one = slice(row, row + 1)
        ids, counts = self.ids[one, : max(1, length)], None if self.counts is None else self.counts[one]
        return Batch(ids, self.lengths[one], self.labels[one], processes, length * processes, counts)


class Share(NamedTuple):
    """The rows of one global batch that a process takes, and the total numbers of rows and words."""

    rows: Int64[Tensor, " share"]
    global_rows: int
    global_words: int


Padded = tuple[Int64[Tensor, "share length"], Int64[Tensor, " share"], Int64[np.ndarray, " share"]]
"""Padded ids, the length of each row, and the same lengths on the host."""


class FlatRows(NamedTuple):
    """Rows of ids, concatenated, on any device.

    Attributes:
        ids: all ids.
        offsets: row r is `ids[offsets[r]:offsets[r + 1]]`.
        lengths: the number of ids of each row, always on the CPU, so that the width of a batch is known without waiting
            for the device.
    """

    ids: Int32[Tensor, " ids"]
    offsets: Int64[Tensor, " rows_and_1"]
    lengths: Int64[Tensor, " rows"]

    @classmethod
    def of(cls, ids: Int32[Tensor, " ids"], offsets: Int64[Tensor, " rows_and_1"]) -> FlatRows:
        """Return the rows of tensors on the CPU."""
        return cls(ids, offsets, offsets.diff())

    @property
    def nbytes(self) -> int:
        """Return the memory that they take on a device, in bytes."""
        return self.ids.nbytes + self.offsets.nbytes

    def to(self, device: torch.device) -> FlatRows:
        """Return the same rows on a device."""
        return self._replace(ids=self.ids.to(device), offsets=self.offsets.to(device))

    def padded(self, rows: Int64[Tensor, " share"], padding: int) -> Padded:
        """Return the ids of `rows` (on the CPU), padded to the longest (at least one), and their lengths."""
        return copy_rows(self, rows, padding) if self.ids.device.type == "cpu" else gather_rows(self, rows, padding)


def copy_rows(all_rows: FlatRows, rows: Int64[Tensor, " share"], padding: int) -> Padded:
    """Compute `FlatRows.padded` on the CPU row by row, which touches the least memory."""
    chosen = rows.numpy()
    starts, lengths = all_rows.offsets.numpy()[chosen], all_rows.lengths.numpy()[chosen]
    padded = np.empty((len(chosen), max(1, lengths.max())), np.int64)
    kernels.copy_rows(all_rows.ids.numpy(), starts, lengths, padding, padded)
    return torch.from_numpy(padded), torch.from_numpy(lengths), lengths


def gather_rows(all_rows: FlatRows, rows: Int64[Tensor, " share"], padding: int) -> Padded:
    """Compute `FlatRows.padded` on another device, for all rows at once and without synchronizing."""
    device = all_rows.ids.device
    counts = all_rows.lengths.index_select(0, rows).numpy()
    longest = int(counts.max())
    rows = rows.to(device, non_blocking=True)
    starts = all_rows.offsets.index_select(0, rows)
    lengths = all_rows.offsets.index_select(0, rows + 1) - starts
    places = torch.arange(max(1, longest), device=device)
    # `index_select` needs an id to look up even if all rows are empty.
    ids = all_rows.ids if len(all_rows.ids) else torch.full((1,), padding, dtype=torch.int32, device=device)
    # Positions past the end read the last id, which padding overwrites.
    positions = (starts[:, None] + places).clamp_(max=len(ids) - 1)
    found = ids.index_select(0, positions.flatten()).view_as(positions).long()
    return found.masked_fill_(places >= lengths[:, None], padding), lengths, counts


class BatchedTexts(Dataset[Batch]):
    """Encoded texts as a dataset of batches: `texts[share]` is a batch."""

    def __init__(self, rows: FlatRows, labels: Int64[Tensor, " rows"]) -> None:
        self._rows = rows
        self._labels = labels

    @classmethod
    def of(cls, texts: EncodedTexts) -> BatchedTexts:
        """Return texts on the CPU."""
        return cls(FlatRows.of(texts.ids, texts.offsets), texts.labels)

    @property
    def lengths(self) -> Int64[Tensor, " rows"]:
        """Return the number of words of each row, on the CPU."""
        return self._rows.lengths

    @property
    def nbytes(self) -> int:
        """Return the memory that the texts take on a device, in bytes."""
        return self._rows.nbytes + self._labels.nbytes

    def to(self, device: torch.device) -> BatchedTexts:
        """Return the same texts on a device; batches are then made there."""
        return BatchedTexts(self._rows.to(device), self._labels.to(device))

    def __len__(self) -> int:
        return len(self._labels)

    def __getitem__(self, share: Share) -> Batch:
        ids, lengths, counts = self._rows.padded(share.rows, PADDING)
        labels = self._labels.index_select(0, share.rows.to(self._labels.device, non_blocking=True))
        return Batch(ids, lengths, labels, share.global_rows, share.global_words, counts)


def check_rows(rows: Mapping[str, int], processes: int) -> None:
    """Raise a `SettingError` if a part (name → number of rows) has fewer rows than there are processes."""
    if not rows:
        return
    part, fewest = min(rows.items(), key=lambda item: item[1])
    if fewest < processes:
        what = f"{fewest} {part} row{'s' * (fewest != 1)}".replace("  ", " ")
        raise SettingError(f"data: {what} for {processes} processes; use trainer.devices={fewest}")


def count_measured(rows: int, batch_size: int, processes: int, limit: int | float) -> int:
    """Return the number of rows that a validation or a test measures.

    Args:
        rows: the number of rows of the part.
        batch_size: rows per process and step.
        processes: the number of processes that share each global batch.
        limit: Lightning's `limit_test_batches` or `limit_val_batches`: a number of batches, or a fraction of them.
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
    """Sample global batches of rows of similar lengths; the shuffle depends on `(seed, round, epoch)` alone.

    Args:
        lengths: the number of words of each row.
        batch_size: rows per process and step.
        shuffle: `(seed, round)`; None for a fixed order, by length.
        repeats: whether every epoch has the batches of the first.
        processes: the number of processes that share each global batch.
        rank: the rank of this process.

    Raises:
        SettingError: there are fewer rows than processes.
    """

    def __init__(
        self,
        lengths: Int64[Tensor, " rows"],
        batch_size: int,
        *,
        shuffle: tuple[int, int] | None = None,
        repeats: bool = False,
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
        self._repeats = repeats

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch of the next pass; Lightning calls it at the start of each epoch."""
        self._epoch = 0 if self._repeats else epoch

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
