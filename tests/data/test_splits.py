"""The split: exactly stratified, drawn with the seed, every row in one part, the limit met to the row."""

import hashlib
from collections import Counter
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lt_lightning.data.splits import _shuffled, stratified_split

# Some classes, of sizes that leave each part a row of each.
labels_in_any_order = st.lists(st.integers(20, 40), min_size=1, max_size=5).flatmap(
    lambda sizes: st.permutations(np.repeat(np.arange(len(sizes)), sizes).tolist()).map(np.array)
)
fractions = st.sampled_from([0.1, 0.25, 0.3, 0.5, 0.9])
seeds = st.integers(0, 2**32 - 1)


def in_proportion(part: Counter, whole: Counter, total: int) -> bool:
    """Whether each class has its share of `total`, rounded up or down: as near as whole rows come."""
    shares = {label: Fraction(count * total, whole.total()) for label, count in whole.items()}
    return part.total() == total and all(abs(part[label] - share) < 1 for label, share in shares.items())


@given(labels_in_any_order, fractions, seeds)
def test_every_row_is_in_one_part_and_each_class_in_proportion(labels, fraction, seed):
    train, valid = stratified_split(labels, fraction, seed)
    assert sorted([*train, *valid]) == list(range(len(labels)))
    assert list(train) == sorted(train)
    assert list(valid) == sorted(valid)
    assert in_proportion(Counter(labels[valid]), Counter(labels), round(fraction * len(labels)))


@given(labels_in_any_order, st.sampled_from([0.3, 0.5, 0.7]), seeds, st.integers(60, 300))
def test_a_limit_is_met_to_the_row_and_in_proportion(labels, fraction, seed, limit):
    train, valid = stratified_split(labels, fraction, seed, limit)
    rows = np.concatenate([train, valid])
    kept = min(limit, len(labels))
    assert len(set(rows.tolist())) == len(rows) == kept
    assert in_proportion(Counter(labels[rows]), Counter(labels), kept)
    assert in_proportion(Counter(labels[valid]), Counter(labels[rows]), round(fraction * kept))


def test_no_version_of_numpy_draws_other_rows():
    assert _shuffled(0, 12).tolist() == [9, 2, 7, 4, 5, 11, 0, 3, 6, 10, 8, 1]  # as NumPy 2.4 drew them
    digest = hashlib.sha256(_shuffled(7, 70_000).astype("<i8").tobytes()).hexdigest()
    assert digest.startswith("bae9c2f8f6e558de")


def test_the_parts_of_ag_news_sizes_are_the_expected_ones():
    labels = np.repeat([0, 1, 2, 3], [7_825, 6_310, 6_314, 7_714])
    train, valid = stratified_split(labels, 0.3, 0)
    assert Counter(labels[valid].tolist()) == {0: 2_348, 1: 1_893, 2: 1_894, 3: 2_314}  # 0.3 × each is 2347.5, …
    assert len(valid) == round(0.3 * len(labels))
    assert len(train) + len(valid) == len(labels)


def test_the_seed_alone_draws():
    labels = np.arange(1000) % 4
    one, again, other = (stratified_split(labels, 0.3, seed, 500) for seed in (1, 1, 2))
    assert np.array_equal(one[0], again[0]) and np.array_equal(one[1], again[1])
    assert not np.array_equal(one[1], other[1])
    assert len(np.intersect1d(one[1], other[1])) < 75  # 150 of 1000 rows each: by chance some 22 are in both


def test_a_row_s_place_in_the_file_does_not_matter():
    """Files are often sorted by label, or by date: the first and the last rows are as likely as any."""
    labels = np.repeat([0, 1], 50)
    drawn = sum(np.bincount(stratified_split(labels, 0.3, seed)[1], minlength=100) for seed in range(400))
    assert drawn.min() > 70  # of 400 draws, 120 are expected: the deviation is 9
    assert drawn.max() < 170


@pytest.mark.parametrize(("counts", "fraction", "limit", "part"), [
    ((50, 50), 0.3, 1, "training"), ((10, 10, 10, 10, 10), 0.3, 3, "training"),
    ((50, 50), 0.001, None, "validation"), ((50, 50), 0.999, None, "training"),
    ((99, 1), 0.3, None, "validation"),
])  # fmt: skip
def test_a_class_that_one_part_would_lack_is_refused(counts, fraction, limit, part, refused):
    with refused("data.valid_fraction", f"{part} part", f"data.limit={limit or 'null'}", "use more rows"):
        stratified_split(np.repeat(np.arange(len(counts)), counts), fraction, 0, limit)
