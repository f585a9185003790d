"""p values, Holm's correction and equivalence are SciPy's, and those of the definitions."""

import math
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats

from lt_lightning.report.statistics import Estimate
from lt_lightning.report.testing import PairedTest, equivalence_margin, holm, paired_p, paired_tests, verdict

SAMPLE = st.lists(st.floats(-10, 10), min_size=2, max_size=7)


@given(SAMPLE)
def test_p_is_that_of_scipys_paired_test(differences: list[float]) -> None:
    assume(np.std(differences) > 1e-6)
    first = np.linspace(0, 1, len(differences))
    expected = stats.ttest_rel(first + differences, first).pvalue
    assert paired_p(differences) == pytest.approx(float(expected), rel=1e-6, abs=1e-12)


def test_differences_without_a_spread_allow_no_test() -> None:
    # In single precision, as accuracies are recorded, two equal differences differ in their last digits.
    equal = [float(np.float32(0.95)) - float(np.float32(0.9)), float(np.float32(0.85)) - float(np.float32(0.8))]
    for differences in ([0.1, 0.1, 0.1], [0.0, -0.0], equal, [0.1], [0.1, math.nan], []):
        assert (paired_p(differences), equivalence_margin(differences)) == (None, None)


@given(st.lists(st.floats(0, 1), max_size=6))
def test_holms_p_is_the_largest_bonferroni_of_the_sets_that_could_be_true(ps: list[float]) -> None:
    # Holm's is the closed test of Bonferroni's: a hypothesis falls if every set that holds it does.
    sets = [one for size in range(1, len(ps) + 1) for one in combinations(range(len(ps)), size)]
    expected = [max(min(1, len(one) * min(ps[j] for j in one)) for one in sets if i in one) for i in range(len(ps))]
    assert holm(ps) == pytest.approx(expected)


def test_what_is_no_test_does_not_count_in_the_family() -> None:
    assert holm([None, 0.01, None, 0.04]) == [None, 0.02, None, 0.04]
    of_one, of_two = paired_tests([[0.5], [0.1, 0.3]])
    assert (of_one.p, of_one.p_holm, of_one.equivalent_within, of_one.value.mean) == (None, None, None, 0.5)
    assert of_two.p == of_two.p_holm


@given(SAMPLE)
def test_the_margin_is_where_two_one_sided_tests_turn(differences: list[float]) -> None:
    assume(np.std(differences) > 1e-3)
    margin = equivalence_margin(differences)
    assert margin is not None
    for bound, is_equivalent in ((margin * 1.001, True), (margin * 0.999, False)):
        above: Any = stats.ttest_1samp(differences, -bound, alternative="greater")
        below: Any = stats.ttest_1samp(differences, bound, alternative="less")
        assert (max(above.pvalue, below.pvalue) < 0.05) == is_equivalent


def outcome(mean: float, p: float, p_holm: float, within: float) -> PairedTest:
    return PairedTest(Estimate(mean, None, None, 3), p, p_holm, within)


@pytest.mark.parametrize(
    ("test", "words"),
    [
        (outcome(0.02, 0.01, 0.04, 0.03), "first better"),
        (outcome(-0.02, 0.01, 0.04, 0.03), "second better"),
        (outcome(0.02, 0.01, 0.06, 0.03), "first better, not after Holm's correction"),
        (outcome(0.02, 0.06, 0.06, 0.03), "undecided"),
        (outcome(0.001, 0.4, 1.0, 0.004), "equivalent within 0.5"),
        (outcome(0.001, 0.01, 0.02, 0.004), "first better; equivalent within 0.5"),
    ],
)
def test_a_verdict_needs_holms_p(test: PairedTest, words: str) -> None:
    assert verdict(test, margin=0.005) == words


def test_a_verdict_knows_the_direction_and_states_no_equivalence_without_a_margin() -> None:
    assert verdict(outcome(-0.02, 0.01, 0.04, 0.001), sign=-1, sides=("ticket", "full network")) == "ticket better"
    assert verdict(paired_tests([[0.5]])[0]) == "–"
