"""Means over seeds with two-sided intervals of Student's t distribution."""

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


def estimate(values: Iterable[float], level: float = 0.95) -> Estimate:
    """Return the mean of independent values and its interval; values that are not finite count as not measured.

    The mean is exact up to its last rounding, so that equal values have their own value as mean and no width.

    Args:
        values: the values, such as one per seed.
        level: the confidence level of the interval.

    >>> estimate([1.0, 3.0]).mean, round(estimate([1.0, 3.0]).half, 3), estimate([1.0])
    (2.0, 12.706, Estimate(mean=1.0, low=None, high=None, n=1))
    """
    measured = [float(value) for value in values if math.isfinite(value)]
    n = len(measured)
    mean = statistics.mean(measured) if measured else math.nan
    if n < 2:
        return Estimate(mean, None, None, n)
    half = float(stdtrit(n - 1, (1 + level) / 2)) * statistics.stdev(measured) / math.sqrt(n)
    return Estimate(mean, mean - half, mean + half, n)


NO_VALUES = estimate([])


def columns_of(name: str, one: Estimate) -> dict[str, float | None]:
    """Return an estimate as columns of a table: its mean, and the ends of its interval."""
    return {name: one.mean, f"{name}_low": one.low, f"{name}_high": one.high}


def scaled(one: Estimate, factor: float) -> Estimate:
    """Return an estimate in another unit or, for a factor below zero, of the opposite.

    >>> scaled(Estimate(2.0, 1.0, 4.0, 3), -10)
    Estimate(mean=-20.0, low=-40.0, high=-10.0, n=3)
    """
    ends = () if one.low is None or one.high is None else sorted((factor * one.low, factor * one.high))
    low, high = ends or (None, None)
    return Estimate(factor * one.mean, low, high, one.n)
