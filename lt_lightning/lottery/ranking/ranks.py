"""Find the exact values of ranks among millions of numbers without sorting them."""

from __future__ import annotations

from collections.abc import Sequence
from math import isqrt

import torch
from torch import Tensor

SAMPLE = 2**15
"""Size of the sorted sample that locates a rank."""


def values_of_ranks(values: Tensor, among: Tensor, ranks: Sequence[int]) -> list[Tensor]:
    """Return the values at some ranks of the sorted `values[among]`, NaN above every number.

    The result is that of `torch.kthvalue`, up to the sign of a zero, much faster on the CPU. A sorted sample brackets
    the ranks (Floyd and Rivest 1975, https://doi.org/10.1145/360680.360691), and only the values inside the bracket are
    searched. If the bracket misses the ranks, the search continues on their side.

    Args:
        values: (numbers,), of any comparable type, on any device.
        among: (numbers,) booleans: which values count.
        ranks: ascending and close to each other, from 1 to the number of values that count.

    Returns:
        For each rank a 0-d tensor of the values' type and device.

    Examples:
        >>> values = torch.tensor([3.0, float("nan"), 1.0, 0.0, 2.0])
        >>> values_of_ranks(values, values != 0, [2, 4])
        [tensor(2.), tensor(nan)]
    """
    count = _count(among)
    if 8 * count < len(values):  # gathering few costs about two passes
        values = values[among]
        among = torch.ones_like(values, dtype=torch.bool)
    while len(values) > 4 * SAMPLE:
        # An odd stride, so that a matrix of even width is not sampled in a few columns only.
        stride = len(values) // SAMPLE | 1
        sample = values[::stride][among[::stride]].sort().values
        if not len(sample):
            break
        first, last, slack = ranks[0] * len(sample) // count, ranks[-1] * len(sample) // count, 2 * isqrt(len(sample))
        low, high = sample[max(0, first - slack)], sample[min(len(sample) - 1, last + slack)]
        up_to_low, up_to_high = _at_most(values, among, low), _at_most(values, among, high)
        skipped, reached = _count(up_to_low), _count(up_to_high)
        # Each branch drops at least one value of the sample, so the loop ends.
        if skipped < ranks[0] and ranks[-1] <= reached:
            chosen = up_to_high.logical_xor_(up_to_low)
            if 2 * (reached - skipped) > count:  # many are equal to the upper end, as are the zeros among gradients
                below = _below(values, among, high)
                if (lower := _count(below)) < ranks[0]:
                    return [high for _ in ranks]
                if lower < ranks[-1]:
                    return _one_by_one(values, among, ranks)
                chosen = below.logical_xor_(up_to_low)
        elif reached < ranks[0]:
            chosen, skipped = among & ~up_to_high, reached
        else:
            chosen, skipped = _below(values, among, low), 0
            below = _count(chosen)
            if below < ranks[0] and ranks[-1] <= _count(up_to_low):
                return [low for _ in ranks]
            if below < ranks[-1]:
                return _one_by_one(values, among, ranks)
        values, ranks = values[chosen], [rank - skipped for rank in ranks]
        among, count = torch.ones_like(values, dtype=torch.bool), len(values)
    living = values[among]
    return [living.kthvalue(rank).values for rank in ranks]


def _one_by_one(values: Tensor, among: Tensor, ranks: Sequence[int]) -> list[Tensor]:
    return [value for rank in ranks for value in values_of_ranks(values, among, [rank])]


def _at_most(values: Tensor, among: Tensor, limit: Tensor) -> Tensor:
    return among.clone() if limit.isnan() else (values <= limit).logical_and_(among)


def _below(values: Tensor, among: Tensor, limit: Tensor) -> Tensor:
    return among & (~values.isnan() if limit.isnan() else values < limit)


def _count(chosen: Tensor) -> int:
    return int(chosen.count_nonzero())
