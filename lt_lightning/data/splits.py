"""Draw training, validation and test rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Int64

from lt_lightning.errors import SettingError
from lt_lightning.lottery.seeds import derive_seed


def stratified_split(
    labels: Int64[np.ndarray, " rows"], valid_fraction: float, seed: int, limit: int | None = None
) -> tuple[Int64[np.ndarray, " train"], Int64[np.ndarray, " valid"]]:
    """Draw a training and a validation part of the training split, or of `limit` of its rows, with equal class shares.

    Returns:
        The rows of the training and of the validation part, ascending.

    Raises:
        SettingError: a class has too few rows to be in both.
    """
    shuffled = _shuffled(seed, len(labels))
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
    """Draw a test part with equal class proportions for data that has none.

    The draw does not depend on the run's seed: all runs test on the same rows, and no ticket is tested on rows that
    another run trained on.

    Returns:
        The rows of the training and of the test part, ascending.

    Raises:
        SettingError: a class has no training row left, or the test part is empty.
    """
    shuffled = _shuffled(derive_seed("test"), len(labels))
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


def _shuffled(seed: int, count: int) -> Int64[np.ndarray, " rows"]:
    """Return the numbers 0 … count − 1 in an order that is the same in every version of NumPy.

    NumPy freezes the results of `RandomState` and the bits of `PCG64`, but not those of `default_rng` (NEP 19). In
    NumPy 1.26 to 2.4 they are the same.
    """
    return np.random.RandomState(np.random.PCG64(seed)).permutation(count).astype(np.int64)


def _deal(labels: np.ndarray, order: np.ndarray, total: int) -> Iterator[np.ndarray]:
    """Yield each class's proportional number of rows, the first in `order`; `total` in all (largest remainders)."""
    classes, counts = np.unique(labels[order], return_counts=True)
    exact = counts * total / len(order)
    quota = np.floor(exact).astype(int)
    quota[np.argsort(quota - exact, kind="stable")[: total - quota.sum()]] += 1
    for label, count in zip(classes, quota, strict=True):
        yield order[labels[order] == label][:count]
