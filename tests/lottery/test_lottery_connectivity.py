"""The line between two networks, and the error barrier on it: closed forms and exactness."""

import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lt_lightning import lottery
from lt_lightning.lottery.connectivity import line


def barrier(loss: Callable[[float], float], one: float, other: float, points: int) -> float:
    """Return the instability of a loss of one weight between two values of it."""
    ends = [{"w": torch.tensor([value], dtype=torch.float64)} for value in (one, other)]
    return lottery.instability([loss(lottery.interpolate(*ends, alpha)["w"].item()) for alpha in line(points)])


def test_the_instability_of_two_losses_is_that_of_the_closed_form() -> None:
    assert barrier(lambda w: (w - 1) ** 2 / 2, 0, 3, 31) == pytest.approx(0.75, abs=1e-12)  # convex, higher at one end
    assert barrier(lambda w: (w * w - 1) ** 2, -1, 1, 31) == pytest.approx(1, abs=1e-12)  # two valleys
    assert barrier(lambda w: (w * w - 1) ** 2, -1, -1, 30) == 0


def test_errors_of_any_shape_have_the_instability_of_the_definition() -> None:
    assert lottery.instability([0.1, 0.1, 0.1]) == 0
    assert lottery.instability([0.25, 0.0, 0.75]) == 0.25  # the higher end is the maximum
    assert math.isnan(lottery.instability([0.1, math.nan, 0.1]))
    with pytest.raises(lottery.LotteryError, match="errors: 1 are too few"):
        lottery.instability([0.5])


def test_a_line_has_both_ends() -> None:
    assert line(30)[0] == 0
    assert line(30)[-1] == 1
    assert [alpha * 29 for alpha in line(30)] == pytest.approx(range(30))
    with pytest.raises(lottery.LotteryError, match="points: 1"):
        line(1)


@given(
    st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1, max_size=8),
    st.lists(st.booleans(), min_size=8, max_size=8),
    st.floats(0, 1),
)
def test_ends_equal_entries_and_zeros_are_exact(values: list[float], alive: list[bool], alpha: float) -> None:
    mask = torch.tensor(alive[: len(values)])
    one = {"w": torch.tensor(values) * mask}
    other = {"w": torch.tensor(values[::-1]) * mask}
    between = lottery.interpolate(one, other, alpha)["w"]
    assert (between[~mask] == 0).all()
    assert torch.equal(lottery.interpolate(one, one, alpha)["w"], one["w"])
    assert torch.equal(lottery.interpolate(one, other, 0)["w"], one["w"])
    assert torch.equal(lottery.interpolate(one, other, 1)["w"], other["w"])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16, torch.complex64])
def test_a_point_is_the_weighted_mean_in_the_type_of_the_weights(dtype: torch.dtype) -> None:
    one, other = torch.randn(9).to(dtype), torch.randn(9).to(dtype)
    found = lottery.interpolate({"w": one}, {"w": other}, 0.3)["w"]
    exact = 0.7 * one.to(torch.complex128) + 0.3 * other.to(torch.complex128)
    assert found.dtype == dtype
    assert (found.to(torch.complex128) - exact).abs().max() < (
        1e-6 if dtype in (torch.float32, torch.float64, torch.complex64) else 2e-2
    )


def test_counters_are_those_of_the_nearer_end_and_nothing_is_written() -> None:
    one, other = ({"n": torch.tensor(n), "w": torch.ones(2) * n} for n in (3, 8))
    assert [lottery.interpolate(one, other, alpha)["n"].item() for alpha in (0, 0.4, 0.6, 1)] == [3, 3, 8, 8]
    lottery.interpolate(one, other, 0)["w"].fill_(9)
    assert one["w"].tolist() == [3, 3]


@pytest.mark.parametrize(("other", "alpha", "said"), [
    ({"w": torch.ones(3)}, 0.5, r"'w' has shape \(2,\) at one end and \(3,\) at the other"),
    ({"v": torch.ones(2)}, 0.5, r"'w' has shape \(2,\) at one end and none"),
    ({"w": torch.ones(2)}, 1.5, r"alpha: 1\.5 is not in \[0, 1\]"),
    ({"w": torch.ones(2)}, math.nan, "alpha: nan"),
])  # fmt: skip
def test_networks_of_other_shapes_and_points_off_the_line_are_refused(other, alpha, said) -> None:
    with pytest.raises(lottery.LotteryError, match=said):
        lottery.interpolate({"w": torch.ones(2)}, other, alpha)
