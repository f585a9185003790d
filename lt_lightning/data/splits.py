"""Draw training, validation and test rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Int64

from lt_lightning.errors import SettingError
from lt_lightning.lottery.seeds import derive_seed


def stratified_split(
    labels: Int64[np.ndarray, " rows"],
    valid_fraction: float,
    seed: int,
    limit: int | None = None,
    groups: Int64[np.ndarray, " rows"] | None = None,
) -> tuple[Int64[np.ndarray, " train"], Int64[np.ndarray, " valid"]]:
    """Draw a training and a validation part of the training split, or of `limit` of its rows, with equal class shares.

    Args:
        labels: the class number of each row.
        valid_fraction: the fraction of the rows that validate; with groups the nearest that whole groups allow.
        seed: draws the rows, or the groups.
        limit: the number of rows to draw from; None for all.
        groups: the number of each row's group, whose rows stay in one part; None to draw row by row.

    Returns:
        The rows of the training and of the validation part, ascending.

    Raises:
        SettingError: a class has too few rows to be in both.
    """
    shuffled = _shuffled(seed, len(labels))
    if limit is not None and limit < len(labels):
        shuffled = np.concatenate(list(_deal(labels, shuffled, limit)))
    total = round(valid_fraction * len(shuffled))
    valid = _draw(labels, shuffled, total, groups, seed)
    train = np.setdiff1d(shuffled, valid, assume_unique=True)
    for part, name in ((train, "training"), (valid, "validation")):
        if missing := set(labels.tolist()).difference(labels[part].tolist()):
            label = min(missing)
            rows = int((labels[shuffled] == label).sum())
            whole = "" if groups is None else ", or data.group_column=null"
            raise SettingError(
                f"data.valid_fraction: {valid_fraction} of the {rows} rows of class {label} leaves none in the {name} "
                f"part (data.limit={'null' if limit is None else limit}); use more rows, or another fraction{whole}"
            )
    return np.sort(train), valid


def draw_test(
    labels: Int64[np.ndarray, " rows"],
    test_fraction: float,
    names: Sequence[str],
    groups: Int64[np.ndarray, " rows"] | None = None,
) -> tuple[Int64[np.ndarray, " train"], Int64[np.ndarray, " test"]]:
    """Draw a test part with equal class proportions for data that has none.

    The draw does not depend on the run's seed: all runs test on the same rows, and no ticket is tested on rows that
    another run trained on.

    Args:
        labels: the class number of each row.
        test_fraction: the fraction of the rows that test.
        names: the classes' names.
        groups: see `stratified_split`.

    Returns:
        The rows of the training and of the test part, ascending.

    Raises:
        SettingError: a class has no training row left, or the test part is empty.
    """
    seed = derive_seed("test")
    test = _draw(labels, _shuffled(seed, len(labels)), round(test_fraction * len(labels)), groups, seed)
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


def _draw(
    labels: np.ndarray, order: np.ndarray, total: int, groups: np.ndarray | None, seed: int
) -> Int64[np.ndarray, " drawn"]:
    """Return `total` of the rows in `order`, or whole groups of about so many, ascending."""
    drawn = _deal(labels, order, total) if groups is None else _deal_groups(labels, order, total, groups, seed)
    return np.sort(np.concatenate([order[:0], *drawn]))


def _quotas(labels: np.ndarray, total: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the classes and the proportional number of rows of each, `total` in all (largest remainders)."""
    classes, counts = np.unique(labels, return_counts=True)
    exact = counts * total / len(labels)
    quotas = np.floor(exact).astype(int)
    quotas[np.argsort(quotas - exact, kind="stable")[: total - quotas.sum()]] += 1
    return classes, quotas


def _deal(labels: np.ndarray, order: np.ndarray, total: int) -> Iterator[np.ndarray]:
    """Yield each class's proportional number of rows, the first in `order`."""
    for label, count in zip(*_quotas(labels[order], total), strict=True):
        yield order[labels[order] == label][:count]


def _deal_groups(
    labels: np.ndarray, order: np.ndarray, total: int, groups: np.ndarray, seed: int
) -> Iterator[np.ndarray]:
    """Yield the rows of whole groups, in the order of `seed`, until each class has about its proportional number.

    Groups that fit come first, then others that bring the numbers nearer, such as where all groups are large.
    """
    classes, missing = _quotas(labels[order], total)
    rows = order[np.argsort(groups[order], kind="stable")]
    members = np.split(rows, np.flatnonzero(np.diff(groups[rows])) + 1)
    left = [members[group] for group in _shuffled(derive_seed(seed, "groups"), len(members))]
    for is_wanted in (_fits, _brings_nearer):
        passed = []
        for group in left:
            counts = np.bincount(np.searchsorted(classes, labels[group]), minlength=len(classes))
            if is_wanted(counts, missing):
                missing = missing - counts
                yield group
            else:
                passed.append(group)
        left = passed


def _fits(counts: np.ndarray, missing: np.ndarray) -> bool:
    return bool((counts <= missing).all())


def _brings_nearer(counts: np.ndarray, missing: np.ndarray) -> bool:
    return bool(np.abs(missing - counts).sum() < np.abs(missing).sum())
