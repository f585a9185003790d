"""Which rows of the training split are used, and which of them validate."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from jaxtyping import Int64

from lt_lightning.errors import SettingError


def stratified_split(
    labels: Int64[np.ndarray, " rows"], valid_fraction: float, seed: int, limit: int | None = None
) -> tuple[Int64[np.ndarray, " train"], Int64[np.ndarray, " valid"]]:
    """Draw a training and a validation part that hold each class in the same share.

    Args:
        labels: the class of each row of the training split.
        valid_fraction: the share of the rows that validate.
        seed: seeds the draw.
        limit: use at most so many rows, drawn in the same way; None for all.

    Returns:
        The rows of either part, each in ascending order.

    Raises:
        SettingError: if a class has too few rows to be in both.
    """
    shuffled = np.random.default_rng(seed).permutation(len(labels))
    if limit is not None and limit < len(labels):
        shuffled = np.concatenate(list(_deal(labels, shuffled, limit)))
    total = round(valid_fraction * len(shuffled))
    valid = np.sort(np.concatenate(list(_deal(labels, shuffled, total))))
    train = np.setdiff1d(shuffled, valid, assume_unique=True)
    for part, name in ((train, "training"), (valid, "validation")):
        if missing := set(labels.tolist()).difference(labels[part].tolist()):
            label = min(missing)
            rows = int((labels[shuffled] == label).sum())
            raise SettingError(
                f"data.valid_fraction: {valid_fraction} of the {rows} rows of class {label} leaves none in the {name} "
                f"part (data.limit={'null' if limit is None else limit}); use more rows, or another fraction"
            )
    return np.sort(train), valid


def _deal(labels: np.ndarray, order: np.ndarray, total: int) -> Iterator[np.ndarray]:
    """Of each class its proportional number of rows, the first in `order`; `total` in all (largest remainders)."""
    classes, counts = np.unique(labels[order], return_counts=True)
    exact = counts * total / len(order)
    quota = np.floor(exact).astype(int)
    quota[np.argsort(quota - exact, kind="stable")[: total - quota.sum()]] += 1
    for label, count in zip(classes, quota, strict=True):
        yield order[labels[order] == label][:count]
