"""`prune` against a brute-force loop, `torch.nn.utils.prune`, `numpy.percentile` and closed forms."""

import math
from collections.abc import Mapping
from itertools import chain

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.utils import prune as torch_prune

from lt_lightning.lottery import LotteryError, Mask, prune
from lt_lightning.lottery.ranking import lowest

# Few distinct values make many ties; all are exact in every floating type.
VALUES = (0.0, -0.0, 0.25, 0.5, 1.0, 3.0, -2.0, math.inf, -math.inf, math.nan)
DTYPES = (torch.float64, torch.float32, torch.bfloat16, torch.float16)
shapes = st.lists(st.integers(0, 4), max_size=3).map(tuple)
amounts = st.floats(0, 1) | st.sampled_from((0.0, 0.2, 0.5, 1.0))


@st.composite
def tensors(draw: st.DrawFn, shape: tuple[int, ...], values: tuple, dtype: torch.dtype) -> Tensor:
    """A tensor of `shape`, laid out in memory in one of four ways."""
    entries = draw(st.lists(st.sampled_from(values), min_size=math.prod(shape), max_size=math.prod(shape)))
    tensor = torch.tensor(entries, dtype=dtype).reshape(shape)
    layout = draw(st.sampled_from(("contiguous", "transposed", "strided", "expanded")))
    if layout == "transposed":
        backwards = tuple(reversed(range(tensor.ndim)))
        return tensor.permute(backwards).contiguous().permute(backwards)
    if layout == "strided":
        return torch.stack((tensor, tensor.logical_not().to(dtype)), dim=-1)[..., 0]
    if layout == "expanded" and tensor.numel():
        return tensor.flatten()[0].expand(shape)  # one number in memory, however many entries
    return tensor


@st.composite
def cases(draw: st.DrawFn) -> tuple[dict[str, Tensor], Mask]:
    dtype = draw(st.sampled_from(DTYPES))
    sizes = {f"p{index}": shape for index, shape in enumerate(draw(st.lists(shapes, max_size=3)))}
    scores = {name: draw(tensors(shape, VALUES, dtype)) for name, shape in sizes.items()}
    return scores, Mask({name: draw(tensors(shape, (True, False), torch.bool)) for name, shape in sizes.items()})


def without_lowest(scores: list[float], alive: list[bool], amount: float) -> list[bool]:
    """The rule as a loop: sort the living by (score, position), NaN last, and let the first round(share) go."""
    living = sorted(
        (math.isnan(score), 0.0 if math.isnan(score) else score, position)
        for position, score in enumerate(scores)
        if alive[position]
    )
    gone = {position for _, _, position in living[: round(amount * len(living))]}
    return [is_alive and position not in gone for position, is_alive in enumerate(alive)]


def brute_force(scores: Mapping[str, Tensor], mask: Mapping[str, Tensor], amount: float, scope: str) -> dict[str, list]:
    flat_scores = {name: scores[name].flatten().tolist() for name in mask}
    flat_mask = {name: mask[name].flatten().tolist() for name in mask}
    if scope == "layerwise":
        return {name: without_lowest(flat_scores[name], flat_mask[name], amount) for name in mask}
    kept = without_lowest([*chain(*flat_scores.values())], [*chain(*flat_mask.values())], amount)
    return {name: [kept.pop(0) for _ in flat_mask[name]] for name in mask}


def bits(*tensors: Mapping[str, Tensor]) -> list[bytes]:
    """What stands in memory, by which NaN equals NaN and 0.0 does not equal -0.0."""
    flat = [
        tensor.flatten().clone(memory_format=torch.contiguous_format) for group in tensors for tensor in group.values()
    ]
    return [tensor.view(torch.uint8).numpy().tobytes() for tensor in flat]


@pytest.mark.parametrize("scope", ["layerwise", "global"])
@given(case=cases(), amount=amounts)
def test_what_goes_is_what_a_brute_force_loop_lets_go(scope, case, amount):
    scores, mask = case
    pruned = prune(scores, mask, amount, scope=scope)
    assert {name: tensor.flatten().tolist() for name, tensor in pruned.items()} == brute_force(
        scores, mask, amount, scope
    )
    assert list(pruned) == list(mask)
    assert all(pruned[name].shape == mask[name].shape for name in mask)


@pytest.mark.parametrize("settings", [{}, {"scope": "global"}, {"threshold": "percentile"}], ids=str)
@given(case=cases(), amount=amounts)
def test_pruning_is_pure_and_repeatable_and_only_ever_takes_away(settings, case, amount):
    scores, mask = case
    before = bits(scores, mask)
    pruned = prune(scores, mask, amount, **settings)
    assert bits(scores, mask) == before
    assert prune(scores, mask, amount, **settings) == pruned
    assert pruned.is_subset_of(mask)
    for name in pruned:
        pruned[name].fill_(False)  # shares no memory with the argument either
    assert bits(scores, mask) == before


@given(case=cases(), amount=amounts)
def test_counts_are_exact_whatever_the_scores(case, amount):
    scores, mask = case
    layerwise = prune(scores, mask, amount, scope="layerwise")
    assert layerwise.counts == {name: alive - round(amount * alive) for name, alive in mask.counts.items()}
    assert prune(scores, mask, amount, scope="global").alive == mask.alive - round(amount * mask.alive)


def all_but_the_smallest(mask: Mask, amount: float) -> dict[str, int]:
    spared = min(mask, key=mask.counts.__getitem__)
    return {name: 0 if name == spared else math.ceil(amount * alive) for name, alive in mask.counts.items()}


@pytest.mark.parametrize("scope", [all_but_the_smallest, f"{__name__}.all_but_the_smallest"], ids=["function", "path"])
@given(case=cases(), amount=amounts)
def test_a_scope_of_ones_own_prunes_as_many_of_each_parameter_as_it_returns(scope, case, amount):
    scores, mask = case
    if not mask:
        return
    counts = all_but_the_smallest(mask, amount)
    pruned = prune(scores, mask, amount, scope=scope)
    for name, tensor in mask.items():
        alive = tensor.flatten().tolist()
        share = counts[name] / max(1, sum(alive))
        assert round(share * sum(alive)) == counts[name]
        assert pruned[name].flatten().tolist() == without_lowest(scores[name].flatten().tolist(), alive, share)


@pytest.mark.parametrize(("scope", "words"), [
    (lambda amount: amount, r"<lambda> returned 0.5 for 'w'; return .* from 0 to 3"),
    (lambda scores: {"w": 4}, "returned 4 for 'w'"),
    (lambda scores: {"w": -1}, "returned -1 for 'w'"),
    (lambda scores: {}, "returned None for 'w'"),
    (lambda shapes, rounds: {}, "asks for 'rounds', which is none of scores, mask, amount"),
    ("no_such_package.f", "cannot be imported"),
])  # fmt: skip
def test_a_scope_that_returns_no_counts_is_refused(scope, words):
    with pytest.raises(LotteryError, match=rf"^scope: .*{words}"):
        prune({"w": torch.ones(3)}, Mask.ones({"w": torch.empty(3)}), 0.5, scope=scope)


@pytest.mark.parametrize("value", [0.0, 1.0, math.inf, math.nan])
def test_among_equals_the_first_positions_go(value):
    mask = Mask({"w": torch.tensor([[True, False, True], [True, True, True]])})
    pruned = prune({"w": torch.full((2, 3), value)}, mask, 0.4)
    assert pruned["w"].tolist() == [[False, False, False], [True, True, True]]


def test_globally_the_first_tensors_go_among_equals():
    mask = Mask.ones({"b": torch.empty(2), "a": torch.empty(2)})
    pruned = prune({"a": torch.ones(2), "b": torch.ones(2)}, mask, 0.5, scope="global")
    assert pruned == Mask({"b": torch.tensor([False, False]), "a": torch.tensor([True, True])})


def test_nan_and_infinite_scores_stay_longest():
    scores = torch.tensor([math.nan, 2.0, math.inf, 1.0, math.nan, -math.inf])
    mask, order = Mask.ones({"w": scores}), []
    while mask.alive:
        smaller = prune({"w": scores}, mask, 1 / mask.alive)
        order += (mask["w"] & ~smaller["w"]).nonzero().flatten().tolist()
        mask = smaller
    assert order == [5, 3, 1, 2, 0, 4]


@pytest.mark.parametrize("scope", ["layerwise", "global"])
def test_pruning_agrees_with_torch(scope):
    torch.manual_seed(2)
    layers = {"a": nn.Linear(7, 5), "b": nn.Linear(3, 13), "c": nn.Conv1d(2, 4, 3)}
    mask = Mask.ones({name: layer.weight for name, layer in layers.items()})
    for _ in range(4):
        scores = {name: layer.weight.detach().abs() for name, layer in layers.items()}
        mask = prune(scores, mask, 0.2, scope=scope)
        if scope == "global":
            weights = [(layer, "weight") for layer in layers.values()]
            torch_prune.global_unstructured(weights, pruning_method=torch_prune.L1Unstructured, amount=0.2)
        else:
            for layer in layers.values():
                torch_prune.l1_unstructured(layer, "weight", amount=0.2)
        for name, layer in layers.items():
            assert torch.equal(mask[name], layer.weight_mask.bool())


@pytest.mark.parametrize("scope", ["layerwise", "global"])
def test_twenty_rounds_of_a_fifth_leave_1_15_per_cent(scope):
    torch.manual_seed(3)
    mask = Mask.ones({"a": torch.empty(300, 200), "b": torch.empty(40_000)})
    for _ in range(20):
        mask = prune({name: torch.rand(tensor.shape) for name, tensor in mask.items()}, mask, 0.2, scope=scope)
    assert mask.alive / mask.total == pytest.approx(0.8**20, abs=2e-5)
    assert f"{1 - mask.sparsity:.2%}" == "1.15%"


def notebook_rule(weights: np.ndarray, mask: np.ndarray, percent: float) -> np.ndarray:
    survivors = np.abs(weights[weights != 0])
    if survivors.size == 0:
        return mask
    return mask & ~(np.abs(weights) < np.percentile(survivors, percent))


@pytest.mark.parametrize("amount", [0.05, 0.2, 0.25, 0.5, 0.9])
@pytest.mark.parametrize("size", [1, 2, 3, 11, 100, 257])
def test_percentile_rounds_equal_the_notebooks_rule(amount, size):
    generator = np.random.default_rng(size)
    expected = np.ones(size, dtype=bool)
    mask = Mask.ones({"w": torch.empty(size)})
    for _ in range(4):
        weights = generator.normal(size=size) * expected
        mask = prune({"w": torch.from_numpy(weights).abs()}, mask, amount, threshold="percentile")
        expected = notebook_rule(weights, expected, 100 * amount)
        assert mask["w"].tolist() == expected.tolist()


def test_percentile_leaves_a_tensor_of_zeros_alone():
    mask = Mask({"bias": torch.tensor([True, False, True]), "none": torch.ones(0, dtype=torch.bool)})
    pruned = prune({"bias": torch.zeros(3), "none": torch.zeros(0)}, mask, 0.5, threshold="percentile")
    assert pruned == mask
    assert pruned["bias"] is not mask["bias"]


@pytest.mark.filterwarnings("ignore:invalid value")  # NumPy's, of infinity less infinity
@given(case=cases(), amount=amounts)
def test_percentiles_of_any_scores_are_numpys(case, amount):
    scores, mask = case
    pruned = prune(scores, mask, amount, threshold="percentile")
    for name, alive in mask.items():
        values = scores[name].double().numpy()
        values_to_rank = values[values != 0]
        # Among infinities and NaN there is no number between two neighbours: nothing is strictly below that.
        if np.isfinite(values_to_rank).all() and values_to_rank.size:
            expected = alive.numpy() & ~(values < np.percentile(values_to_rank, 100 * amount))
            ranks = amount * (values_to_rank.size - 1)
            if abs(ranks - round(ranks)) > 1e-9 or amount in (0.0, 0.5, 1.0):  # else rounding decides between equals
                assert pruned[name].tolist() == expected.tolist()


@pytest.mark.slow
def test_percentile_works_beyond_the_size_that_torch_quantile_takes():
    scores = torch.arange(2**24 + 5, dtype=torch.float64)
    pruned = prune({"w": scores}, Mask.ones({"w": scores}), 0.25, threshold="percentile")
    # Of 1 … n the quarter percentile is 1 + (n - 1)/4; 0 goes as well, because it is zero.
    assert pruned.alive == len(scores) - math.ceil(1 + (len(scores) - 2) / 4)


@pytest.mark.parametrize(("scores", "settings", "words"), [
    ({"w": torch.ones(3)}, {"amount": 1.5}, "amount"), ({"w": torch.ones(3)}, {"amount": -0.1}, "amount"),
    ({"w": torch.ones(3)}, {"amount": math.nan}, "amount"), ({"w": torch.ones(4)}, {}, "'w'"),
    ({"v": torch.ones(3)}, {}, "'w'"), ({"w": torch.ones(3)}, {"scope": "local"}, "scope"),
    ({"w": torch.ones(3)}, {"threshold": "median"}, "threshold"),
    ({"w": torch.ones(3)}, {"threshold": "percentile", "scope": "global"}, "percentile"),
])  # fmt: skip
def test_what_does_not_fit_is_refused_by_name(scores, settings, words):
    with pytest.raises(LotteryError, match=words):
        prune(scores, Mask.ones({"w": torch.empty(3)}), **{"amount": 0.5, **settings})


@pytest.mark.parametrize("seed", range(15))
def test_tensors_that_compete_are_pruned_as_their_concatenation(seed):
    generator = torch.Generator().manual_seed(seed)
    sizes = [(3, 1000, 60_000, 90_000)[int(one)] for one in torch.randint(4, (3,), generator=generator)]
    scores = [torch.randn(size, generator=generator, dtype=torch.float64) for size in sizes]
    if seed % 3 == 0:  # ties
        scores = [score.mul(3).round() for score in scores]
    if seed % 5 == 0:
        scores = [score.masked_fill(torch.rand(len(score), generator=generator) < 0.1, torch.nan) for score in scores]
    share = (0.05, 0.3, 0.9)[seed % 3]
    alive = [torch.rand(size, generator=generator) < share for size in sizes]
    living = sum(int(one.count_nonzero()) for one in alive)
    for count in (0, 1, living // 20, living // 3, living // 2, living):
        pruned = torch.cat(lowest.without_lowest_of_all(scores, alive, count))
        assert torch.equal(pruned, lowest.without_lowest(torch.cat(scores), torch.cat(alive), count))
        assert int(pruned.count_nonzero()) == living - count
