"""Encode pairs of strings and make their batches and loaders."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from jaxtyping import Int64
from tokenizers import Tokenizer, models
from torch import Tensor
from torch.utils.data import Dataset

from lt_lightning.data.batches import FlatRows, Share
from lt_lightning.data.loaders import RoundData
from lt_lightning.data.sources.pairs import PairCorpus
from lt_lightning.data.tokenizer import every_letter

if TYPE_CHECKING:
    from lt_lightning.config.sources import DataConfig


class PairBatch(NamedTuple):
    """Source and target strings. The padding id is the number of letters.

    Attributes:
        sources: letter ids of the given strings, padded to the longest.
        source_lengths: the number of letters in each.
        targets: letter ids of the expected strings, padded likewise.
        target_lengths: the number of letters in each.
        global_rows: the number of rows of all processes in this step.
        global_letters: the number of target letters in these rows, without padding.
        source_counts, target_counts: the numbers of letters on the host; see `Batch.counts`.
    """

    sources: Int64[Tensor, "batch source_length"]
    source_lengths: Int64[Tensor, " batch"]
    targets: Int64[Tensor, "batch target_length"]
    target_lengths: Int64[Tensor, " batch"]
    global_rows: int
    global_letters: int
    source_counts: Int64[np.ndarray, " batch"] | None = None
    target_counts: Int64[np.ndarray, " batch"] | None = None

    def row(self, row: int, processes: int = 1) -> PairBatch:
        """Return the batch in which each of the processes has the one pair `row`."""
        letters = int(self.target_lengths[row] if self.target_counts is None else self.target_counts[row])
        one = slice(row, row + 1)
        sources, targets = (self.sources[one], self.source_lengths[one]), (self.targets[one], self.target_lengths[one])
        counts = (None if all_ is None else all_[one] for all_ in (self.source_counts, self.target_counts))
        return PairBatch(*sources, *targets, processes, letters * processes, *counts)


class BatchedPairs(Dataset[PairBatch]):
    """Encoded pairs as a dataset of batches: `pairs[share]` is a batch."""

    def __init__(self, sources: FlatRows, targets: FlatRows, padding: int) -> None:
        self.sources = sources
        self.targets = targets
        self._padding = padding

    @property
    def lengths(self) -> Int64[Tensor, " rows"]:
        """Return the number of target letters of each row, on the CPU."""
        return self.targets.lengths

    @property
    def nbytes(self) -> int:
        """Return the memory that the pairs take on a device, in bytes."""
        return self.sources.nbytes + self.targets.nbytes

    def to(self, device: torch.device) -> BatchedPairs:
        """Return the same pairs on a device; batches are then made there."""
        return BatchedPairs(self.sources.to(device), self.targets.to(device), self._padding)

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, share: Share) -> PairBatch:
        sources, source_lengths, source_counts = self.sources.padded(share.rows, self._padding)
        targets, target_lengths, target_counts = self.targets.padded(share.rows, self._padding)
        return PairBatch(
            sources, source_lengths, targets, target_lengths, share.global_rows, share.global_words,
            source_counts, target_counts,
        )  # fmt: skip


class PairDataModule(RoundData):
    """Encode pairs once and make their loaders for every round.

    Attributes:
        corpus: the pairs.
        tokenizer: maps each letter to its position in the alphabet; knows no other letter.
        words: the letters, in the order of the ids.
        padding: the id after the last letter's; it pads rows, and models may end a string with it.
        pairs: the ids of each part: `train`, `valid`, `test`.
    """

    def __init__(self, corpus: PairCorpus, data: DataConfig, order_seed: int) -> None:
        super().__init__(data, order_seed)
        self.corpus = corpus
        self.words = list(corpus.alphabet)
        self.tokenizer = Tokenizer(models.WordLevel({letter: number for number, letter in enumerate(self.words)}))
        self.tokenizer.pre_tokenizer = every_letter()
        self.padding = len(self.words)
        self.pairs: dict[str, BatchedPairs] = {part: self._encode(pairs) for part, pairs in corpus.splits.items()}

    @property
    def rows(self) -> dict[str, int]:
        """Return the number of pairs of each part."""
        return {part: len(pairs) for part, pairs in self.pairs.items()}

    def part(self, name: str) -> BatchedPairs:
        """Return the rows of a part."""
        return self.pairs[name]

    def _encode(self, pairs: Sequence[tuple[str, str]]) -> BatchedPairs:
        given, expected = zip(*pairs, strict=True)
        return BatchedPairs(self._flatten(given), self._flatten(expected), self.padding)

    def _flatten(self, strings: Sequence[str]) -> FlatRows:
        ids = [encoding.ids for encoding in self.tokenizer.encode_batch_fast(strings)]
        lengths = torch.tensor([0, *map(len, ids)])
        return FlatRows.of(torch.tensor([*chain.from_iterable(ids)], dtype=torch.int32), lengths.cumsum(0))
