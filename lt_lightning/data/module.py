"""Encode labelled texts and make their loaders."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lt_lightning.config.enums import Splitter
from lt_lightning.data.batches import BatchedTexts
from lt_lightning.data.corpus import Corpus, cache_folder
from lt_lightning.data.encoding import EncodedTexts, choose_words, encode, number_of_each, read_words, take_rows
from lt_lightning.data.glove import found, recall_vectors
from lt_lightning.data.loaders import RoundData
from lt_lightning.data.pieces import read_pieces
from lt_lightning.data.splits import stratified_split
from lt_lightning.data.tokenizer import SPECIAL_WORDS, make_tokenizer
from lt_lightning.errors import SettingError
from lt_lightning.lottery.seeds import derive_seed

if TYPE_CHECKING:
    from lt_lightning.config.models import EmbeddingConfig
    from lt_lightning.config.sources import TextConfig
    from lt_lightning.data.sources.encoders import EncoderFiles

log = logging.getLogger(__name__)


class TextDataModule(RoundData):
    """Encode a corpus once and make its loaders for every round.

    Splitting, tokenizing and loading vectors happen in the constructor, since the network depends on their results.

    Attributes:
        corpus: the texts.
        texts: the ids of each part: `train`, `valid`, `test`.
        encoder: the files of the encoder whose pieces the texts are split into; None if they are split into words.
        max_length: the number of words or pieces of each text that are kept; None for all.

    Args:
        corpus: the texts.
        data: the `data` group.
        embedding: the `embedding` group; not read with an encoder.
        seed: draws the training and validation rows.
        order_seed: shuffles the training rows; `seed` if it is None.
        encoder: the files of the encoder that reads the texts, with `data.tokenizer=model`.

    Raises:
        SettingError: the corpus is too small to split, or the vectors cannot be read.
    """

    def __init__(
        self,
        corpus: Corpus,
        data: TextConfig,
        embedding: EmbeddingConfig | None,
        seed: int,
        order_seed: int | None = None,
        encoder: EncoderFiles | None = None,
    ) -> None:
        super().__init__(data, seed if order_seed is None else order_seed)
        self.corpus, self.encoder = corpus, encoder
        self.max_length = data.max_length if encoder is None else encoder.max_length(data.max_length)
        cache = cache_folder()
        splits = corpus.splits
        labels = {split: splits[split].with_format("arrow")[:]["label"].to_numpy() for split in ("train", "test")}
        train, valid = stratified_split(
            labels["train"], data.valid_fraction, derive_seed(seed, "valid"), data.limit, corpus.groups
        )
        parts = {"train": ("train", train), "valid": ("train", valid), "test": ("test", np.arange(len(labels["test"])))}
        if encoder is not None:
            self._read_pieces(encoder, parts, labels, cache)
            return
        assert embedding is not None and data.tokenizer is not None
        read = {split: read_words(splits[split], data.tokenizer, cache) for split in labels}
        # Words come from the training part, so that validation measures the cost of unknown words. Letters are few;
        # counted in all rows, they keep their numbers whichever rows the seed draws.
        counted = read["train"].ids if data.tokenizer is Splitter.letters else take_rows(read["train"], train)[0]
        counts = np.bincount(counted, minlength=len(read["train"].words))
        known = choose_words(read["train"].words, counts, data.max_vocab)
        self.words = [*SPECIAL_WORDS, *known.to_pylist()]
        self.tokenizer = make_tokenizer(self.words[len(SPECIAL_WORDS) :], data.tokenizer)
        numbers = {split: number_of_each(texts.words, known) for split, texts in read.items()}
        self.texts: dict[str, EncodedTexts] = {
            part: encode(read[split], numbers[split], labels[split], rows, data.max_length)
            for part, (split, rows) in parts.items()
        }
        longest = max(int(texts.lengths.max()) for texts in self.texts.values())
        check_longest(longest, data.batch_size, embedding.dim, physical_memory())
        self.vectors = recall_vectors(embedding, self.words, cache)
        if self.vectors is not None:
            self.words_found = found(self.vectors)
            log.info("%s has %d of the vocabulary's %d words", embedding.name, self.words_found, len(self.words))

    def _read_pieces(
        self,
        encoder: EncoderFiles,
        parts: Mapping[str, tuple[str, np.ndarray]],
        labels: Mapping[str, np.ndarray],
        cache: Path,
    ) -> None:
        """Split the rows of each part, `(split, rows)`, into the pieces of an encoder."""
        self.tokenizer = encoder.read_tokenizer(self.max_length)
        known = self.tokenizer.get_vocab(with_added_tokens=True)
        self.words = sorted(known, key=known.__getitem__)
        read = {split: read_pieces(self.corpus.splits[split], self.tokenizer, cache) for split in labels}
        self.texts = {
            part: encode(read[split], None, labels[split], rows, None) for part, (split, rows) in parts.items()
        }

    @property
    def rows(self) -> dict[str, int]:
        """Return the number of rows of each part."""
        return {part: len(texts.labels) for part, texts in self.texts.items()}

    def part(self, name: str) -> BatchedTexts:
        """Return the rows of a part."""
        return BatchedTexts.of(self.texts[name])


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
