"""The values of ranks among millions, exactly, for a few passes over them and without a sort."""

from __future__ import annotations

from collections.abc import Sequence
from math import isqrt

import torch
from torch import Tensor

SAMPLE = 2**15
"""So many values are sorted to tell about where a rank lies; fewer than a few times as many are not worth a sample."""


def values_of_ranks(values: Tensor, among: Tensor, ranks: Sequence[int]) -> list[Tensor]:
    """The values that would stand at some places if those that are `among` were sorted, NaN above every number.

    What `torch.kthvalue` gives, up to the sign of a zero, at a fraction of its price on the CPU. A sorted sample says
    between which two values the ranks almost certainly lie (Floyd and Rivest 1975,
    https://doi.org/10.1145/360680.360691), and only what lies between them is looked at again. Should the sample have
    been misleading, the search goes on on the side where the ranks are: that costs time, and changes no answer.

    Args:
        values: one dimension, of any type that can be compared, on any device.
        among: which of them count; booleans of the same shape.
        ranks: places from 1 to the number of those that count, ascending, close to each other.

    Returns:
        For each rank a tensor without dimensions, of the values' type and on their device.

    Example:
        >>> values = torch.tensor([3.0, float("nan"), 1.0, 0.0, 2.0])
        >>> values_of_ranks(values, values != 0, [2, 4])
        [tensor(2.), tensor(nan)]
    """
    count = _count(among)
    if 8 * count < len(values):  # it costs about two passes to gather few
        values = values[among]
        among = torch.ones_like(values, dtype=torch.bool)
    while len(values) > 4 * SAMPLE:
        # An odd stride, so that rows of an even length do not show the same few columns again and again.
        stride = len(values) // SAMPLE | 1
        sample = values[::stride][among[::stride]].sort().values
        if not len(sample):
            break
        first, last, slack = ranks[0] * len(sample) // count, ranks[-1] * len(sample) // count, 2 * isqrt(len(sample))
        low, high = sample[max(0, first - slack)], sample[min(len(sample) - 1, last + slack)]
        up_to_low, up_to_high = _at_most(values, among, low), _at_most(values, among, high)
        skipped, reached = _count(up_to_low), _count(up_to_high)
        # Each way leaves out at least one value that the sample has shown, so that the loop comes to an end.
        if skipped < ranks[0] and ranks[-1] <= reached:
            chosen = up_to_high.logical_xor_(up_to_low)
        elif reached < ranks[0]:
            chosen, skipped = among & ~up_to_high, reached
        else:
            chosen, skipped = _below(values, among, low), 0
            below = _count(chosen)
            if below < ranks[0] and ranks[-1] <= _count(up_to_low):
                return [low for _ in ranks]
            if below < ranks[-1]:  # they part ways
                return [value for rank in ranks for value in values_of_ranks(values, among, [rank])]
        values, ranks = values[chosen], [rank - skipped for rank in ranks]
        among, count = torch.ones_like(values, dtype=torch.bool), len(values)
    living = values[among]
    return [living.kthvalue(rank).values for rank in ranks]


def _at_most(values: Tensor, among: Tensor, limit: Tensor) -> Tensor:
    return among.clone() if limit.isnan() else (values <= limit).logical_and_(among)


def _below(values: Tensor, among: Tensor, limit: Tensor) -> Tensor:
    return among & (~values.isnan() if limit.isnan() else values < limit)


def _count(chosen: Tensor) -> int:
    return int(chosen.count_nonzero())
