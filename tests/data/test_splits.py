"""The split: exactly stratified, drawn with the seed, every row in one part, the limit met to the row."""

import hashlib
from collections import Counter
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lt_lightning.data.splits import _shuffled, draw_test, stratified_split

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


def digest(*parts):
    return hashlib.sha256(b"".join(part.astype("<i8").tobytes() for part in parts)).hexdigest()[:16]


def test_rows_without_groups_are_drawn_as_before_there_were_groups():
    """As the commit before groups drew them, for the sizes of AG News, also with a limit, of IMDB, and of a file."""
    news, reviews = np.tile([0, 1, 2, 3], 7_041)[:28_163], np.repeat([0, 1], 12_500)
    file = np.random.RandomState(0).randint(0, 5, 1_003)
    assert digest(*stratified_split(news, 0.3, 0)) == "5c847d10a9920297"
    assert digest(*stratified_split(news, 0.3, 1, 6_000)) == "e95bc9544ea3cc29"
    assert digest(*stratified_split(reviews, 0.1, 7)) == "9eed4605509ebc3f"
    assert digest(*stratified_split(file, 0.3, 3)) == "8e2de71903d3ede2"
    assert digest(*draw_test(file, 0.2, "abcde")) == "8a7e922c6369af91"


def grouped(count=60, classes=3):
    """Rows of groups of 1 to 40 rows, each of one class, and of as many groups of 4 rows of any class."""
    random = np.random.RandomState(1)
    pure = [(number, random.randint(classes)) for number in range(count) for _ in range(random.randint(1, 41))]
    mixed = [(count + number, random.randint(classes)) for number in range(count) for _ in range(4)]
    rows = random.permutation([*pure, *mixed])
    return rows[:, 0], rows[:, 1]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("fraction", "limit"), [(0.3, None), (0.1, None), (0.6, None), (0.3, 700)])
def test_a_group_is_in_one_part_and_the_shares_are_about_right(seed, fraction, limit):
    groups, labels = grouped()
    train, valid = stratified_split(labels, fraction, seed, limit, groups)
    rows = np.concatenate([train, valid])
    assert len({*rows.tolist()}) == len(rows) == (limit or len(labels))
    assert not {*groups[train].tolist()} & {*groups[valid].tolist()}
    shares = np.bincount(labels[valid]) / np.bincount(labels[rows])
    assert np.abs(shares - fraction).max() < 0.05
    assert abs(len(valid) / len(rows) - fraction) < 0.02


def test_groups_are_drawn_by_the_seed_and_each_as_often():
    groups, labels = np.repeat(np.arange(50), 4), np.repeat(np.arange(50), 4) % 2
    draws = [stratified_split(labels, 0.3, seed, groups=groups)[1] for seed in range(300)]
    assert digest(draws[0]) == digest(stratified_split(labels, 0.3, 0, groups=groups)[1]) != digest(draws[1])
    drawn = sum(np.bincount(groups[valid], minlength=50) for valid in draws) // 4
    assert drawn.min() > 60  # 90 are expected: the deviation is 8
    assert drawn.max() < 120


def test_of_groups_that_are_all_too_large_the_nearest_is_taken():
    labels = np.zeros(100, int)
    _, valid = stratified_split(labels, 0.3, 0, groups=np.arange(100) // 50)
    assert len(valid) == 50  # 20 too many, which is nearer to 30 than none


def test_a_drawn_test_part_takes_whole_groups():
    groups, labels = grouped()
    train, test = draw_test(labels, 0.2, "abc", groups)
    assert not {*groups[train].tolist()} & {*groups[test].tolist()}
    assert abs(len(test) / len(labels) - 0.2) < 0.01


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


def test_a_class_of_one_large_group_is_refused(refused):
    labels = np.repeat([0, 1], 50)
    with refused("data.valid_fraction", "validation part", "or data.group_column=null"):
        stratified_split(labels, 0.3, 0, groups=labels)
