"""Drop and grow entries at constant density: one update of dynamic sparse training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import overload

import torch
from torch import Tensor

from lt_lightning.lottery.errors import LotteryError
from lt_lightning.lottery.mask import Mask
from lt_lightning.lottery.patterns import NOfM, Pattern, Unstructured, parse_pattern
from lt_lightning.lottery.ranking.lowest import without_lowest, without_lowest_of_all
from lt_lightning.lottery.ranking.ranks import SAMPLE
from lt_lightning.lottery.ranking.units import Units, from_groups, rank_in_groups, to_groups


@overload
def regrow(
    weights: Tensor, mask: Tensor, grow_scores: Tensor, k: int, *, pattern: str | Pattern = "unstructured"
) -> Tensor: ...
@overload
def regrow(
    weights: Mapping[str, Tensor],
    mask: Mask,
    grow_scores: Mapping[str, Tensor],
    k: int | Mapping[str, int],
    *,
    pattern: str | Pattern = "unstructured",
) -> Mask: ...
@torch.no_grad()
def regrow(
    weights: Tensor | Mapping[str, Tensor],
    mask: Tensor | Mask,
    grow_scores: Tensor | Mapping[str, Tensor],
    k: int | Mapping[str, int],
    *,
    pattern: str | Pattern = "unstructured",
) -> Tensor | Mask:
    """Drop the `k` smallest |weights| alive, then grow the `k` highest scores among all entries that were not kept.

    An entry may be dropped and grown at once. Among equals the first positions are dropped, and the first are grown.
    With the pattern n:m each group grows as many entries as it dropped. With blocks and rows whole units are dropped
    and grown, as many as `k` entries fill; they are compared by the sum (`rows:l2`: the root of the sum of squares) of
    |weights| and of scores.

    Args:
        weights: the weights of a parameter, or of several by name.
        mask: the entries alive: a boolean tensor, or a `Mask`.
        grow_scores: a score per entry, such as the absolute value of the dense gradient (RigL) or random numbers (SET).
        k: how many entries to drop and grow in each parameter; a mapping gives the number for each name, 0 where it
            has none.
        pattern: see `parse_pattern`.

    Returns:
        The new mask, of the type of `mask` and with as many living entries; the arguments are not changed.

    Raises:
        LotteryError: if fewer than `k` entries are alive, shapes differ, or a mask of blocks or rows has a unit of
            which only a part is alive.

    Examples:
        >>> weights, mask = torch.tensor([3.0, 1.0, 0.0, 0.0]), torch.tensor([True, True, False, False])
        >>> regrow(weights, mask, torch.tensor([0.0, 0.2, 0.1, 0.9]), 1)
        tensor([ True, False, False,  True])
    """
    parsed = parse_pattern(pattern)
    if isinstance(mask, Tensor):
        assert isinstance(weights, Tensor) and isinstance(grow_scores, Tensor) and not isinstance(k, Mapping)
        return _regrow("weights", weights, mask, grow_scores, int(k), parsed)
    assert not isinstance(weights, Tensor) and not isinstance(grow_scores, Tensor)
    counts = k if isinstance(k, Mapping) else dict.fromkeys(mask, int(k))
    missing = [name for name in mask if name not in weights or name not in grow_scores]
    if missing:
        raise LotteryError(f"the weights or scores of {missing[0]!r} are missing")
    return Mask({
        name: _regrow(name, weights[name], alive, grow_scores[name], counts.get(name, 0), parsed)
        for name, alive in mask.items()
    })  # fmt: skip


def _regrow(name: str, weights: Tensor, alive: Tensor, scores: Tensor, k: int, pattern: Pattern) -> Tensor:
    if not weights.shape == alive.shape == scores.shape:
        raise LotteryError(f"the weights, mask and scores of {name!r} differ in shape")
    living = int(alive.count_nonzero())
    if not 0 <= k <= living:
        raise LotteryError(f"k: {k} entries of {name!r} cannot be dropped: {living} are alive")
    if isinstance(pattern, NOfM):
        pattern.check(name, alive.shape)
        kept = without_lowest(weights.abs(), alive, k)
        if alive.ndim < 2:
            return kept | _highest(scores, ~kept, k)
        return kept | _highest_of_groups(scores, alive, kept, pattern.m)
    if isinstance(pattern, Unstructured):
        kept = without_lowest(weights.abs(), alive, k)
        return kept | _highest(scores, ~kept, k)
    units = Units.of(pattern, name, alive.shape)
    counts = units.living(alive)
    if not ((counts == 0) | (counts == units.size)).all():
        raise LotteryError(f"pattern: only a part of a block or row of {name!r} is alive; prune by the pattern first")
    k, whole = k // units.size, torch.ones_like(alive)
    kept = without_lowest(units.score(pattern, weights.abs(), whole), counts > 0, k)
    grown = _highest(units.score(pattern, scores, whole), ~kept, k)
    return units.join(kept | grown)


def _highest(scores: Tensor, among: Tensor, k: int) -> Tensor:
    """Return the `k` highest scores of `among`, ties by position; NaN ranks below every number."""
    rows = _rows_above_zero(scores)
    if rows is not None:
        there, candidates = scores[rows], among[rows]
        if int((candidates & (there > 0)).count_nonzero()) >= k:
            grown = torch.zeros_like(among)
            grown[rows] = candidates & ~without_lowest_of_all([-there], [candidates], k)[0]
            return grown
    return among & ~without_lowest_of_all([-scores], [among], k)[0]


def _rows_above_zero(scores: Tensor) -> Tensor | None:
    """Return which rows have a score above zero if they are few, as are the words of some batches; None otherwise."""
    if scores.dim() < 2 or scores.numel() < SAMPLE:
        return None
    highest = scores.flatten(1).amax(dim=1)
    rows = highest > 0
    return rows if 4 * int(rows.count_nonzero()) < len(rows) and not highest.isnan().any() else None


def _highest_of_groups(scores: Tensor, alive: Tensor, kept: Tensor, m: int) -> Tensor:
    """Return, for each group of `m` inputs, as many of the highest scores that are not kept as the group dropped."""
    among = ~to_groups(kept, m)
    dropped = (to_groups(alive, m) & among).sum(dim=1, keepdim=True)
    # Those not among them have the first ranks; the highest score is the lowest of the negated ones.
    rank = rank_in_groups(-to_groups(scores, m), among) - (~among).sum(dim=1, keepdim=True)
    return from_groups(among & (rank < dropped), alive.shape)
