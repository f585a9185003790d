"""Reversals: random strings of equally likely lengths, none twice, and no more than there are."""

from collections import Counter
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lt_lightning.data.sources.pairs import check_reversal, draw_reversals


@st.composite
def requests(draw):
    """What can be drawn: an alphabet, lengths, rows and a fraction that leave each split some."""
    alphabet = "".join(draw(st.sets(st.characters(exclude_categories=["Cs"]), min_size=2, max_size=6)))
    shortest = draw(st.integers(1, 5))
    lengths = (shortest, draw(st.integers(shortest, 9)))
    there = sum(len(alphabet) ** length for length in range(lengths[0], lengths[1] + 1))
    if there < 4:
        lengths, there = (1, 3), sum(len(alphabet) ** length for length in (1, 2, 3))
    total = draw(st.integers(4, min(there, 400)) | st.just(min(there, 400)))
    test_rows = draw(st.integers(1, total - 3))
    fraction = draw(st.sampled_from([0.25, 0.3, 0.5, 0.7]))
    return alphabet, lengths, total - test_rows, test_rows, fraction


def drawn(request, seed=0):
    alphabet, lengths, train_rows, test_rows, fraction = request
    check_reversal(alphabet, list(lengths), train_rows, test_rows, fraction)
    return draw_reversals(alphabet, lengths, train_rows, test_rows, seed, fraction)


@settings(max_examples=60)
@given(requests(), st.integers(0, 2**32 - 1))
def test_no_string_is_there_twice_and_each_comes_out_reversed(request, seed):
    alphabet, (shortest, longest), train_rows, test_rows, fraction = request
    splits = drawn(request, seed)
    assert list(splits) == ["train", "valid", "test"]
    pairs = [pair for split in splits.values() for pair in split]
    assert len({given for given, _ in pairs}) == len(pairs) == train_rows + test_rows
    assert all("".join(reversed(given)) == expected for given, expected in pairs)
    assert all(shortest <= len(given) <= longest and set(given) <= set(alphabet) for given, _ in pairs)
    assert len(splits["valid"]) == round(fraction * train_rows)
    assert len(splits["test"]) == test_rows
    assert all(splits.values())


@settings(max_examples=60)
@given(requests())
def test_lengths_are_equally_frequent_as_far_as_there_are_strings(request):
    alphabet, (shortest, longest), train_rows, test_rows, _ = request
    counts = Counter(len(given) for split in drawn(request).values() for given, _ in split)
    # The largest equal part such that, where a length has fewer strings, all of these are taken: found by trying.
    there = {length: len(alphabet) ** length for length in range(shortest, longest + 1)}
    total = train_rows + test_rows
    part = max(part for part in range(total + 1) if sum(min(part, count) for count in there.values()) <= total)
    for length, count in there.items():
        assert min(part, count) <= counts[length] <= min(part + 1, count)


def test_all_strings_that_there_are_can_be_asked_for():
    splits = drawn(("abc", (1, 4), 100, 20, 0.2))
    strings = {given for split in splits.values() for given, _ in split}
    assert strings == {"".join(letters) for length in range(1, 5) for letters in product("abc", repeat=length)}


def test_every_string_of_a_length_is_as_likely_as_any_and_as_likely_to_be_tested():
    """Drawn either way: from a list of all, where most are wanted, and by chance, where few are."""
    for rows, tests in ((18, 9), (6, 3)):
        seen, tested = Counter(), Counter()
        for seed in range(1000):
            splits = draw_reversals("abc", (3, 3), rows - tests, tests, seed, 0.5)
            seen.update(given for split in splits.values() for given, _ in split)
            tested.update(given for given, _ in splits["test"])
        for counts, expected in ((seen, 1000 * rows / 27), (tested, 1000 * tests / 27)):
            assert len(counts) == 27
            assert max(abs(count - expected) for count in counts.values()) < 5 * expected**0.5


def test_the_seed_alone_draws():
    request = ("abcdefghij", (2, 8), 300, 50, 0.1)
    assert drawn(request, 1) == drawn(request, 1)
    assert set(drawn(request, 1)["test"]) != set(drawn(request, 2)["test"])


def test_a_seed_gives_these_strings_on_every_machine():
    splits = draw_reversals("abc", (1, 4), 5, 3, 0, 0.4)
    assert {split: [given for given, _ in pairs] for split, pairs in splits.items()} == {
        "train": ["ccac", "bb", "a"],
        "valid": ["b", "bbab"],
        "test": ["cac", "cb", "aaa"],
    }


@pytest.mark.parametrize(("changes", "words"), [
    ({"lengths": [3]}, ["data.lengths: [3]", "[3, 12]"]), ({"lengths": [1, 2, 3]}, ["data.lengths: [1, 2, 3]"]),
    ({"lengths": [0, 3]}, ["data.lengths: [0, 3]"]), ({"lengths": [4, 3]}, ["data.lengths: [4, 3]"]),
    ({"alphabet": "aa"}, ["data.alphabet: "]), ({"alphabet": "a"}, ["data.alphabet: "]),
    ({"train_rows": 1}, ["data.train_rows: 1", "at least 2"]),
    ({"test_rows": 0}, ["data.test_rows: 0", "at least 1"]),
    ({"valid_fraction": 0.01}, ["data.valid_fraction: 0.01", "10 strings", "none to validate"]),
    ({"valid_fraction": 0.99}, ["data.valid_fraction: 0.99", "none to train on"]),
    ({"train_rows": 11}, ["data.train_rows: 11", "4 to test", "the 14 that there are", "1 to 3 of 2 letters"]),
    ({"lengths": [1, 1], "train_rows": 2000}, ["data.train_rows: 2,000", "the 2 that there are"]),
])  # fmt: skip
def test_what_cannot_be_drawn_is_refused_with_the_remedy(changes, words, refused):
    request = {"alphabet": "ab", "lengths": [1, 3], "train_rows": 10, "test_rows": 4, "valid_fraction": 0.2}
    check_reversal(**request)
    with refused(*words):
        check_reversal(**{**request, **changes})


def test_long_strings_without_number_are_drawn_at_once():
    splits = drawn(("abcdefghijklmnopqrstuvwxyz", (1, 200), 500, 100, 0.1))
    assert max(len(given) for given, _ in splits["train"]) > 150
