"""Means and intervals are those of the books, and of a loop written here."""

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats

from lt_lightning.report.statistics import Estimate, estimate

# The 97.5 % points of Student's t, as tables print them.
TABLE = {1: 12.706, 2: 4.303, 4: 2.776, 9: 2.262, 29: 2.045}


@pytest.mark.parametrize(("freedom", "quantile"), TABLE.items())
def test_the_interval_is_the_tables(freedom: int, quantile: float) -> None:
    values = [float(value) for value in range(freedom + 1)]
    got = estimate(values)
    assert got.half is not None
    spread = np.std(values, ddof=1) / math.sqrt(len(values))
    assert got.half / spread == pytest.approx(quantile, abs=5e-4)
    assert got.n == freedom + 1


def test_of_two_values_the_interval_has_a_closed_form() -> None:
    # With one degree of freedom t is Cauchy's distribution, whose quantile is a tangent.
    got = estimate([0.25, 0.75])
    half = math.tan(math.pi * 0.475) * 0.25
    assert (got.mean, got.low, got.high) == pytest.approx((0.5, 0.5 - half, 0.5 + half))


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=8))
def test_the_interval_is_scipys(values: list[float]) -> None:
    assume(np.std(values) > 1e-6)
    got = estimate(values)
    expected = stats.t.interval(0.95, len(values) - 1, np.mean(values), stats.sem(values))
    assert got.mean == pytest.approx(float(np.mean(values)), rel=1e-9, abs=1e-6)
    assert (got.low, got.high) == pytest.approx(expected, rel=1e-9, abs=1e-6)


@given(st.floats(-1e3, 1e3), st.integers(2, 9))
def test_equal_values_have_no_width(value: float, n: int) -> None:
    assert estimate([value] * n) == Estimate(value, value, value, n)


def test_one_value_has_no_interval_and_none_no_mean() -> None:
    assert estimate([0.5]) == Estimate(0.5, None, None, 1)
    nothing = estimate([math.nan, math.inf])
    assert math.isnan(nothing.mean)
    assert (nothing.low, nothing.high, nothing.half, nothing.n) == (None, None, None, 0)


def test_what_was_not_measured_is_passed_over() -> None:
    assert estimate([1.0, math.nan, 3.0]) == estimate([1.0, 3.0])
