"""Prune: scores and a mask in, a smaller mask out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from numbers import Integral
from typing import Any

import torch
from torch import Tensor

from lt_lightning.lottery.criteria import CRITERIA
from lt_lightning.lottery.functions import call_with_inputs, function_name, load_function
from lt_lightning.lottery.mask import Mask
from lt_lightning.lottery.ranks import values_of_ranks
from lt_lightning.lottery.settings import SCOPES, LotteryError, Scope, Settings, Threshold


def load_functions(settings: Settings) -> None:
    """Raise LotteryError if a user's criterion or scope cannot be imported or is not a function."""
    load_function("criterion", settings.criterion, CRITERIA)
    load_scope(settings.scope)


@torch.no_grad()
def prune(
    scores: Mapping[str, Tensor],
    mask: Mask,
    amount: float,
    *,
    scope: Scope = "layerwise",
    threshold: Threshold = "count",
) -> Mask:
    """Prune the share `amount` of the entries that are still alive, the lowest scores first.

    `threshold="count"` prunes exactly `round(amount × alive)` entries, ties by position; NaN ranks above every number.
    `scope="global"` concatenates the tensors in the order of the mask. A scope of your own is a function, or its dotted
    path, that asks for `scores`, `mask` and `amount` by name, in any combination, and returns for each parameter how
    many of its living entries to prune.

    `threshold="percentile"` prunes, per tensor, the entries strictly below the linearly interpolated percentile
    (`numpy.percentile`) of the non-zero scores, the rule of many notebooks. A tensor of zeros is not pruned.

    Args:
        scores: parameter name to score, each of its parameter's shape.
        mask: the entries alive so far.
        amount: the share of them to prune, in [0, 1].
        scope: `layerwise`, each tensor gives up its own share, `global`, all entries compete, or a function.
        threshold: `count` or `percentile`.

    Returns:
        The new mask, a subset of `mask`; neither argument is changed.

    Raises:
        LotteryError: if `amount` is out of range, a score is missing or of another shape, a choice is unknown, or a
            scope returns a number that a parameter does not have.

    Example:
        >>> mask = Mask({"weight": torch.tensor([True, True, True, True, False])})
        >>> prune({"weight": torch.tensor([0.3, 0.1, 0.2, 0.4, 0.0])}, mask, 0.5)["weight"]
        tensor([ True, False, False,  True, False])
    """
    if not 0 <= amount <= 1:
        raise LotteryError(f"amount: {amount} is not between 0 and 1")
    for name, tensor in mask.items():
        if name not in scores or scores[name].shape != tensor.shape:
            raise LotteryError(f"the scores of {name!r} are missing or not of its shape {tuple(tensor.shape)}")

    if threshold == "percentile" and scope == "layerwise":
        return Mask({name: _without_low_percentile(scores[name], tensor, amount) for name, tensor in mask.items()})
    if threshold != "count":
        raise LotteryError(f"threshold {threshold!r} with scope {scope!r}: use count, or percentile with layerwise")
    if scope == "layerwise":
        counts = {name: round(amount * alive) for name, alive in mask.counts.items()}
    elif scope == "global":
        return _global(scores, mask, amount)
    else:
        counts = _counts(scope, scores, mask, amount)
    return Mask({name: _without_lowest(scores[name], tensor, counts[name]) for name, tensor in mask.items()})


def load_scope(scope: Scope) -> Callable[..., Any] | None:
    """Return the function that a checked setting names; None for a scope of this project.

    Raises:
        LotteryError: if a dotted path cannot be imported or does not lead to a function.
    """
    return load_function("scope", scope, dict.fromkeys(SCOPES))


def _counts(scope: Scope, scores: Mapping[str, Tensor], mask: Mask, amount: float) -> dict[str, int]:
    """Return how many entries of each parameter a user's scope prunes."""
    if not callable(scope) and "." not in str(scope):
        raise LotteryError(f"scope: {scope!r} is none of {', '.join(SCOPES)}, and not a function")
    function, name = load_scope(scope), function_name(scope)
    assert function is not None
    returned = call_with_inputs("scope", function, name, {"scores": scores, "mask": mask, "amount": amount})
    counts = {}
    for key, alive in mask.counts.items():
        count = returned.get(key) if isinstance(returned, Mapping) else returned
        counts[key] = int(count) if isinstance(count, Integral) else -1
        if not 0 <= counts[key] <= alive:
            raise LotteryError(
                f"scope: {name} returned {count!r} for {key!r}; return for each parameter a whole number of entries "
                f"to prune, here from 0 to {alive}"
            )
    return counts


def _global(scores: Mapping[str, Tensor], mask: Mask, amount: float) -> Mask:
    """Prune the concatenation of all tensors, and split it again."""
    if not mask:
        return mask
    home = next(iter(mask.values())).device
    flat_scores = torch.cat([scores[name].reshape(-1).to(home) for name in mask])
    flat_mask = torch.cat([tensor.reshape(-1).to(home) for tensor in mask.values()])
    pieces = _without_lowest(flat_scores, flat_mask, round(amount * mask.alive)).split(
        [tensor.numel() for tensor in mask.values()]
    )
    return Mask(
        {name: piece.view(mask[name].shape).to(mask[name].device) for name, piece in zip(mask, pieces, strict=True)}
    )


def _without_lowest(scores: Tensor, alive: Tensor, count: int) -> Tensor:
    """Return `alive` without the `count` lowest scores."""
    if not count:
        return alive.clone(memory_format=torch.contiguous_format)
    if 8 * int(alive.count_nonzero()) < alive.numel():  # gathering few is faster than comparing all
        positions = alive.reshape(-1).nonzero().squeeze(1)
        among = scores.reshape(-1)[positions]
        kept = torch.zeros(alive.numel(), dtype=torch.bool, device=alive.device)
        kept[positions] = _without_lowest(among, torch.ones_like(among, dtype=torch.bool), count)
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


def _without_low_percentile(scores: Tensor, alive: Tensor, amount: float) -> Tensor:
    """Return `alive` without the entries strictly below the percentile of the non-zero scores."""
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
