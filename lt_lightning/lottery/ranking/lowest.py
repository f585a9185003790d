"""Take the entries with the lowest scores out of a boolean tensor."""

from __future__ import annotations

from collections.abc import Sequence
from math import isqrt

import torch
from torch import Tensor

from lt_lightning.lottery.ranking.ranks import SAMPLE, values_of_ranks


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


def without_lowest_of_all(scores: Sequence[Tensor], alive: Sequence[Tensor], count: int) -> list[Tensor]:
    """Return what `without_lowest` leaves of the concatenation of all tensors, for each tensor.

    Only entries that may go are concatenated where these are few.
    """
    home, living = alive[0].device, sum(int(one.count_nonzero()) for one in alive)
    chosen = list(alive)
    if 4 * count < living and (limit := _limit(scores, alive, count, living)) is not None:
        low = [one & (score <= limit.to(score.device)) for score, one in zip(scores, alive, strict=True)]
        chosen = low if sum(int(one.count_nonzero()) for one in low) >= count else chosen
    elif 8 * living >= sum(one.numel() for one in alive):
        whole = torch.cat([score.reshape(-1).to(home) for score in scores])
        kept = without_lowest(whole, torch.cat([one.reshape(-1).to(home) for one in alive]), count)
        pieces = kept.split([one.numel() for one in alive])
        return [piece.view(one.shape).to(one.device) for piece, one in zip(pieces, alive, strict=True)]
    places = [one.reshape(-1).nonzero().squeeze(1) for one in chosen]
    among = torch.cat([score.reshape(-1)[place].to(home) for score, place in zip(scores, places, strict=True)])
    kept = without_lowest(among, torch.ones_like(among, dtype=torch.bool), count)
    left = []
    for one, place, piece in zip(alive, places, kept.split([len(place) for place in places]), strict=True):
        flat = one.clone(memory_format=torch.contiguous_format).view(-1)
        left.append(flat.index_copy_(0, place, piece.to(one.device)).view(one.shape))
    return left


def _limit(scores: Sequence[Tensor], alive: Sequence[Tensor], count: int, living: int) -> Tensor | None:
    """Return a score that the `count` lowest hardly exceed, from a sample, or None."""
    stride = sum(one.numel() for one in alive) // SAMPLE | 1  # odd: not a few columns of a matrix of even width
    flat = [(score.reshape(-1)[::stride], one.reshape(-1)[::stride]) for score, one in zip(scores, alive, strict=True)]
    sample = torch.cat([score[one].to(alive[0].device) for score, one in flat]).sort().values
    rank = count * len(sample) // living + 2 * isqrt(len(sample)) + 1
    return sample[rank] if rank < len(sample) and not sample[rank].isnan() else None


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
