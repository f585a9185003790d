"""The DataModule: everything from the settings to the loaders."""

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
    """Loads a corpus once and hands out its batches, round after round.

    Splitting, tokenising and looking up vectors happen when the module is made, since the network is built from what
    they find.

    Args:
        corpus: the texts.
        data: the `data` group.
        embedding: the `embedding` group.
        seed: seeds the validation split and the shuffles.

    Attributes:
        corpus: the texts.
        tokenizer: the words.
        words: the vocabulary, in the order of the ids.
        texts: the ids of each part: `train`, `valid`, `test`.
        vectors: pre-trained word vectors, NaN for a word without; None if embeddings start at random.
        words_found: how many words have one; None likewise.
        round: the round whose shuffles the training loader draws; whoever runs the rounds sets it.
        epoch: the epoch of it that is drawn first; not 0 where a round goes on.

    Raises:
        SettingError: if the corpus is too small to split, or the vectors cannot be had.
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
        # Words are the training part's: the validation part shows what unknown words cost. Letters are few, and known
        # nearly all in any part; counted in all rows, they keep their numbers whichever rows the seed draws.
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
        """The number of rows of each part."""
        return {part: len(texts.labels) for part, texts in self.texts.items()}

    def train_dataloader(self) -> DataLoader[Batch]:
        """The training part, shuffled by `(seed, round, epoch)`."""
        return self._loader("train", (self._seed, self.round))

    def val_dataloader(self) -> DataLoader[Batch]:
        """The validation part, in a fixed order."""
        return self._loader("valid", None)

    def test_dataloader(self) -> DataLoader[Batch]:
        """The test split, in a fixed order."""
        return self._loader("test", None)

    def _loader(self, part: str, shuffle: tuple[int, int] | None) -> DataLoader[Batch]:
        texts = BatchedTexts.of(self.texts[part])
        return load_batches(texts, self._config, self.trainer, shuffle, self.epoch)


def check_longest(words: int, batch_size: int, dim: int, memory: int) -> None:
    """Refuse a text that is so long that no batch with it could be trained on.

    Args:
        words: how many the longest text has. A batch is as wide as its longest text.
        batch_size: how many rows a batch has.
        dim: how long a word's vector is.
        memory: how many bytes of memory there are.

    Raises:
        SettingError: if ids (8 bytes each, of all rows) or word vectors (4 bytes a number, of this row), with what
            training makes of them, do not fit.
    """
    needed = 4 * words * max(8 * batch_size, 4 * dim)
    if needed > memory:
        raise SettingError(
            f"data.max_length: null, and the longest text has {words:,} words: to train on it takes some "
            f"{needed / 2**30:,.0f} GiB of memory; keep fewer words of each text, as with data.max_length=1000"
        )


def physical_memory() -> int:
    """Return how many bytes of memory this machine has."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _labels(rows: datasets.Dataset) -> Int64[np.ndarray, " rows"]:
    return rows.with_format("arrow")[:]["label"].to_numpy()
