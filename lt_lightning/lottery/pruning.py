"""Pruning as a pure function: scores and a mask in, a smaller mask out."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from lt_lightning.lottery.mask import Mask
from lt_lightning.lottery.settings import LotteryError, Scope, Threshold


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

    With `threshold="count"` exactly `round(amount × alive)` entries go, ties by position; with NaN above every number,
    so that it stays. With `scope="global"` the tensors stand one after another in the order of the mask.

    With `threshold="percentile"`, tensor by tensor: of the scores that are not zero, the linearly interpolated
    percentile (`numpy.percentile`) is taken, and every entry strictly below it goes; a tensor whose scores are all
    zero is left as it is. Under magnitude scores this is the rule by which many notebooks prune: an entry that
    happens to be zero counts as pruned already.

    Args:
        scores: parameter name to score, each of its parameter's shape.
        mask: the entries alive so far.
        amount: the share of them to prune, in [0, 1].
        scope: `layerwise`, each tensor gives up its own share, or `global`, all entries compete.
        threshold: `count` or `percentile`.

    Returns:
        The new mask, a subset of `mask`; neither argument is changed.

    Raises:
        LotteryError: if `amount` is out of range, a score is missing or of another shape, or a choice is unknown.

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
        return Mask({name: _without_lowest(scores[name], tensor, amount) for name, tensor in mask.items()})
    if scope == "global":
        return _global(scores, mask, amount)
    raise LotteryError(f"scope: {scope!r} is none of layerwise, global")


def _global(scores: Mapping[str, Tensor], mask: Mask, amount: float) -> Mask:
    """Let the entries of all tensors compete: prune their concatenation, then cut it apart again."""
    if not mask:
        return mask
    home = next(iter(mask.values())).device
    flat_scores = torch.cat([scores[name].reshape(-1).to(home) for name in mask])
    flat_mask = torch.cat([tensor.reshape(-1).to(home) for tensor in mask.values()])
    pieces = _without_lowest(flat_scores, flat_mask, amount).split([tensor.numel() for tensor in mask.values()])
    return Mask(
        {name: piece.view(mask[name].shape).to(mask[name].device) for name, piece in zip(mask, pieces, strict=True)}
    )


def _without_lowest(scores: Tensor, alive: Tensor, amount: float) -> Tensor:
    """`alive` less the round(amount × alive) entries of the lowest scores."""
    positions = alive.reshape(-1).nonzero().squeeze(1)
    count = round(amount * len(positions))
    kept = alive.reshape(-1).clone()
    if count:
        living = scores.reshape(-1)[positions]
        # Selection, not a sort: find the highest score that goes, then let ties at that score go by position.
        limit = living.kthvalue(count).values
        below, ties = (~living.isnan(), living.isnan()) if limit.isnan() else (living < limit, living == limit)
        kept[positions[below]] = False
        kept[positions[ties.nonzero().squeeze(1)[: count - int(below.sum())]]] = False
    return kept.view(alive.shape)


def _without_low_percentile(scores: Tensor, alive: Tensor, amount: float) -> Tensor:
    """`alive` less the entries strictly below the percentile of the non-zero scores."""
    values = scores[scores != 0]
    if not values.numel():
        return alive.clone()
    # torch.quantile stops at 2²⁴ entries; the two order statistics around the percentile are all that is needed.
    index = amount * (values.numel() - 1)
    low = values.kthvalue(int(index) + 1).values.double()
    high = values.kthvalue(min(int(index) + 2, values.numel())).values.double()
    return alive & ~(scores.double() < low + (high - low) * (index - int(index)))
