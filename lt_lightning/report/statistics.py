"""Means over seeds, and how far they can be trusted: two-sided 95 % intervals of Student's t distribution."""

import math
import statistics
from collections.abc import Iterable
from dataclasses import dataclass

from scipy.special import stdtrit


@dataclass(frozen=True)
class Estimate:
    """A mean and its interval.

    Attributes:
        mean: of the values; NaN where there is none.
        low: the interval's lower end; None where fewer than two values tell nothing of how they scatter.
        high: the interval's upper end, or None.
        n: how many values there are.
    """

    mean: float
    low: float | None
    high: float | None
    n: int

    @property
    def half(self) -> float | None:
        """Half the interval's width, or None."""
        return None if self.high is None else self.high - self.mean


def estimate(values: Iterable[float]) -> Estimate:
    """The mean of independent values and its 95 % interval; what is no finite number counts as not measured.

    The mean is exact up to its last rounding, so that equal values have their own value as mean and no width.

    >>> estimate([1.0, 3.0]).mean, round(estimate([1.0, 3.0]).half, 3), estimate([1.0])
    (2.0, 12.706, Estimate(mean=1.0, low=None, high=None, n=1))
    """
    measured = [float(value) for value in values if math.isfinite(value)]
    n = len(measured)
    if n == 0:
        return Estimate(math.nan, None, None, 0)
    mean = statistics.mean(measured)
    if n == 1:
        return Estimate(mean, None, None, 1)
    half = float(stdtrit(n - 1, 0.975)) * statistics.stdev(measured) / math.sqrt(n)
    return Estimate(mean, mean - half, mean + half, n)


def scaled(one: Estimate, factor: float) -> Estimate:
    """An estimate in another unit, or, by a factor below zero, of the opposite.

    >>> scaled(Estimate(2.0, 1.0, 4.0, 3), -10)
    Estimate(mean=-20.0, low=-40.0, high=-10.0, n=3)
    """
    ends = () if one.low is None or one.high is None else sorted((factor * one.low, factor * one.high))
    low, high = ends or (None, None)
    return Estimate(factor * one.mean, low, high, one.n)


def verdict(difference: Estimate) -> str:
    """Which of two is better, where the interval of by how much the first is better does not hold 0."""
    if difference.low is not None and difference.low > 0:
        return "first better"
    if difference.high is not None and difference.high < 0:
        return "second better"
    return "–"
