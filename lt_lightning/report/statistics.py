"""Means over seeds with two-sided 95 % intervals of Student's t distribution."""

import math
import statistics
from collections.abc import Iterable
from dataclasses import dataclass

from scipy.special import stdtrit


@dataclass(frozen=True)
class Estimate:
    """A mean and its interval.

    Attributes:
        mean: the mean of the values; NaN without values.
        low: the lower end of the interval; None for fewer than two values.
        high: the upper end, or None.
        n: the number of values.
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
    """Return the mean of independent values and its 95 % interval; values that are not finite count as not measured.

    The mean is exact up to its last rounding, so that equal values have their own value as mean and no width.

    >>> estimate([1.0, 3.0]).mean, round(estimate([1.0, 3.0]).half, 3), estimate([1.0])
    (2.0, 12.706, Estimate(mean=1.0, low=None, high=None, n=1))
    """
    measured = [float(value) for value in values if math.isfinite(value)]
    n = len(measured)
    mean = statistics.mean(measured) if measured else math.nan
    if n < 2:
        return Estimate(mean, None, None, n)
    half = float(stdtrit(n - 1, 0.975)) * statistics.stdev(measured) / math.sqrt(n)
    return Estimate(mean, mean - half, mean + half, n)


NO_VALUES = estimate([])


def scaled(one: Estimate, factor: float) -> Estimate:
    """Return an estimate in another unit or, for a factor below zero, of the opposite.

    >>> scaled(Estimate(2.0, 1.0, 4.0, 3), -10)
    Estimate(mean=-20.0, low=-40.0, high=-10.0, n=3)
    """
    ends = () if one.low is None or one.high is None else sorted((factor * one.low, factor * one.high))
    low, high = ends or (None, None)
    return Estimate(factor * one.mean, low, high, one.n)


def verdict(difference: Estimate) -> str:
    """Return which of two is better, if the interval of the first's gain over the second excludes 0."""
    if difference.low is not None and difference.low > 0:
        return "first better"
    return "second better" if difference.high is not None and difference.high < 0 else "–"
