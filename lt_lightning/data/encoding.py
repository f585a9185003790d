"""Texts as numbers: one flat tensor of word ids, and where each text starts in it."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import datasets
import numpy as np
import pyarrow as pa
import torch
from jaxtyping import Int32, Int64
from tokenizers import Tokenizer
from torch import Tensor

from lt_lightning.config import Splitter
from lt_lightning.data.vocabulary import cutter

log = logging.getLogger(__name__)


class EncodedTexts(NamedTuple):
    """Texts of word ids, one after another.

    Attributes:
        ids: all word ids.
        offsets: row r is `ids[offsets[r]:offsets[r + 1]]`.
        labels: the class of each row.
    """

    ids: Int32[Tensor, " words"]
    offsets: Int64[Tensor, " rows_and_1"]
    labels: Int64[Tensor, " rows"]

    @property
    def lengths(self) -> Int64[Tensor, " rows"]:
        """The number of words of each row."""
        return self.offsets.diff()


def encode(
    texts: datasets.Dataset, tokenizer: Tokenizer, splitter: Splitter, max_length: int | None, cache: Path
) -> EncodedTexts:
    """Turn a split into word ids; the second time they come from the cache.

    Args:
        texts: a dataset with the columns `text` and `label`.
        tokenizer: as `build_tokenizer` makes it.
        splitter: how its texts fall into words.
        max_length: keep so many words of each text; None for all.
        cache: the folder where the ids are kept, under a fingerprint of all of the above.
    """
    recipe = f"{texts._fingerprint}|{splitter.value}|{max_length}|{tokenizer.to_str()}"
    fingerprint = hashlib.blake2b(recipe.encode(), digest_size=16).hexdigest()
    cut = cutter(splitter)
    pretokenized = splitter is Splitter.spacy

    def ids_of(batch: Mapping[str, list[str]]) -> dict[str, list[list[int]]]:
        encodings = tokenizer.encode_batch_fast(cut(batch["text"]), is_pretokenized=pretokenized)
        return {"ids": [encoding.ids[:max_length] for encoding in encodings]}

    def tokenise(*, reuse: bool) -> pa.ListArray:
        encoded = texts.map(
            ids_of,
            batched=True,
            remove_columns=texts.column_names,
            features=datasets.Features({"ids": datasets.List(datasets.Value("int32"))}),
            load_from_cache_file=reuse,
            new_fingerprint=fingerprint,
            cache_file_name=str(cache / f"ids-{fingerprint}.arrow"),
            desc="Tokenising",
        )
        ids = encoded.with_format("arrow")[:]["ids"].combine_chunks()
        ids.validate(full=True)
        if len(ids) != len(texts):
            raise pa.ArrowInvalid(f"{len(ids)} rows for {len(texts)} texts")
        return ids

    try:
        ids = tokenise(reuse=True)
    except (pa.ArrowException, OSError) as error:
        log.warning("the cache of word ids is damaged (%s); tokenising again", error)
        ids = tokenise(reuse=False)
    labels = texts.with_format("arrow")[:]["label"]
    return EncodedTexts(
        torch.from_numpy(ids.flatten().to_numpy().copy()),
        torch.from_numpy(ids.offsets.to_numpy().astype(np.int64) - ids.offsets[0].as_py()),
        torch.from_numpy(labels.to_numpy().copy()),
    )
