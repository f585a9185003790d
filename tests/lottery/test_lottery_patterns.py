"""Patterns against brute-force loops in NumPy."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn.utils import prune as torch_prune

from lt_lightning.lottery import LotteryError, Mask, parse_pattern, prune, prune_to
from lt_lightning.lottery.patterns import Block, NOfM, Rows, Unstructured, check_shapes

BLOCKS = ("block:2x1", "block:1x2", "block:2x2", "rows", "rows:l2")
GROUPS = ("1:2", "2:4", "1:4", "3:4")
SHAPES = ((4, 4), (8,), (2, 4, 3), (6, 8), (2, 8))
"""All divide into every block and group above."""


@pytest.mark.parametrize(("text", "expected"), [
    ("unstructured", Unstructured()), ("2:4", NOfM(2, 4)), ("1:16", NOfM(1, 16)), ("block:4x1", Block(4, 1)),
    ("block:1x32", Block(1, 32)), ("rows", Rows("l1")), ("rows:l1", Rows("l1")), ("rows:l2", Rows("l2")),
])  # fmt: skip
def test_patterns_are_parsed(text, expected):
    assert parse_pattern(text) == expected
    assert parse_pattern(expected) == expected


@pytest.mark.parametrize("text", [
    "", "4:2", "2:2", "0:4", "2:4 ", "-2:4", "2.5:4", "block:4", "block:0x4", "block:4x", "columns", "rows:l3", None,
    True, 24, "x" * 1000, "2:4\n", "9999999999:9999999999999",
])  # fmt: skip
def test_what_is_no_pattern_is_refused(text):
    with pytest.raises(LotteryError, match=r"^pattern: [^\n]{1,150}$"):
        parse_pattern(text)


def test_two_of_four_of_the_example():
    scores = torch.tensor([[4.0, 1, 3, 2, 8, 7, 5, 6]])
    pruned = prune({"w": scores}, Mask.ones({"w": scores}), 0.2, pattern="2:4")
    assert "".join(map(str, pruned["w"].int().flatten().tolist())) == "10101100"


def test_the_inputs_of_a_convolution_lie_on_axis_1():
    scores = torch.rand(3, 8, 5)
    alive = prune({"w": scores}, Mask.ones({"w": scores}), 0.2, pattern="2:4")["w"]
    for out in range(3):
        for place in range(5):
            for first in (0, 4):
                group = slice(first, first + 4)
                expected = scores[out, group, place] >= scores[out, group, place].sort().values[2]
                assert torch.equal(alive[out, group, place], expected)


@st.composite
def cases(draw: st.DrawFn, *, whole: bool = False) -> tuple[dict[str, torch.Tensor], Mask]:
    """Scores of few values, so that there are many ties, and a mask with dead entries, groups and rows."""
    shapes = dict(zip("abcd", draw(st.lists(st.sampled_from(SHAPES), min_size=1, max_size=4)), strict=False))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 99)))
    values = draw(st.sampled_from((2, 5, 10_000)))
    scores = {name: torch.randint(values, shape, generator=generator).float() for name, shape in shapes.items()}
    scores = {name: torch.where(tensor == 1, -0.0, tensor) for name, tensor in scores.items()}
    if whole:
        return scores, Mask.ones(scores)
    alive = {name: torch.rand(tensor.shape, generator=generator) < 0.7 for name, tensor in scores.items()}
    for tensor in alive.values():
        tensor[0] = draw(st.booleans())
    return scores, Mask(alive)


def group_by_group(scores: np.ndarray, alive: np.ndarray, m: int, stay: int) -> np.ndarray:
    """One group at a time: the lowest of the living go, among equals the first."""
    kept = alive.copy()
    for out in range(alive.shape[0]):
        for rest in np.ndindex(alive.shape[2:]):
            for first in range(0, alive.shape[1], m):
                places = [(out, column, *rest) for column in range(first, first + m)]
                living = [place for place in places if alive[place]]
                for place in sorted(living, key=lambda place: scores[place])[: max(0, len(living) - stay)]:
                    kept[place] = False
    return kept


@pytest.mark.parametrize("pattern", GROUPS)
@pytest.mark.parametrize("scope", ["layerwise", "global"])
@given(case=cases(), density=st.floats(0.01, 1))
def test_n_of_m_is_what_a_loop_over_groups_leaves(pattern, scope, case, density):
    scores, mask = case
    n, m = map(int, pattern.split(":"))
    at_once = prune(scores, mask, 0.1, scope=scope, pattern=pattern)
    step = prune_to(scores, mask, density, scope=scope, pattern=pattern)
    for pruned, stay in ((at_once, n), (step, min(m, max(n, math.ceil(density * m))))):
        assert pruned.is_subset_of(mask)
        for name, alive in mask.items():
            if alive.ndim == 1:
                assert torch.equal(pruned[name], alive)
            else:
                expected = group_by_group(scores[name].numpy(), alive.numpy(), m, stay)
                assert np.array_equal(pruned[name].numpy(), expected)


def test_gradual_densities_take_one_of_each_group_at_a_time():
    torch.manual_seed(0)
    mask = Mask.ones({"w": torch.empty(6, 8), "bias": torch.empty(6)})
    left = []
    for density in (1.0, 0.99, 0.75, 0.74, 0.5, 0.25):
        scores = {name: torch.rand(tensor.shape) for name, tensor in mask.items()}
        smaller = prune_to(scores, mask, density, pattern="2:4")
        assert smaller.is_subset_of(mask)
        mask = smaller
        left.append(mask.counts["w"] / 48)
    assert left == [1, 1, 0.75, 0.75, 0.5, 0.5]
    assert mask.counts["bias"] == 6


def units_of(pattern: str, shape: tuple[int, ...]) -> list[list[tuple[int, ...]]]:
    """The places of each unit, in order."""
    places = list(np.ndindex(shape))
    if len(shape) == 1:
        return [[place] for place in places]
    if pattern.startswith("rows"):
        return [[place for place in places if place[0] == row] for row in range(shape[0])]
    rows, columns = map(int, pattern.removeprefix("block:").split("x"))
    flat = np.arange(math.prod(shape)).reshape(shape[0], -1)
    return [
        [places[number] for number in flat[row : row + rows, column : column + columns].flat]
        for row in range(0, flat.shape[0], rows)
        for column in range(0, flat.shape[1], columns)
    ]


def score_of(pattern: str, values: list[float]) -> float:
    return math.sqrt(sum(value**2 for value in values)) if pattern == "rows:l2" else math.fsum(values)


def mean_of(pattern: str, values: list[float]) -> float:
    if len(values) == 1:
        return values[0]
    mean = math.fsum(value**2 if pattern == "rows:l2" else value for value in values) / len(values)
    return math.sqrt(mean) if pattern == "rows:l2" else mean


def living_values(scores: np.ndarray, alive: np.ndarray, unit: list[tuple[int, ...]]) -> list[float]:
    return [float(scores[place]) if alive[place] else 0.0 for place in unit]


@pytest.mark.slow
@pytest.mark.parametrize("pattern", BLOCKS)
@given(case=cases(), amount=st.floats(0, 1))
def test_each_tensor_loses_the_share_of_its_living_units_that_score_lowest(pattern, case, amount):
    scores, mask = case
    pruned = prune(scores, mask, amount, pattern=pattern)
    assert pruned == prune(scores, mask, amount, pattern=pattern)
    for name, tensor in mask.items():
        alive, values = tensor.numpy(), scores[name].numpy()
        living = [unit for unit in units_of(pattern, alive.shape) if any(alive[place] for place in unit)]
        ranked = sorted(living, key=lambda unit: score_of(pattern, living_values(values, alive, unit)))
        expected = alive.copy()
        for unit in ranked[: round(amount * len(living))]:
            for place in unit:
                expected[place] = False
        assert np.array_equal(pruned[name].numpy(), expected)


@pytest.mark.parametrize("pattern", BLOCKS)
@given(case=cases(), amount=st.floats(0, 1))
def test_units_of_several_tensors_go_by_mean_score_within_the_entries_to_prune(pattern, case, amount):
    scores, mask = case
    pruned = prune(scores, mask, amount, scope="global", pattern=pattern)
    ranked = []
    for name, tensor in mask.items():
        for unit in units_of(pattern, tuple(tensor.shape)):
            living = sum(bool(tensor[place]) for place in unit)
            if living:
                values = living_values(scores[name].numpy(), tensor.numpy(), unit)
                ranked.append((mean_of(pattern, values), living, name, unit))
    ranked.sort(key=lambda unit: unit[0])
    expected, left = {name: tensor.numpy().copy() for name, tensor in mask.items()}, round(amount * mask.alive)
    for _, living, name, unit in ranked:
        if living > left:
            break
        left -= living
        for place in unit:
            expected[name][place] = False
    assert all(np.array_equal(pruned[name].numpy(), expected[name]) for name in mask)
    assert pruned.alive >= mask.alive - round(amount * mask.alive)


@pytest.mark.parametrize("pattern", BLOCKS)
@given(case=cases(whole=True), densities=st.tuples(st.floats(0.01, 1), st.floats(0.01, 1)))
def test_whole_units_stay_at_a_density_and_masks_are_nested(pattern, case, densities):
    scores, mask = case
    for density in sorted(densities, reverse=True):
        smaller = prune_to(scores, mask, density, pattern=pattern)
        assert smaller.is_subset_of(mask)
        mask = smaller
        for tensor in mask.values():
            units = units_of(pattern, tuple(tensor.shape))
            counts = [sum(bool(tensor[place]) for place in unit) for unit in units]
            assert set(counts) <= {0, len(units[0])}
            assert sum(map(bool, counts)) == round(density * len(units))


@pytest.mark.parametrize("pattern", [*BLOCKS, *GROUPS])
@pytest.mark.parametrize("scope", ["layerwise", "global", "erk"])
def test_patterns_go_with_every_scope_and_leave_at_least_the_density(pattern, scope):
    torch.manual_seed(3)
    scores = {
        "embedding": torch.rand(60, 8),
        "conv": torch.rand(12, 8, 3),
        "bias": torch.rand(12),
        "fc": torch.rand(4, 12),
    }
    mask, shape = Mask.ones(scores), {name: tensor.shape for name, tensor in scores.items()}
    pruned = prune_to(scores, mask, 0.5, scope=scope, pattern=pattern)
    assert pruned.is_subset_of(mask)
    if pattern in BLOCKS and scope != "layerwise":
        assert 0.5 <= pruned.alive / pruned.total < 0.5 + 24 * len(shape) / pruned.total
    if pattern in BLOCKS and scope == "erk":
        exact = prune_to(scores, mask, 0.5, scope="erk").counts
        assert all(0 <= pruned.counts[name] - exact[name] < math.prod(shape[name][1:]) for name in shape)


@pytest.mark.parametrize(("pattern", "shape", "words"), [
    ("2:4", (10, 30), r"2:4 groups the inputs \(axis 1\) of 'fc' by 4, but its shape is \(10, 30\); exclude this"),
    ("2:4", (8, 6, 4), r"but its shape is \(8, 6, 4\)"),
    ("block:4x1", (10, 4), r"'fc' of shape \(10, 4\), seen as 10 x 4, does not divide into blocks of 4x1;"),
    ("block:2x8", (10, 3, 4), "seen as 10 x 12"),
])  # fmt: skip
def test_shapes_that_do_not_divide_are_refused(pattern, shape, words):
    scores = {"fc": torch.rand(shape)}
    calls = (
        lambda: prune(scores, Mask.ones(scores), 0.5, pattern=pattern),
        lambda: prune_to(scores, Mask.ones(scores), 0.5, pattern=pattern, scope="global"),
        lambda: check_shapes(pattern, {"fc": shape}),
    )
    for call in calls:
        with pytest.raises(LotteryError, match=rf"^pattern: .*{words}"):
            call()


@pytest.mark.parametrize("pattern", [*BLOCKS, *GROUPS])
def test_nan_scores_stay_longest(pattern):
    scores = torch.rand(8, 8)
    scores[2:4, 4:6] = math.nan
    alive = prune({"w": scores}, Mask.ones({"w": scores}), 0.5, pattern=pattern)["w"]
    if pattern in GROUPS:
        assert alive[2:4, 4].all() or pattern.startswith("1:")
    else:
        assert alive[2:4, 4:6].all()


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16, torch.int64])
def test_scores_of_any_type_are_ranked(dtype):
    scores = torch.arange(64).reshape(8, 8).to(dtype)
    mask = Mask.ones({"w": scores})
    assert prune({"w": scores}, mask, 0.5, pattern="rows")["w"].sum(dim=1).tolist() == [0] * 4 + [8] * 4
    assert prune({"w": scores}, mask, 0.5, pattern="1:4")["w"].nonzero()[:, 1].unique().tolist() == [3, 7]


@pytest.mark.parametrize(("pattern", "norm"), [("rows", 1), ("rows:l2", 2)])
def test_rows_agree_with_torch(pattern, norm):
    torch.manual_seed(4)
    layers = {"a": nn.Linear(7, 12), "b": nn.Conv1d(3, 10, 4), "c": nn.Embedding(30, 5)}
    mask = Mask.ones({name: layer.weight for name, layer in layers.items()})
    scores = {name: layer.weight.detach().abs() for name, layer in layers.items()}
    pruned = prune(scores, mask, 0.3, pattern=pattern)
    for name, layer in layers.items():
        torch_prune.ln_structured(layer, "weight", amount=0.3, n=norm, dim=0)
        assert torch.equal(pruned[name], layer.weight_mask.bool())


def test_two_of_four_agrees_with_torchs_sparsifier():
    pruning = pytest.importorskip("torch.ao.pruning")
    torch.manual_seed(5)
    network = nn.Sequential(nn.Linear(16, 6))
    scores = {"0.weight": network[0].weight.detach().square()}
    sparsifier = pruning.WeightNormSparsifier(sparsity_level=1.0, sparse_block_shape=(1, 4), zeros_per_block=2)
    sparsifier.prepare(network, [{"tensor_fqn": "0.weight"}])
    sparsifier.step()
    theirs = network[0].parametrizations.weight[0].mask.bool()
    assert torch.equal(prune(scores, Mask.ones(scores), 0.5, pattern="2:4")["0.weight"], theirs)
