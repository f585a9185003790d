"""Which rows of the training split are used, which of them validate, and which of them test where no split does."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Int64

from lt_lightning.errors import SettingError
from lt_lightning.lottery.seeds import derive_seed


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


def draw_test(
    labels: Int64[np.ndarray, " rows"], test_fraction: float, names: Sequence[str]
) -> tuple[Int64[np.ndarray, " train"], Int64[np.ndarray, " test"]]:
    """Draw a test part where the data has none: class by class, like the validation part.

    The draw depends on the rows alone and not on the run's seed. Runs with different seeds are tested on the same rows,
    and a ticket of one run is not tested on rows that it was trained on in another.

    Args:
        labels: the class of each row.
        test_fraction: the share of the rows that test.
        names: the classes' names, for the error.

    Returns:
        The rows of the training and of the test part, each in ascending order.

    Raises:
        SettingError: if a class has no row left to train on, or there is nothing to test on.
    """
    shuffled = np.random.default_rng(derive_seed("test")).permutation(len(labels))
    test = np.sort(np.concatenate(list(_deal(labels, shuffled, round(test_fraction * len(labels))))))
    train = np.setdiff1d(np.arange(len(labels)), test, assume_unique=True)
    lost = set(labels.tolist()).difference(labels[train].tolist())
    if lost or not len(test):
        what = f"class {names[min(lost)]!r} with no row to train on" if lost else "no row to test on"
        raise SettingError(
            f"data.test_fraction: {test_fraction} of {len(labels):,} rows leaves {what}; use more rows, or another "
            "fraction, or add a test split"
        )
    return train, test


def _deal(labels: np.ndarray, order: np.ndarray, total: int) -> Iterator[np.ndarray]:
    """Of each class its proportional number of rows, the first in `order`; `total` in all (largest remainders)."""
    classes, counts = np.unique(labels[order], return_counts=True)
    exact = counts * total / len(order)
    quota = np.floor(exact).astype(int)
    quota[np.argsort(quota - exact, kind="stable")[: total - quota.sum()]] += 1
    for label, count in zip(classes, quota, strict=True):
        yield order[labels[order] == label][:count]
