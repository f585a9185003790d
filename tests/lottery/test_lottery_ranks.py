"""`values_of_ranks` against a sort, through its sample and beyond it."""

import math
from collections.abc import Iterator

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from lt_lightning.lottery import Mask, prune
from lt_lightning.lottery.ranking import ranks
from lt_lightning.lottery.ranking.ranks import SAMPLE, values_of_ranks

VALUES = (0.0, -0.0, 0.25, 0.5, 1.0, 3.0, -2.0, math.inf, -math.inf, math.nan)
MANY = 6 * SAMPLE
"""More than are ranked without a sample."""


@pytest.fixture
def small_sample() -> Iterator[None]:
    """Sixteen numbers are many: every way that the search can go is short enough for a brute-force loop."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ranks, "SAMPLE", 4)
        yield


def sorted_among(values: Tensor, among: Tensor) -> list[float]:
    return sorted(values[among].tolist(), key=lambda value: (math.isnan(value), 0.0 if math.isnan(value) else value))


@pytest.mark.slow
@pytest.mark.usefixtures("small_sample")
@given(
    entries=st.lists(st.tuples(st.sampled_from(VALUES) | st.floats(width=16), st.booleans()), min_size=1, max_size=80),
    dtype=st.sampled_from((torch.float64, torch.float32, torch.bfloat16, torch.float16)),
    data=st.data(),
)
def test_ranks_are_those_of_a_sort_however_the_sample_misleads(entries, dtype, data):
    values = torch.tensor([value for value, _ in entries], dtype=dtype)
    among = torch.tensor([counts for _, counts in entries])
    among[data.draw(st.integers(0, len(among) - 1))] = True
    expected = sorted_among(values, among)
    first, last = sorted(data.draw(st.tuples(*[st.integers(1, len(expected))] * 2)))
    found = [float(value) for value in values_of_ranks(values, among, [first, last])]
    assert found == pytest.approx([expected[first - 1], expected[last - 1]], rel=0, nan_ok=True)


@pytest.mark.parametrize("values", [
    torch.arange(MANY, dtype=torch.float64),
    torch.arange(MANY).remainder(2).float(),  # two values alone
    torch.arange(MANY).remainder(100).float(),  # columns, each of one value
    torch.full((MANY,), 7.0),
    torch.cat([torch.zeros(MANY - 5), torch.arange(5.0)]),
    torch.randn(MANY, generator=torch.Generator().manual_seed(0)).abs(),
    torch.randn(MANY, generator=torch.Generator().manual_seed(1)).pow(9).half(),
    torch.where(torch.arange(MANY) % 3 == 0, math.nan, torch.arange(MANY) % 1000 - 500),
], ids=["ascending", "two", "columns", "one", "rare", "normal", "infinite", "nan"])  # fmt: skip
@pytest.mark.parametrize("density", [1.0, 0.5, 0.01, 0.0001])
def test_ranks_of_many_are_those_of_kthvalue(values, density):
    among = torch.rand(len(values), generator=torch.Generator().manual_seed(2)) < density
    among[-1] = True
    living = values[among]
    for share in (0.0, 0.2, 0.5, 1.0):
        rank = max(1, round(share * len(living)))
        two = [rank, min(rank + 1, len(living))]
        expected = torch.stack([living.kthvalue(one).values for one in two])
        assert torch.allclose(torch.stack(values_of_ranks(values, among, two)), expected, rtol=0, equal_nan=True)


@pytest.mark.usefixtures("small_sample")
@given(numbers=st.lists(st.integers(-(2**62), 2**62) | st.integers(-3, 3), min_size=1, max_size=60), data=st.data())
def test_whole_numbers_are_ranked_without_rounding(numbers, data):
    rank = data.draw(st.integers(1, len(numbers)))
    (found,) = values_of_ranks(torch.tensor(numbers), torch.ones(len(numbers), dtype=torch.bool), [rank])
    assert int(found) == sorted(numbers)[rank - 1]


@pytest.mark.parametrize("scope", ["layerwise", "global"])
@pytest.mark.parametrize("tied", [False, True])
def test_of_many_entries_those_go_that_a_stable_sort_puts_first(scope, tied):
    generator = torch.Generator().manual_seed(3)
    scores = {name: torch.randn(MANY + extra, generator=generator).abs() for name, extra in (("a", 0), ("b", 777))}
    if tied:
        scores = {name: (8 * tensor).round() for name, tensor in scores.items()}
    mask = Mask({name: torch.rand(len(tensor), generator=generator) < 0.6 for name, tensor in scores.items()})
    pruned = prune(scores, mask, 0.3, scope=scope)
    groups = [[name] for name in mask] if scope == "layerwise" else [list(mask)]
    for names in groups:
        flat, alive = torch.cat([scores[name] for name in names]), torch.cat([mask[name] for name in names])
        positions = alive.nonzero().flatten()
        order = positions[flat[positions].sort(stable=True).indices]
        alive[order[: round(0.3 * len(order))]] = False
        assert torch.equal(torch.cat([pruned[name] for name in names]), alive)


def test_a_percentile_between_two_floats_is_compared_in_double_precision():
    # Neighbours in single precision: the percentile between them is none of its numbers, and nearer to the upper one.
    low, high = 1.0, 1.0 + 2**-23
    scores = torch.tensor([low, high])
    for amount in (0.25, 0.75):
        pruned = prune({"w": scores}, Mask.ones({"w": scores}), amount, threshold="percentile")
        assert pruned["w"].tolist() == [False, True]
