"""Control masks and shuffled weights: the same counts, other places."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lt_lightning.lottery import LotteryError, Mask, control_mask, derive_seed, shuffle_weights

KINDS = ("shuffle", "random", "invert")


def masks(seed: int, shapes=((4, 5), (7,), (), (2, 3, 2))) -> tuple[Mask, Mask, dict]:
    """Return a mask, one that it lies inside, and scores."""
    generator = torch.Generator().manual_seed(seed)

    def draw(shape):
        return torch.rand(shape, generator=generator)

    within = Mask({f"p{index}": draw(shape) < 0.7 for index, shape in enumerate(shapes)})
    mask = Mask({name: tensor & (draw(tensor.shape) < 0.5) for name, tensor in within.items()})
    return mask, within, {name: torch.randn(tensor.shape, generator=generator) for name, tensor in mask.items()}


@given(st.integers(0, 2**32), st.sampled_from(KINDS), st.integers(0, 2**32))
def test_a_control_keeps_each_tensors_count_inside_the_mask_before(made_by, kind, seed):
    mask, within, scores = masks(made_by)
    before = {name: tensor.clone() for name, tensor in mask.items()}
    control = control_mask(kind, mask, within, seed, scores)
    assert control.counts == mask.counts
    assert control.is_subset_of(within)
    assert control == control_mask(kind, mask, within, seed, scores)
    assert mask == Mask(before)


@pytest.mark.parametrize("kind", ["shuffle", "random"])
def test_a_draw_depends_on_the_seed_and_the_name_alone(kind):
    ones = {name: torch.ones(40, dtype=torch.bool) for name in "ab"}
    half = {name: torch.arange(40) < 20 for name in "ab"}
    both = control_mask(kind, Mask(half), Mask(ones), 1)
    assert not torch.equal(both["a"], both["b"])
    assert both != control_mask(kind, Mask(half), Mask(ones), 2)
    alone = control_mask(kind, Mask({"b": half["b"]}), Mask({"b": ones["b"]}), 1)
    assert torch.equal(alone["b"], both["b"])


def test_shuffling_permutes_and_drawing_does_not_look_at_the_places():
    within = Mask({"w": torch.tensor([True, True, False, True, True, True])})
    mask = Mask({"w": torch.tensor([False, True, False, False, True, False])})
    order = torch.randperm(5, generator=torch.Generator().manual_seed(derive_seed(3, "mask", "shuffle", "w")))
    values = [False, True, False, True, False]  # of the five places within
    expected = [values[index] for index in order.tolist()]
    expected.insert(2, False)
    assert control_mask("shuffle", mask, within, 3)["w"].tolist() == expected
    other = Mask({"w": torch.tensor([True, True, False, False, False, False])})
    assert control_mask("random", mask, within, 3) == control_mask("random", other, within, 3)


@pytest.mark.parametrize("kind", ["shuffle", "random"])
def test_every_place_is_as_likely_as_any_other(kind):
    within = Mask({"w": torch.tensor([True] * 4 + [False] + [True] * 5)})
    mask = Mask({"w": torch.tensor([True] * 3 + [False] * 7)})
    counts = sum(control_mask(kind, mask, within, seed)["w"].int() for seed in range(3000))
    assert counts[4] == 0
    # each of nine places in a third of the draws, with a standard deviation of 26
    assert all(abs(int(count) - 1000) < 130 for place, count in enumerate(counts) if place != 4)


def test_the_inverse_keeps_the_lowest_scores():
    within = Mask({"w": torch.tensor([[True, True, False], [True, True, True]])})
    mask = Mask({"w": torch.tensor([[True, False, False], [True, False, False]])})
    scores = {"w": torch.tensor([[0.9, 0.2, 0.0], [0.7, -0.1, 0.3]])}
    assert control_mask("invert", mask, within, 0, scores)["w"].tolist() == [[False, True, False], [False, True, False]]


def test_controls_that_cannot_be_made_are_refused():
    mask, within, scores = masks(0)
    with pytest.raises(LotteryError, match="'other' is none of shuffle, random, invert"):
        control_mask("other", mask, within, 0)
    with pytest.raises(LotteryError, match="give scores"):
        control_mask("invert", mask, within, 0)
    with pytest.raises(LotteryError, match="'p0' differs"):
        control_mask("shuffle", Mask({"p0": torch.ones(3, dtype=torch.bool)}), within, 0)
    with pytest.raises(LotteryError, match="inside the one before, but that of 'p0' is not"):
        control_mask("random", within, mask, 0)
    with pytest.raises(LotteryError, match="'p1' are missing"):
        control_mask("invert", mask, within, 0, {"p0": scores["p0"]})


def test_weights_are_permuted_within_their_tensor_and_in_place():
    weight, bias = torch.nn.Parameter(torch.arange(1.0, 7).view(2, 3).t()), torch.nn.Parameter(torch.arange(3.0))
    kept = weight.data_ptr(), bias.data_ptr()
    order = torch.randperm(6, generator=torch.Generator().manual_seed(derive_seed(5, "weights", "weight")))
    before = weight.detach().reshape(-1).tolist()
    shuffle_weights({"weight": weight, "bias": bias}, 5)
    assert weight.detach().reshape(-1).tolist() == [before[index] for index in order.tolist()]
    assert sorted(bias.tolist()) == [0, 1, 2]
    assert bias[0] == 0  # a zero may stand for a value that is not known
    assert (weight.data_ptr(), bias.data_ptr()) == kept
    assert weight.requires_grad
    assert weight.grad is None
    again = torch.nn.Parameter(torch.arange(1.0, 7).view(2, 3).t())
    shuffle_weights({"weight": again}, 5)
    assert torch.equal(again, weight)


def test_a_tensor_of_one_entry_or_none_can_be_shuffled():
    params = {"scalar": torch.tensor(2.0), "none": torch.empty(0, 3)}
    shuffle_weights(params, 0)
    assert params["scalar"] == 2
    full = Mask.ones(params)
    assert control_mask("shuffle", full, full, 0) == control_mask("random", full, full, 0) == full


PATTERNED = {
    "2:4": (torch.tensor([[1, 1, 0, 0, 0, 1, 1, 0], [0, 0, 1, 1, 1, 0, 0, 1]]).bool(), (1, 4)),
    "block:2x2": (torch.tensor([*[[1, 1, 0, 0, 1, 1]] * 2, *[[0, 0, 1, 1, 0, 0]] * 2]).bool(), (2, 2)),
    "rows": (torch.tensor([[1] * 3, [0] * 3, [1] * 3, [0] * 3, [0] * 3]).bool(), (1, 3)),
}  # fmt: skip


@pytest.mark.parametrize("pattern", PATTERNED)
@pytest.mark.parametrize("kind", KINDS)
def test_units_of_a_pattern_change_places_as_a_whole(kind, pattern):
    tensor, (rows, columns) = PATTERNED[pattern]
    mask, within = Mask({"w": tensor}), Mask({"w": torch.ones_like(tensor)})
    scores = {"w": torch.randn(tensor.shape, generator=torch.Generator().manual_seed(1))}
    controls = [control_mask(kind, mask, within, seed, scores, pattern)["w"] for seed in range(8)]
    assert any(not torch.equal(control, tensor) for control in controls)
    for control in controls:
        groups = control.unfold(0, rows, rows).unfold(1, columns, columns).reshape(-1, rows * columns).sum(dim=1)
        expected = {2} if pattern == "2:4" else {0, rows * columns}
        assert set(groups.tolist()) <= expected
        assert control.sum() == tensor.sum()


def test_the_inverse_of_a_pattern_keeps_the_lowest_units():
    scores = {"w": torch.tensor([[4.0, 1.0, 3.0, 2.0], [0.1, 0.2, 0.3, 0.4]])}
    two = Mask({"w": torch.tensor([[1, 0, 1, 0], [0, 0, 1, 1]]).bool()})
    inverse = control_mask("invert", two, Mask.ones(scores), 0, scores, "2:4")["w"]
    assert inverse.tolist() == [[False, True, False, True], [True, True, False, False]]
    rows = Mask({"w": torch.tensor([[1] * 4, [0] * 4]).bool()})
    assert control_mask("invert", rows, Mask.ones(scores), 0, scores, "rows:l2")["w"].tolist() == [
        [False] * 4,
        [True] * 4,
    ]


def test_a_bias_is_permuted_entry_by_entry_whatever_the_pattern():
    mask, within = Mask({"b": torch.arange(30) < 15}), Mask({"b": torch.ones(30, dtype=torch.bool)})
    for pattern in ("2:4", "rows", "block:4x1"):
        control = control_mask("shuffle", mask, within, 0, pattern=pattern)
        assert control.alive == 15
        assert control != mask
