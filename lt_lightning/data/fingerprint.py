"""Compute the fingerprint of labelled texts from their content alone."""

from __future__ import annotations

import hashlib

import numpy as np
from jaxtyping import Int64


def content_fingerprint(
    offsets: Int64[np.ndarray, " ends"], letters: bytes | memoryview, codes: Int64[np.ndarray, " rows"]
) -> str:
    """Return the fingerprint of texts and labels in their order, 16 hexadecimal digits.

    It depends on no library's version and on no system: runs record it (`corpus.fingerprint` in `run.json`).

    Args:
        offsets: where each text begins in `letters`, and where the last ends; the first is 0.
        letters: the texts in UTF-8, one after another.
        codes: the number of each text's class.
    """
    digest = hashlib.blake2b(digest_size=8)
    digest.update(offsets.astype("<i8").tobytes())
    digest.update(letters)
    digest.update(codes.astype("<i8").tobytes())
    return digest.hexdigest()
