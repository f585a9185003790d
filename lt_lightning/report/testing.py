"""Test paired differences: p values, Holm's correction for looking at many, and equivalence.

>>> one, other = paired_tests([[0.02, 0.03, 0.025], [0.001, -0.001, 0.0]])
>>> verdict(one), verdict(other, margin=0.005)
('first better', 'equivalent within 0.5')
"""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from scipy.special import stdtr

from lt_lightning.report.statistics import Estimate, estimate

LEVEL = 0.05
"""The level of all tests."""

_ROUNDING = 1e-6
"""The possible relative error of a difference of two shares in single precision."""


@dataclass(frozen=True)
class PairedTest:
    """The tests of one mean of paired differences.

    Attributes:
        value: the mean with its 95 % interval.
        p: the two-sided p value of the paired t-test; None for fewer than two differences.
        p_holm: the p value with Holm's correction for all tests of the family.
        equivalent_within: the smallest margin within which two one-sided tests at .05 show equivalence.
    """

    value: Estimate
    p: float | None
    p_holm: float | None
    equivalent_within: float | None


def paired_tests(family: Sequence[Sequence[float]]) -> list[PairedTest]:
    """Return the tests of several lists of paired differences, one per seed, as one family.

    Lists for which `paired_p` is None are no tests, and do not count in the family.
    """
    ps = [paired_p(differences) for differences in family]
    return [
        PairedTest(estimate(differences), p, p_holm, equivalence_margin(differences))
        for differences, p, p_holm in zip(family, ps, holm(ps), strict=True)
    ]


def paired_p(differences: Sequence[float]) -> float | None:
    """Return the two-sided p value of the paired t-test of the hypothesis that the mean difference is 0.

    None without a test: for fewer than two differences, and for differences that are all equal. These have no spread to
    compare their mean with; of few test rows, two seeds often differ by the same number.

    >>> round(paired_p([1.0, 2.0, 3.0]), 4), paired_p([0.5, 0.5]), paired_p([1.0])
    (0.0742, None, None)
    """
    measured = _spread_out(differences)
    if measured is None:
        return None
    mean, error = statistics.mean(measured), statistics.stdev(measured) / math.sqrt(len(measured))
    return 2 * float(stdtr(len(measured) - 1, -abs(mean / error)))


def _spread_out(differences: Sequence[float]) -> list[float] | None:
    """Return the finite differences; None if there are fewer than two, or all are equal but for rounding."""
    measured = [float(value) for value in differences if math.isfinite(value)]
    if len(measured) < 2:
        return None
    is_equal = max(measured) - min(measured) <= _ROUNDING * max(map(abs, measured))
    return None if is_equal else measured


def holm(ps: Sequence[float | None]) -> list[float | None]:
    """Return p values with Holm's correction, in their order; None is no test, and stays.

    >>> holm([0.01, None, 0.04, 0.03])
    [0.03, None, 0.06, 0.06]
    """
    adjusted: list[float | None] = [None] * len(ps)
    ordered = sorted((p, place) for place, p in enumerate(ps) if p is not None)
    largest = 0.0
    for rank, (p, place) in enumerate(ordered):
        largest = max(largest, min(1.0, (len(ordered) - rank) * p))
        adjusted[place] = largest
    return adjusted


def equivalence_margin(differences: Sequence[float]) -> float | None:
    """Return the smallest margin within which the mean difference is equivalent to 0, by two one-sided t-tests at .05.

    It is the end of the 90 % interval that is farther from 0; None where `paired_p` is None.
    """
    if _spread_out(differences) is None:
        return None
    interval = estimate(differences, 1 - 2 * LEVEL)
    return None if interval.low is None or interval.high is None else max(abs(interval.low), abs(interval.high))


def verdict(
    test: PairedTest,
    sign: float = 1,
    margin: float | None = None,
    scale: float = 100,
    sides: tuple[str, str] = ("first", "second"),
) -> str:
    """Return the result of a test in words.

    Args:
        test: the test.
        sign: 1 if a difference above 0 is a gain of the first, -1 if it is a loss.
        margin: the margin of equivalence, in the unit of the differences; None to state none.
        scale: the factor of a margin that is shown: 100 for shares, whose differences are in points.
        sides: the names of the first and the second.
    """
    if test.p is None or test.p_holm is None or test.equivalent_within is None:
        return "–"
    said = []
    if test.p < LEVEL:
        better = f"{sides[0 if sign * test.value.mean > 0 else 1]} better"
        said.append(better if test.p_holm < LEVEL else f"{better}, not after Holm's correction")
    if margin is not None and test.equivalent_within < margin:
        said.append(f"equivalent within {scale * margin:g}")
    return "; ".join(said) or "undecided"
