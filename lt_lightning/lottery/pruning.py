"""Prune: scores and a mask in, a smaller mask out."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from lt_lightning.lottery.criteria import CRITERIA
from lt_lightning.lottery.functions import load_function
from lt_lightning.lottery.mask import Mask
from lt_lightning.lottery.patterns import Block, NOfM, Pattern, Rows, Unstructured, check_shapes, parse_pattern
from lt_lightning.lottery.ranking.lowest import without_low_percentile, without_lowest, without_lowest_of_all
from lt_lightning.lottery.ranking.units import Units, keep_n_of_m, prune_count_of_units, prune_units
from lt_lightning.lottery.scopes import Density, Share, competitions, groups, load_scope
from lt_lightning.lottery.settings import LotteryError, Scope, Settings, Threshold


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
    amount_of: str = "alive",
    amounts: Mapping[str, float] | None = None,
    pattern: str | Pattern = "unstructured",
) -> Mask:
    """Prune the share `amount` of the entries that are still alive, the lowest scores first.

    `threshold="count"` prunes exactly `round(amount × alive)` entries, ties by position; NaN ranks above every number.
    `scope="global"` concatenates the tensors in the order of the mask. `scope="erk"` leaves as many entries in all and
    divides them as `densities("erk", …)` does, none having more than it had. A scope of your own is a function, or its
    dotted path, that asks for `scores`, `mask` and `amount` by name, in any combination, and returns for each parameter
    how many of its living entries to prune.

    `threshold="percentile"` prunes, per tensor, the entries strictly below the linearly interpolated percentile
    (`numpy.percentile`) of the non-zero scores, the rule of many notebooks. A tensor of zeros is not pruned.

    Patterns: `block:RxC` and `rows` prune whole units, the share `amount` of those that have a living entry in each
    tensor; where tensors compete, units go by their mean score while the entries pruned are at most those that would
    go one by one. `n:m` leaves the n highest of each group of m consecutive inputs, whatever the amount and the scope.

    Args:
        scores: parameter name to score, each of its parameter's shape.
        mask: the entries alive so far.
        amount: the share of them to prune, in [0, 1].
        scope: `layerwise`, each tensor gives up its own share, `global`, all entries compete, `erk`, or a function.
        threshold: `count` or `percentile`.
        amount_of: `alive`, or `all`: the share is one of all entries, rounded each time: a tenth of 64 is 6 in each
            round.
        amounts: shares by fnmatch pattern of parameter names, in place of `amount`; the first match counts, and 0
            leaves the parameters as they are. Parameters of one pattern compete among themselves.
        pattern: `unstructured`, `n:m`, `block:RxC`, `rows` or `rows:l2`; see `parse_pattern`.

    Returns:
        The new mask, a subset of `mask`; neither argument is changed.

    Raises:
        LotteryError: if `amount` is out of range, a score is missing or of another shape, a choice is unknown, a scope
            returns a number that a parameter does not have, `erk` leaves a tensor no entry, or a tensor does not divide
            into the units of `pattern`.

    Examples:
        >>> mask = Mask({"weight": torch.tensor([True, True, True, True, False])})
        >>> prune({"weight": torch.tensor([0.3, 0.1, 0.2, 0.4, 0.0])}, mask, 0.5)["weight"]
        tensor([ True, False, False,  True, False])
    """
    for key, share in {
        "amount": amount,
        **{f"amounts: {name}": share for name, share in (amounts or {}).items()},
    }.items():
        if not 0 <= share <= 1:
            raise LotteryError(f"{key}: {share} is not between 0 and 1")
    scores = _beside(scores, mask)
    parsed = parse_pattern(pattern)
    parts = groups(mask, amount, amounts)
    pruned = {name: alive.clone(memory_format=torch.contiguous_format) for name, alive in mask.items()}
    if threshold == "percentile" and scope == "layerwise" and amount_of == "alive" and parsed == Unstructured():
        for names, share in parts:
            pruned.update({name: without_low_percentile(scores[name], mask[name], share) for name in names})
        return Mask(pruned)
    if threshold != "count":
        raise LotteryError(
            f"threshold {threshold!r} with scope {scope!r}, amount_of {amount_of!r} and pattern {pattern!r}: use "
            "count, or percentile with layerwise, alive and unstructured"
        )
    for names, share in parts:
        among = Mask({name: mask[name] for name in names})
        pruned.update(_pruned(scores, among, Share(share, amount_of), scope, parsed))
    return Mask(pruned)


@torch.no_grad()
def prune_to(
    scores: Mapping[str, Tensor],
    mask: Mask,
    density: float,
    *,
    scope: Scope = "layerwise",
    pattern: str | Pattern = "unstructured",
) -> Mask:
    """Prune the lowest scores until the share `density` of all entries is alive.

    `layerwise` leaves round(density × size) entries of each tensor, `global` round(density × total) of all together,
    and `erk` as many, divided by `densities("erk", …)` with the largest remainders rounded up. Patterns work as for
    `prune`; `n:m` leaves max(n, ⌈density × m⌉) of each group, so that a rising sparsity removes one at a time.

    Args:
        scores: parameter name to score, each of its parameter's shape.
        mask: the entries alive so far.
        density: the share of all entries that stays, in (0, 1].
        scope: as for `prune`; a function of your own gets the share of the living to prune as `amount`.
        pattern: as for `prune`.

    Returns:
        The new mask, a subset of `mask`; no argument is changed.

    Raises:
        LotteryError: as `prune`, or if fewer entries are alive than `density` keeps.

    Examples:
        >>> prune_to({"w": torch.tensor([0.3, 0.1, 0.2, 0.4])}, Mask.ones({"w": torch.empty(4)}), 0.25)["w"]
        tensor([False, False, False,  True])
    """
    if not 0 < density <= 1:
        raise LotteryError(f"density: {density} is not in (0, 1]; 0.05 keeps a twentieth of the entries")
    scores = _beside(scores, mask)
    return Mask(_pruned(scores, mask, Density(density), scope, parse_pattern(pattern)))


def _beside(scores: Mapping[str, Tensor], mask: Mask) -> dict[str, Tensor]:
    """Return the scores on the devices of `mask`; raise LotteryError if one is missing or of another shape.

    Losses are computed on the Trainer's device, also while the parameters, and their mask, are still on the host.
    """
    for name, tensor in mask.items():
        if name not in scores or scores[name].shape != tensor.shape:
            raise LotteryError(f"the scores of {name!r} are missing or not of its shape {tuple(tensor.shape)}")
    return {name: scores[name].to(tensor.device) for name, tensor in mask.items()}


def _pruned(
    scores: Mapping[str, Tensor], mask: Mask, goal: Share | Density, scope: Scope, pattern: Pattern
) -> dict[str, Tensor]:
    """Return the pruned tensors of parameters that share a goal."""
    shapes = {name: tuple(alive.shape) for name, alive in mask.items()}
    check_shapes(pattern, shapes)
    if isinstance(pattern, NOfM):
        stay = pattern.stay(goal.density if isinstance(goal, Density) else 0.0)
        return {name: keep_n_of_m(pattern.m, stay, scores[name], alive) for name, alive in mask.items()}
    if scope == "layerwise" and not isinstance(pattern, Unstructured):
        return _units_of_each(scores, mask, goal, pattern)
    pruned: dict[str, Tensor] = {}
    for competition in competitions(scope, goal, mask.counts, shapes, {"scores": scores, "mask": mask}):
        among = {name: mask[name] for name in competition.names}
        if isinstance(pattern, Unstructured):
            pruned.update(_without_lowest_of_all(scores, among, competition.pruned))
        else:
            pruned.update(prune_units(pattern, scores, among, competition.pruned))
    return pruned


def _units_of_each(
    scores: Mapping[str, Tensor], mask: Mask, goal: Share | Density, pattern: Block | Rows
) -> dict[str, Tensor]:
    """Prune units of each parameter by its own count of units, not of entries."""
    units = {name: Units.of(pattern, name, alive.shape) for name, alive in mask.items()}
    living = {name: int(units[name].living(alive).count_nonzero()) for name, alive in mask.items()}
    counts = competitions("layerwise", goal, living, {name: (unit.count,) for name, unit in units.items()})
    return {
        name: prune_count_of_units(pattern, name, scores[name], mask[name], competition.pruned)
        for competition in counts
        for name in competition.names
    }


def _without_lowest_of_all(scores: Mapping[str, Tensor], mask: Mapping[str, Tensor], count: int) -> dict[str, Tensor]:
    """Prune all tensors as one."""
    if len(mask) == 1:
        return {name: without_lowest(scores[name], alive, count) for name, alive in mask.items()}
    pruned = without_lowest_of_all([scores[name] for name in mask], [*mask.values()], count)
    return dict(zip(mask, pruned, strict=True))
