"""Take the entries with the lowest scores out of a boolean tensor."""

from __future__ import annotations

import torch
from torch import Tensor

from lt_lightning.lottery.ranks import values_of_ranks


def without_lowest(scores: Tensor, alive: Tensor, count: int) -> Tensor:
    """Return `alive` without the `count` lowest scores, ties by position; NaN ranks above every number.

    Args:
        scores: a score per entry.
        alive: the entries that compete, booleans of the same shape.
        count: how many of them to remove, at most as many as there are.

    Returns:
        A new tensor.
    """
    if not count:
        return alive.clone(memory_format=torch.contiguous_format)
    if 8 * int(alive.count_nonzero()) < alive.numel():  # gathering few is faster than comparing all
        positions = alive.reshape(-1).nonzero().squeeze(1)
        among = scores.reshape(-1)[positions]
        kept = torch.zeros(alive.numel(), dtype=torch.bool, device=alive.device)
        kept[positions] = without_lowest(among, torch.ones_like(among, dtype=torch.bool), count)
        return kept.view(alive.shape)
    # Selection, not a sort: find the highest score to prune.
    limit = values_of_ranks(scores.reshape(-1), alive.reshape(-1), [count])[0]
    gone = alive & (scores <= limit)
    if limit.isnan() or int(gone.count_nonzero()) > count:
        gone = _first_of_equals(scores, alive, limit, count)
    return alive & ~gone


def _first_of_equals(scores: Tensor, alive: Tensor, limit: Tensor, count: int) -> Tensor:
    """Return the `count` entries to prune where several have the score `limit`: the first of these."""
    below, ties = (~scores.isnan(), scores.isnan()) if limit.isnan() else (scores < limit, scores == limit)
    gone = (alive & below).reshape(-1)
    positions = (alive & ties).reshape(-1).nonzero().squeeze(1)
    gone[positions[: count - int(gone.count_nonzero())]] = True
    return gone.view(alive.shape)


def without_low_percentile(scores: Tensor, alive: Tensor, amount: float) -> Tensor:
    """Return `alive` without the entries strictly below the percentile `amount`, in [0, 1], of the non-zero scores."""
    nonzero = scores != 0
    count = int(nonzero.count_nonzero())
    if not count:
        return alive.clone(memory_format=torch.contiguous_format)
    # torch.quantile is limited to 2²⁴ entries; two order statistics are enough.
    index = amount * (count - 1)
    ranks = [int(index) + 1, min(int(index) + 2, count)]
    low, high = (value.double() for value in values_of_ranks(scores.reshape(-1), nonzero.reshape(-1), ranks))
    return alive & ~_below(scores, low + (high - low) * (index - int(index)))


def _below(scores: Tensor, limit: Tensor) -> Tensor:
    """Return which scores are below a double-precision limit, without converting them."""
    near = limit.to(scores.dtype)
    # Their type has no number between `limit` and `near`.
    return scores <= near if near.double() < limit else scores < near
