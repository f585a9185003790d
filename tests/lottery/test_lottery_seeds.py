"""`derive_seed`: the same on every machine, and another for every use."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lt_lightning.lottery import derive_seed

parts = st.lists(st.integers() | st.text(max_size=4), max_size=4).map(tuple)


# As `printf "0\x1f'rewind'\x1f1" | sha256sum` gives them: the digest's first four bytes, little end first.
@pytest.mark.parametrize(
    ("where", "seed"),
    [((), 0x42C4B0E3), ((42,), 0xB45C4773), ((0, "rewind", 1), 0xBDEE6013), (("shuffle", -7), 0x583F0933)],
)
def test_seeds_are_the_same_for_ever(where, seed):
    assert derive_seed(*where) == seed


@given(parts)
def test_seeds_are_what_torch_and_numpy_take(where):
    assert 0 <= derive_seed(*where) < 2**32


@given(st.lists(parts, min_size=2, max_size=20, unique=True))
def test_other_places_have_other_seeds(places):
    # two of twenty coincide by chance once in twenty million
    assert len({derive_seed(*where) for where in places}) == len(places)


def test_numbers_and_their_names_and_runs_of_parts_are_kept_apart():
    places = [(1,), ("1",), (1, 1), (11,), ("1", 1), (), ("",), ("a\x1f", "b"), ("a", "\x1fb"), ("a", "b")]
    assert len({derive_seed(*where) for where in places}) == len(places)


def test_streams_of_neighbouring_seeds_have_nothing_to_do_with_each_other():
    draws = torch.stack(
        [
            torch.rand(2000, generator=torch.Generator().manual_seed(derive_seed(seed, "shuffle", round)))
            for seed in range(4)
            for round in range(4)
        ]
    )
    correlations = torch.corrcoef(draws) - torch.eye(16)
    assert correlations.abs().max() < 0.1  # 4.5 standard deviations
