"""Scopes against closed forms, the paper's own algorithm as a loop, and a brute-force pruning."""

import math
import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

from lt_lightning.lottery import LotteryError, Mask, counts_after, densities, prune, prune_to
from lt_lightning.lottery.scopes import check_amounts, groups

MULTICNN = {
    "embedding": (10_025, 100), "conv3": (100, 100, 3), "conv4": (100, 100, 4), "conv5": (100, 100, 5), "fc": (4, 300),
}  # fmt: skip
"""The weights of MultiCNN with 10,025 words and four classes."""

SCOPES = ("layerwise", "global", "erk")
all_shapes = st.dictionaries(
    st.sampled_from("abcd"), st.lists(st.integers(1, 6), min_size=1, max_size=3).map(tuple), min_size=1
)
shares = st.floats(0.01, 1) | st.sampled_from((0.05, 0.1, 0.5, 1.0))


def unless_nothing_is_left(function, *arguments, **settings):
    """Return the result, or None where `erk` would leave a tensor without entries."""
    try:
        return function(*arguments, **settings)
    except LotteryError as error:
        if "leaves none of the" not in str(error):
            raise
        return None


def sizes_of(shapes: dict[str, tuple[int, ...]]) -> dict[str, int]:
    return {name: math.prod(shape) for name, shape in shapes.items()}


def erk_of_the_authors(shapes: dict[str, tuple[int, ...]], density: float) -> dict[str, float]:
    """The loop of the paper's code: the densest layers become dense, one value at a time, until the rest fits."""
    dense: set[str] = set()
    while True:
        divisor = right = 0.0
        raw = {}
        for name, shape in shapes.items():
            size = np.prod(shape)
            if name in dense:
                right -= size * (1 - density)
            else:
                right += size * density
                raw[name] = np.sum(shape) / size
                divisor += raw[name] * size
        if not raw:
            return dict.fromkeys(shapes, 1.0)
        scale, largest = right / divisor, max(raw.values())
        if largest * scale <= 1:
            return {name: 1.0 if name in dense else raw[name] * scale for name in shapes}
        dense |= {name for name, value in raw.items() if value == largest}


@pytest.mark.parametrize(("exclude", "expected"), [
    ((), {"embedding": 0.1045719733, "conv3": 0.0700615007, "conv4": 0.0528049735, "conv5": 0.0424510571, "fc": 1.0}),
    (("embedding",), {"conv3": 0.1207, "conv4": 0.0910, "conv5": 0.0732, "fc": 1.0}),
])  # fmt: skip
def test_the_kernels_densities_of_the_convolutional_network(exclude, expected):
    found = densities("erk", {name: shape for name, shape in MULTICNN.items() if name not in exclude}, 0.1)
    assert found == pytest.approx(expected, abs=1e-10 if not exclude else 5e-5)


@given(shapes=all_shapes, density=shares)
def test_erk_is_the_authors_loop_and_keeps_the_density_of_the_whole(shapes, density):
    found = unless_nothing_is_left(densities, "erk", shapes, density)
    if found is None:
        return
    assert found == pytest.approx(erk_of_the_authors(shapes, density), abs=1e-9)
    sizes = sizes_of(shapes)
    assert sum(found[name] * sizes[name] for name in shapes) == pytest.approx(density * sum(sizes.values()))


def test_layerwise_gives_each_tensor_the_same_density():
    assert densities("layerwise", MULTICNN, 0.1) == dict.fromkeys(MULTICNN, 0.1)


@pytest.mark.parametrize(("scope", "density", "words"), [
    ("global", 0.1, "scope: 'global' has no densities before"),
    ("erk", 0.0, r"density: 0.0 is not in \(0, 1\]"),
    ("layerwise", 1.5, r"density: 1.5 is not in \(0, 1\]"),
    ("erk", math.nan, "density: nan"),
    ("erk", 1e-6, "scope: erk at density 1e-06 leaves none of the 30,000 entries of 'conv3'; give a larger density"),
])  # fmt: skip
def test_densities_that_cannot_be_are_refused(scope, density, words):
    with pytest.raises(LotteryError, match=f"^{words}") as error:
        densities(scope, MULTICNN, density)
    assert "\n" not in str(error.value)


def test_densities_are_computed_without_torch():
    code = (
        "from lt_lightning.lottery import counts_after, cubic_sparsity, densities, parse_pattern; import sys\n"
        "densities('erk', {'a': (4, 4)}, 0.5), counts_after({'a': 16}, {'a': (4, 4)}, 0.5), parse_pattern('2:4')\n"
        "print('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


@st.composite
def cases(draw: st.DrawFn, *, whole: bool = False) -> tuple[dict[str, torch.Tensor], Mask]:
    shapes, seed = draw(all_shapes), draw(st.integers(0, 99))
    generator = torch.Generator().manual_seed(seed)
    coarse = draw(st.sampled_from((3, 1000)))  # few values make many ties
    scores = {name: torch.randint(coarse, shape, generator=generator).float() for name, shape in shapes.items()}
    density = 1.0 if whole else draw(st.sampled_from((0.3, 0.7, 1.0)))
    return scores, Mask(
        {name: torch.rand(tensor.shape, generator=generator) < density for name, tensor in scores.items()}
    )


def lowest_gone(scores: dict[str, np.ndarray], alive: dict[str, np.ndarray], count: int) -> dict[str, np.ndarray]:
    """The lowest scores of several tensors go, ties by position: one Python sort of all living entries."""
    living = [
        (scores[name].flat[place], number, place, name)
        for number, name in enumerate(alive)
        for place in range(alive[name].size)
        if alive[name].flat[place]
    ]
    left = {name: tensor.copy() for name, tensor in alive.items()}
    for _, _, place, name in sorted(living)[:count]:
        left[name].flat[place] = False
    return left


def arrays(tensors) -> dict[str, np.ndarray]:
    return {name: tensor.numpy() for name, tensor in tensors.items()}


def equal(mask: Mask, expected: dict[str, np.ndarray]) -> bool:
    return list(mask) == list(expected) and all(np.array_equal(mask[name].numpy(), expected[name]) for name in mask)


@pytest.mark.parametrize("scope", SCOPES)
@given(case=cases(whole=True), density=shares)
def test_a_density_is_reached_exactly_by_the_lowest_scores(scope, case, density):
    scores, mask = case
    sizes = {name: tensor.numel() for name, tensor in mask.items()}
    pruned = unless_nothing_is_left(prune_to, scores, mask, density, scope=scope)
    if pruned is None:
        assert scope == "erk"
        return
    assert pruned.is_subset_of(mask)
    assert pruned == prune_to(scores, mask, density, scope=scope)
    if scope == "layerwise":
        assert pruned.counts == {name: round(density * size) for name, size in sizes.items()}
    else:
        assert pruned.alive == round(density * mask.total)
    if scope == "erk":
        exact = densities("erk", {name: tuple(tensor.shape) for name, tensor in mask.items()}, density)
        assert all(abs(pruned.counts[name] - exact[name] * sizes[name]) < 1 + 1e-9 for name in mask)
    names = [tuple(mask)] if scope == "global" else [(name,) for name in mask]
    for together in names:
        part = Mask({name: mask[name] for name in together})
        count = part.alive - sum(pruned.counts[name] for name in together)
        expected = lowest_gone(arrays(scores), arrays(part), count)
        assert equal(Mask({name: pruned[name] for name in together}), expected)


@pytest.mark.parametrize("scope", SCOPES)
@given(case=cases(whole=True), first=shares, second=shares)
def test_masks_of_falling_densities_are_nested(scope, case, first, second):
    scores, mask = case
    first, second = max(first, second), min(first, second)
    expected = unless_nothing_is_left(prune_to, scores, mask, second, scope=scope)
    if expected is None:
        assert scope == "erk"
        return
    larger = unless_nothing_is_left(prune_to, scores, mask, first, scope=scope)
    if larger is None:  # rounding to whole entries can give a tensor fewer of them at a larger density
        assert scope == "erk"
        return
    smaller = prune_to({name: -tensor for name, tensor in scores.items()}, larger, second, scope=scope)
    assert smaller.is_subset_of(larger)
    assert smaller.alive == expected.alive


@pytest.mark.parametrize("scope", SCOPES)
def test_a_density_above_what_is_alive_is_refused(scope):
    mask = Mask({"w": torch.tensor([True, False, False, False]), "v": torch.ones(4, dtype=torch.bool)})
    scores = {name: torch.rand(4) for name in mask}
    of = "3 of the 4 entries of 'w', of which 1 is" if scope == "layerwise" else (
        "6 of the 8 entries of all parameters, of which 5 are"
    )  # fmt: skip
    with pytest.raises(LotteryError, match=f"^density: 0.75 keeps {of} alive; give a smaller density$"):
        prune_to(scores, mask, 0.75, scope=scope)


@given(case=cases(), amount=shares)
def test_erk_prunes_as_many_as_global_and_revives_none(case, amount):
    scores, mask = case
    assume(mask.alive)
    pruned = unless_nothing_is_left(prune, scores, mask, amount, scope="erk")
    if pruned is None:
        return
    assert pruned.is_subset_of(mask)
    assert pruned.alive == mask.alive - round(amount * mask.alive)
    # Water-filling: a tensor that has lost entries has about the common share of its dimensions; none has more.
    weights = {name: sum(tensor.shape) for name, tensor in mask.items()}
    level = {name: pruned.counts[name] / weights[name] for name in mask}
    highest = max(level.values())
    for name in mask:
        if pruned.counts[name] < mask.counts[name] - 1:
            assert (pruned.counts[name] + 1) / weights[name] >= highest - 1 / min(weights.values()) - 1e-9


def test_the_first_erk_round_leaves_the_kernels_densities():
    scores = {name: torch.rand(shape) for name, shape in MULTICNN.items()}
    pruned = prune(scores, Mask.ones(scores), 0.9, scope="erk")
    found = {name: pruned.counts[name] / pruned[name].numel() for name in pruned}
    assert found == pytest.approx(densities("erk", MULTICNN, 0.1), abs=1e-4)
    assert pruned == prune_to(scores, Mask.ones(scores), 0.1, scope="erk")


@pytest.mark.parametrize("scope", ["layerwise", "global"])
def test_a_tenth_of_all_goes_in_each_of_ten_rounds(scope):
    torch.manual_seed(0)
    mask = Mask.ones({"a": torch.empty(20, 30), "b": torch.empty(100)})
    left = []
    for _ in range(10):
        scores = {name: torch.rand(tensor.shape) for name, tensor in mask.items()}
        mask = prune(scores, mask, 0.1, scope=scope, amount_of="all")
        left.append(mask.alive)
    assert left == [630, 560, 490, 420, 350, 280, 210, 140, 70, 0]
    shares_of_the_living = [1 - after / before for before, after in pairwise([700, *left])]
    assert shares_of_the_living == pytest.approx([1 / (10 - round) for round in range(10)])


AMOUNTS = {"fc.*": 0.1, "conv.bias": 0, "conv.*": 0.5}


@pytest.mark.parametrize("scope", ["layerwise", "global"])
def test_parameters_are_pruned_by_the_amount_of_the_first_pattern_that_matches(scope):
    torch.manual_seed(1)
    names = ("conv.weight", "conv.bias", "fc.weight", "fc.bias", "embedding.weight", "other.weight")
    scores = {name: torch.rand(40) for name in names}
    mask = Mask.ones(scores)
    pruned = prune(scores, mask, 0.2, scope=scope, amounts=AMOUNTS)
    groups_of = {0.1: names[2:4], 0: names[1:2], 0.5: names[:1], 0.2: names[4:]}
    for amount, members in groups_of.items():
        part = Mask({name: mask[name] for name in members})
        assert Mask({name: pruned[name] for name in members}) == prune(scores, part, amount, scope=scope)
    assert pruned.alive == 240 - 8 - 0 - 20 - 16
    assert list(pruned) == list(mask)


def test_amounts_by_pattern_hold_for_percentiles():
    scores = {"a": torch.arange(1.0, 11), "b": torch.arange(1.0, 11), "c": torch.arange(1.0, 11)}
    pruned = prune(scores, Mask.ones(scores), 0.5, threshold="percentile", amounts={"b": 0.2, "c": 0})
    assert pruned.counts == {"a": 5, "b": 8, "c": 10}


def test_a_pattern_of_amounts_that_no_parameter_matches_is_refused():
    check_amounts(AMOUNTS, ["conv.weight", "conv.bias", "fc.weight"])
    with pytest.raises(LotteryError, match=r"amounts: the pattern 'lstm\.\*' matches no parameter; .*: fc, conv$"):
        check_amounts({"lstm.*": 0.5}, ["fc", "conv"])
    with pytest.raises(LotteryError, match="'fc' matches only parameters that an earlier pattern matches"):
        check_amounts({"*": 0.5, "fc": 0.1}, ["fc", "conv"])
    assert groups(["a", "b", "c"], 0.2, {"a": 0, "b": 0.5}) == [(["b"], 0.5), (["c"], 0.2)]


@pytest.mark.parametrize(("settings", "words"), [
    ({"amount": 1.5}, "amount: 1.5 is not between 0 and 1"),
    ({"amounts": {"w": -0.1}}, "amounts: w: -0.1 is not between 0 and 1"),
    ({"amount_of": "living"}, "amount_of: 'living' is none of alive, all"),
    ({"threshold": "percentile", "amount_of": "all"}, "threshold 'percentile' .* use count"),
    ({"threshold": "percentile", "pattern": "rows"}, "threshold 'percentile' .* use count"),
    ({"threshold": "percentile", "scope": "erk"}, "threshold 'percentile' .* use count"),
    ({"amount": 0.99, "scope": "erk"}, "scope: erk at density 0 leaves none of the 4 entries of 'w'"),
])  # fmt: skip
def test_amounts_that_cannot_be_are_refused(settings, words):
    settings = {"amount": 0.5, **settings}
    with pytest.raises(LotteryError, match=words):
        prune({"w": torch.ones(4)}, Mask.ones({"w": torch.empty(4)}), **settings)


@pytest.mark.slow
@pytest.mark.parametrize("scope", SCOPES)
@pytest.mark.parametrize("amount_of", ["alive", "all"])
@pytest.mark.parametrize("amounts", [None, {"a": 0.1, "[bc]": 0.6}])
@given(case=cases(), amount=shares)
def test_counts_are_known_before_there_are_scores(scope, amount_of, amounts, case, amount):
    scores, mask = case
    shapes = {name: tuple(tensor.shape) for name, tensor in mask.items()}
    settings = {"scope": scope, "amount_of": amount_of, "amounts": amounts}
    for _ in range(2):
        pruned = unless_nothing_is_left(prune, scores, mask, amount, **settings)
        found = unless_nothing_is_left(counts_after, mask.counts, shapes, amount, **settings)
        assert (found is None) == (pruned is None)
        if pruned is None or found is None:
            return
        if scope != "global":
            assert found == pruned.counts
        for names, _ in groups(mask, amount, amounts):
            assert sum(found[name] for name in names) == sum(pruned.counts[name] for name in names)
        assert all(0 <= found[name] <= mask.counts[name] for name in mask)
        mask = pruned


def test_counts_that_depend_on_scores_are_unknown():
    assert counts_after({"w": 4}, {"w": (4,)}, 0.5, scope="my.scope") is None
    assert counts_after({"w": 4}, {"w": (4,)}, 0.5, pattern="2:4") is None


def test_a_users_scope_gets_the_share_of_the_living_that_leads_to_a_density():
    mask = Mask({"w": torch.arange(10) < 8})
    asked = []

    def scope(mask, amount):
        asked.append(amount)
        return {name: round(amount * alive) for name, alive in mask.counts.items()}

    assert prune_to({"w": torch.rand(10)}, mask, 0.2, scope=scope).alive == 2
    assert prune({"w": torch.rand(10)}, mask, 0.4, scope=scope, amount_of="all").alive == 4
    assert asked == pytest.approx([0.75, 0.5])
