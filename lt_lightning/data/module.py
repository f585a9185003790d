"""Provide the DataModule for labelled texts."""

from __future__ import annotations

import logging
import os
from typing import TYPE_CHECKING

import datasets
import numpy as np
import pytorch_lightning as pl
from jaxtyping import Float, Int64
from tokenizers import Tokenizer
from torch import Tensor
from torch.utils.data import DataLoader

from lt_lightning.config.enums import Splitter
from lt_lightning.data.batches import Batch, BatchedTexts
from lt_lightning.data.corpus import Corpus, cache_folder
from lt_lightning.data.encoding import EncodedTexts, encode, read_words, take_rows
from lt_lightning.data.glove import found, recall_vectors
from lt_lightning.data.loaders import load_batches
from lt_lightning.data.splits import stratified_split
from lt_lightning.data.tokenizer import SPECIAL_WORDS, make_tokenizer
from lt_lightning.data.vocabulary import choose_words, number_of_each
from lt_lightning.errors import SettingError
from lt_lightning.lottery.seeds import derive_seed

if TYPE_CHECKING:
    from lt_lightning.config.models import EmbeddingConfig
    from lt_lightning.config.sources import TextConfig

log = logging.getLogger(__name__)


class TextDataModule(pl.LightningDataModule):
    """Encode a corpus once and make its loaders for every round.

    Splitting, tokenizing and loading vectors happen in the constructor, since the network depends on their results.

    Args:
        corpus: the texts.
        data: the `data` group.
        embedding: the `embedding` group.
        seed: seeds the validation split and the shuffles.

    Attributes:
        corpus: the texts.
        tokenizer: the tokenizer.
        words: the vocabulary, in the order of the ids.
        texts: the ids of each part: `train`, `valid`, `test`.
        vectors: pre-trained word vectors, NaN for unknown words; None if embeddings start at random.
        words_found: the number of words with a vector, or None.
        round: the round that the training loader shuffles for; set it before each fit.
        epoch: the first epoch of the next fit; not 0 in a resumed round.

    Raises:
        SettingError: the corpus is too small to split, or the vectors cannot be read.
    """

    def __init__(self, corpus: Corpus, data: TextConfig, embedding: EmbeddingConfig, seed: int) -> None:
        super().__init__()
        self._config = data
        self._seed = seed
        self.round = self.epoch = 0
        self.corpus = corpus
        cache = cache_folder()
        splits = corpus.splits
        labels = {split: _labels(splits[split]) for split in ("train", "test")}
        train, valid = stratified_split(labels["train"], data.valid_fraction, derive_seed(seed, "valid"), data.limit)
        parts = {"train": ("train", train), "valid": ("train", valid), "test": ("test", np.arange(len(labels["test"])))}
        read = {split: read_words(splits[split], data.tokenizer, cache) for split in labels}
        # Words come from the training part, so that validation measures the cost of unknown words. Letters are few;
        # counted in all rows, they keep their numbers whichever rows the seed draws.
        counted = read["train"].ids if data.tokenizer is Splitter.letters else take_rows(read["train"], train)[0]
        counts = np.bincount(counted, minlength=len(read["train"].words))
        known = choose_words(read["train"].words, counts, data.max_vocab)
        self.words: list[str] = [*SPECIAL_WORDS, *known.to_pylist()]
        self.tokenizer: Tokenizer = make_tokenizer(self.words[len(SPECIAL_WORDS) :], data.tokenizer)
        numbers = {split: number_of_each(texts.words, known) for split, texts in read.items()}
        self.texts: dict[str, EncodedTexts] = {
            part: encode(read[split], numbers[split], labels[split], rows, data.max_length)
            for part, (split, rows) in parts.items()
        }
        longest = max(int(texts.lengths.max()) for texts in self.texts.values())
        check_longest(longest, data.batch_size, embedding.dim, physical_memory())
        self.vectors: Float[Tensor, "words dim"] | None = recall_vectors(embedding, self.words, cache)
        self.words_found: int | None = None if self.vectors is None else found(self.vectors)
        if self.words_found is not None:
            log.info("%s has %d of the vocabulary's %d words", embedding.name, self.words_found, len(self.words))

    @property
    def rows(self) -> dict[str, int]:
        """Return the number of rows of each part."""
        return {part: len(texts.labels) for part, texts in self.texts.items()}

    @property
    def loaders(self) -> pl.LightningDataModule:
        """The LightningDataModule that a Trainer gets."""
        return self

    def train_dataloader(self) -> DataLoader[Batch]:
        """Return a loader of the training part, shuffled by `(seed, round, epoch)`."""
        return self._loader("train", (self._seed, self.round))

    def val_dataloader(self) -> DataLoader[Batch]:
        """Return a loader of the validation part, in a fixed order."""
        return self._loader("valid", None)

    def test_dataloader(self) -> DataLoader[Batch]:
        """Return a loader of the test split, in a fixed order."""
        return self._loader("test", None)

    def _loader(self, part: str, shuffle: tuple[int, int] | None) -> DataLoader[Batch]:
        texts = BatchedTexts.of(self.texts[part])
        return load_batches(texts, self._config, self.trainer, shuffle, self.epoch)


def check_longest(words: int, batch_size: int, dim: int, memory: int) -> None:
    """Raise a `SettingError` if a batch with the longest text cannot fit into memory.

    Args:
        words: the length of the longest text, the width of its batch.
        batch_size: rows per batch.
        dim: the width of a word vector.
        memory: the machine's memory, in bytes. Ids take 8 bytes each, vectors 4 bytes a number.
    """
    needed = 4 * words * max(8 * batch_size, 4 * dim)
    if needed > memory:
        raise SettingError(
            f"data.max_length: null, and the longest text has {words:,} words: training on it needs about "
            f"{needed / 2**30:,.0f} GiB of memory; keep fewer words of each text, such as data.max_length=1000"
        )


def physical_memory() -> int:
    """Return the machine's memory in bytes."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _labels(rows: datasets.Dataset) -> Int64[np.ndarray, " rows"]:
    return rows.with_format("arrow")[:]["label"].to_numpy()
