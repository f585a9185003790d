"""Do what `lt_lightning.data` does as notebooks do it, or as libraries offer it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import DataLoader

from lt_lightning.data.encoding import EncodedTexts
from lt_lightning.data.tokenizer import PADDING, SPECIAL_WORDS, UNKNOWN

_WORD_OR_MARK = re.compile(r"\w+|[^\w\s]")


def count_in_python(train: Sequence[str], others: Sequence[str], max_words: int) -> list[list[int]]:
    """Count words, number the most frequent and look all of them up, in lists of strings as in a notebook."""
    tokens = [_WORD_OR_MARK.findall(text.lower()) for text in train]
    counts = Counter(token for words in tokens for token in words)
    numbers = {word: number for number, (word, _) in enumerate(counts.most_common(max_words), len(SPECIAL_WORDS))}
    tokens += [_WORD_OR_MARK.findall(text.lower()) for text in others]
    return [[numbers.get(word, UNKNOWN) for word in words] for words in tokens]


def train_tokenizer(train: datasets.Dataset, others: datasets.Dataset, max_words: int) -> list[list[int]]:
    """Count the words and encode the texts with the `tokenizers` library, which uses all cores."""
    tokenizer = Tokenizer(models.WordLevel({}, unk_token=SPECIAL_WORDS[UNKNOWN]))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Punctuation("isolated")]
    )
    special = [*SPECIAL_WORDS]
    trainer = trainers.WordLevelTrainer(vocab_size=max_words, special_tokens=special, show_progress=False)
    tokenizer.train_from_iterator((batch["text"] for batch in _batches(train)), trainer)
    return [
        encoding.ids
        for part in (train, others)
        for batch in _batches(part)
        for encoding in tokenizer.encode_batch_fast(batch["text"])
    ]


def read_every_line(path: Path, lines: int) -> dict[str, np.ndarray]:
    """Make an array of each of the first lines, as a notebook does with GloVe."""
    vectors = {}
    with path.open(encoding="utf-8") as file:
        for line in islice(file, lines):
            word, *numbers = line.split()
            vectors[word] = np.asarray(numbers, dtype=np.float32)
    return vectors


def load_text(path: Path, lines: int, dim: int) -> np.ndarray:
    """Read the numbers of the first lines with NumPy."""
    columns = range(1, dim + 1)
    return np.loadtxt(path, dtype=np.float32, comments=None, usecols=columns, max_rows=lines, encoding="utf-8")


def collate_rows(texts: EncodedTexts, batch_size: int) -> Iterable[tuple[Tensor, Tensor]]:
    """Return torch's usual loader: row by row, shuffled, each batch padded when it is collated."""
    rows = [
        (texts.ids[start:end].long(), label)
        for start, end, label in zip(
            texts.offsets[:-1].tolist(), texts.offsets[1:].tolist(), texts.labels.tolist(), strict=True
        )
    ]

    def collate(batch: list[tuple[Tensor, int]]) -> tuple[Tensor, Tensor]:
        ids, labels = zip(*batch, strict=True)
        return pad_sequence(list(ids), batch_first=True, padding_value=PADDING), torch.tensor(labels)

    return DataLoader(rows, batch_size=batch_size, shuffle=True, collate_fn=collate)  # pyright: ignore[reportArgumentType]


def _batches(texts: datasets.Dataset) -> Iterator[Any]:
    return texts.iter(1000)  # pyright: ignore[reportReturnType]
