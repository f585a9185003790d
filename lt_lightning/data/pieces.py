"""Split texts into the pieces of a pre-trained encoder with its own tokenizer, cached.

Documentation: https://huggingface.co/docs/tokenizers
"""

from __future__ import annotations

import hashlib
from array import array
from pathlib import Path
from typing import NamedTuple

import datasets
import numpy as np
from jaxtyping import Int32, Int64
from tokenizers import Tokenizer

from lt_lightning.data.encoding import library_version, text_batches
from lt_lightning.storage.cache import Arrays, check_kind, check_offsets, check_range, recall_or_make

FORMAT = 1
"""Increase it when the numbering or the form of the cached arrays changes, to invalidate old caches."""


class Pieces(NamedTuple):
    """Texts of pieces, concatenated.

    Attributes:
        ids: the encoder's id of each piece.
        offsets: row r is `ids[offsets[r]:offsets[r + 1]]`.
    """

    ids: Int32[np.ndarray, " ids"]
    offsets: Int64[np.ndarray, " rows_and_1"]


def read_pieces(texts: datasets.Dataset, tokenizer: Tokenizer, cache: Path) -> Pieces:
    """Split all texts (column `text`) into pieces, or load them from the cache.

    The pieces at both ends, such as `[CLS]` and `[SEP]`, count among those that the tokenizer keeps of a text, and stay
    where it cuts one. The cache depends on the texts and the tokenizer alone.
    """
    recipe = f"{FORMAT}|{texts._fingerprint}|{library_version('tokenizers')}|{tokenizer.to_str()}"
    fingerprint = hashlib.blake2b(recipe.encode(), digest_size=16).hexdigest()
    # Some vocabularies leave ids out, so that their size is less than the largest id.
    end = 1 + max(tokenizer.get_vocab(with_added_tokens=True).values(), default=-1)

    def make() -> Arrays:
        ids, lengths = array("i"), [0]  # grows in place, without a second copy
        for batch in text_batches(texts):
            for encoding in tokenizer.encode_batch_fast(batch):
                ids.extend(found := encoding.ids)
                lengths.append(len(found))
        return {"ids": np.frombuffer(ids, np.int32), "offsets": np.cumsum(lengths, dtype=np.int64)}

    def check(kept: Arrays) -> None:
        check_kind(kept["ids"], np.int32, (None,))
        check_kind(kept["offsets"], np.int64, (len(texts) + 1,))
        check_offsets(kept["offsets"], len(kept["ids"]))
        check_range(kept["ids"], 0, end)

    return Pieces(**recall_or_make(cache / f"pieces-{fingerprint}.safetensors", make, "pieces", check))
