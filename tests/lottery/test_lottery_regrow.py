"""`regrow` against brute-force loops, and the sparsity of gradual pruning against the paper's values."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lt_lightning.lottery import LotteryError, Mask, cubic_sparsity, prune_to, regrow

SHAPES = ((4, 4), (8,), (2, 4, 3), (6, 8))
PATTERNS = ("unstructured", "2:4", "block:2x1", "rows", "rows:l2")


def drop_and_grow(
    weights: np.ndarray, alive: np.ndarray, scores: np.ndarray, k: int, group: int | None = None
) -> np.ndarray:
    """One sort of the living, one of all that are not kept; with `group`, one for each group of inputs."""
    flat_weights, flat_alive, flat_scores = (array.reshape(-1) for array in (weights, alive, scores))
    living = [place for place in range(alive.size) if flat_alive[place]]
    dropped = sorted(living, key=lambda place: abs(flat_weights[place]))[:k]
    kept = set(living) - set(dropped)
    groups: dict[object, list[int]] = {}
    for place, index in enumerate(np.ndindex(alive.shape)):
        key = None if group is None or alive.ndim == 1 else (index[0], index[1] // group, index[2:])
        groups.setdefault(key, []).append(place)
    for members in groups.values():
        count = len(set(dropped).intersection(members))
        candidates = [place for place in members if place not in kept]
        kept |= set(sorted(candidates, key=lambda place: -flat_scores[place])[:count])
    return np.array([place in kept for place in range(alive.size)]).reshape(alive.shape)


@st.composite
def cases(draw: st.DrawFn) -> tuple[torch.Tensor, torch.Tensor, int, torch.Tensor]:
    """Weights with zeros where pruned, a mask, a number to drop, and scores; few values make many ties."""
    shape, generator = draw(st.sampled_from(SHAPES)), torch.Generator().manual_seed(draw(st.integers(0, 99)))
    values = draw(st.sampled_from((2, 4, 10_000)))
    alive = torch.rand(shape, generator=generator) < draw(st.sampled_from((0.1, 0.5, 1.0)))
    weights = torch.randint(-values, values, shape, generator=generator).double() * alive
    scores = torch.randint(values, shape, generator=generator).float()
    return weights, alive, draw(st.integers(0, int(alive.sum()))), scores


@given(case=cases())
def test_the_smallest_weights_make_room_for_the_highest_scores(case):
    weights, alive, k, scores = case
    before = [tensor.clone() for tensor in (weights, alive, scores)]
    grown = regrow(weights, alive, scores, k)
    assert np.array_equal(grown.numpy(), drop_and_grow(weights.numpy(), alive.numpy(), scores.numpy(), k))
    assert grown.sum() == alive.sum()
    assert all(torch.equal(tensor, old) for tensor, old in zip((weights, alive, scores), before, strict=True))


@given(case=cases())
def test_each_group_of_n_of_m_regrows_what_it_dropped(case):
    weights, alive, k, scores = case
    grown = regrow(weights, alive, scores, k, pattern="2:4")
    assert np.array_equal(grown.numpy(), drop_and_grow(weights.numpy(), alive.numpy(), scores.numpy(), k, group=4))
    if alive.ndim > 1:
        groups = [mask.movedim(1, -1).reshape(-1, 4).sum(dim=1) for mask in (alive, grown)]
        assert torch.equal(*groups)


@pytest.mark.parametrize("pattern", ["block:2x1", "rows", "rows:l2"])
@pytest.mark.parametrize("shape", SHAPES)
@given(seed=st.integers(0, 99), density=st.sampled_from((0.3, 0.5, 0.9)), k=st.integers(0, 9))
def test_whole_units_are_dropped_and_grown(pattern, shape, seed, density, k):
    generator = torch.Generator().manual_seed(seed)
    weights, scores = (torch.randint(5, shape, generator=generator).float() for _ in range(2))
    alive = prune_to({"w": weights}, Mask.ones({"w": weights}), density, pattern=pattern)["w"]
    k = min(k, int(alive.sum()))
    grown = regrow(weights * alive, alive, scores, k, pattern=pattern)
    # A tensor of units is a smaller tensor of their sums.
    living = weights * alive
    if len(shape) == 1:
        norms, size = (living, alive, scores), 1
    elif pattern == "block:2x1":
        norms = (living[::2] + living[1::2], alive[::2], scores[::2] + scores[1::2])
        size = 2
    else:
        order = 1 if pattern == "rows" else 2
        rows = [tensor.flatten(1).norm(order, dim=1) for tensor in (living, scores)]
        norms, size = (rows[0], alive.flatten(1)[:, 0], rows[1]), alive[0].numel()
    expected = torch.from_numpy(drop_and_grow(*(norm.double().round(decimals=5).numpy() for norm in norms), k // size))
    if len(shape) > 1:
        expected = (
            expected.repeat_interleave(2, dim=0)
            if size == 2 and pattern == "block:2x1"
            else expected.view(-1, *[1] * (len(shape) - 1)).expand(shape)
        )
    assert torch.equal(grown, expected)
    assert grown.sum() == alive.sum()


@pytest.mark.parametrize("pattern", PATTERNS)
def test_several_parameters_are_updated_by_name(pattern):
    torch.manual_seed(0)
    weights = {"a": torch.randn(8, 8), "b": torch.randn(4, 8, 3), "bias": torch.randn(8)}
    scores = {name: torch.rand(tensor.shape) for name, tensor in weights.items()}
    mask = prune_to({name: tensor.abs() for name, tensor in weights.items()}, Mask.ones(weights), 0.5, pattern=pattern)
    grown = regrow(weights, mask, scores, {"a": 16, "bias": 2}, pattern=pattern)
    assert isinstance(grown, Mask)
    assert torch.equal(grown["b"], mask["b"])
    assert torch.equal(grown["a"], regrow(weights["a"], mask["a"], scores["a"], 16, pattern=pattern))
    assert grown.counts == mask.counts
    assert not torch.equal(grown["a"], mask["a"])
    everywhere = regrow(weights, mask, scores, 2, pattern=pattern)
    assert all(
        torch.equal(everywhere[name], regrow(weights[name], mask[name], scores[name], 2, pattern=pattern))
        for name in mask
    )


def test_an_entry_is_dropped_and_grown_at_once_if_it_has_the_highest_score():
    weights, mask = torch.tensor([5.0, 1.0, 0.0, 3.0]), torch.tensor([True, True, False, True])
    assert torch.equal(regrow(weights, mask, torch.tensor([0.0, 0.9, 0.5, 9.0]), 1), mask)
    grown = regrow(weights, mask, torch.tensor([0.0, 0.5, 0.9, 9.0]), 1)
    assert grown.tolist() == [True, False, True, True]


def test_among_equal_gradients_the_first_positions_grow():
    mask = torch.tensor([False, False, True, True, True])
    assert regrow(torch.ones(5), mask, torch.zeros(5), 2).tolist() == [True, True, False, False, True]


@pytest.mark.parametrize("negative", [False, True])
@pytest.mark.parametrize("k", [40, 900, 3000])
def test_gradients_of_a_few_words_decide_as_in_a_sort_of_all(k, negative):
    generator = torch.Generator().manual_seed(k)
    weights, alive = torch.randn(1000, 64, generator=generator), torch.rand(1000, 64, generator=generator) < 0.1
    scores = torch.full((1000, 64), -1.0 if negative else 0.0)
    scores[torch.randperm(1000, generator=generator)[:30]] = torch.randint(3, (30, 64), generator=generator).float()
    expected = drop_and_grow((weights * alive).numpy(), alive.numpy(), scores.numpy(), k)
    assert np.array_equal(regrow(weights * alive, alive, scores, k).numpy(), expected)


@pytest.mark.parametrize(("arguments", "words"), [
    ((torch.ones(3), torch.tensor([True, False, True]), torch.ones(3), 3), "k: 3 entries of 'weights' .* 2 are alive"),
    ((torch.ones(3), torch.tensor([True, False, True]), torch.ones(3), -1), "k: -1 entries"),
    ((torch.ones(3), torch.tensor([True, False, True]), torch.ones(4), 1), "differ in shape"),
    (({"w": torch.ones(3)}, Mask({"w": torch.ones(3) > 0}), {}, 1), "scores of 'w' are missing"),
])  # fmt: skip
def test_updates_that_cannot_be_are_refused(arguments, words):
    with pytest.raises(LotteryError, match=words):
        regrow(*arguments)


def test_a_mask_of_parts_of_rows_is_refused():
    mask = torch.eye(4, dtype=torch.bool)
    with pytest.raises(LotteryError, match="only a part of a block or row of 'weights' is alive"):
        regrow(torch.ones(4, 4), mask, torch.ones(4, 4), 1, pattern="rows")


def test_the_sparsity_of_gradual_pruning_is_the_papers():
    expected = [0, 0.2439, 0.4392, 0.5913, 0.7056, 0.7875, 0.8424, 0.8757, 0.8928, 0.8991, 0.9]
    assert [cubic_sparsity(5 + 7 * k, 5, 75, 7, 0.0, 0.9) for k in range(11)] == pytest.approx(expected, abs=1e-12)


@given(
    begin=st.integers(0, 20), length=st.integers(0, 50), every=st.integers(1, 20), step=st.integers(0, 100),
    initial=st.floats(0, 1), final=st.floats(0, 1),
)  # fmt: skip
def test_the_sparsity_holds_between_pruning_steps_and_never_falls(begin, length, every, step, initial, final):
    initial, final = min(initial, final), max(initial, final)
    end = begin + length
    curve = [cubic_sparsity(t, begin, end, every, initial, final) for t in range(101)]
    assert all(value == initial for value in curve[:begin])
    assert all(value == final for value in curve[end:])
    assert all(low <= high + 1e-12 for low, high in pairwise(curve))
    if begin <= step < end:
        assert curve[step] == curve[step - (step - begin) % every]
        t = step - (step - begin) % every
        assert curve[step] == pytest.approx(final + (initial - final) * (1 - (t - begin) / length) ** 3)


@pytest.mark.parametrize(("settings", "words"), [((0, 0, 10, 0), "every: 0"), ((0, 10, 5, 1), "end: step 5 is before")])
def test_times_that_cannot_be_are_refused(settings, words):
    with pytest.raises(LotteryError, match=words):
        cubic_sparsity(*settings, 0.0, 0.9)
