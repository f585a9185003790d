"""Controls: masks and weights that keep a ticket's counts per tensor and nothing else of it.

A ticket that does no better than its control owes its accuracy to the number of living entries in each tensor alone
(Frankle et al. 2021, https://arxiv.org/abs/2009.08576). All draws are made on the CPU, with a seed per tensor.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args

import torch
from torch import Tensor

from lt_lightning.lottery.mask import Mask
from lt_lightning.lottery.patterns import NOfM, Pattern, Unstructured, parse_pattern
from lt_lightning.lottery.ranking.units import Units, from_groups, rank_in_groups, to_groups
from lt_lightning.lottery.ranking.units import within as lowest_within
from lt_lightning.lottery.seeds import derive_seed
from lt_lightning.lottery.settings import LotteryError

Control = Literal["shuffle", "random", "invert"]


@torch.no_grad()
def control_mask(
    kind: Control,
    mask: Mask,
    within: Mask,
    seed: int,
    scores: Mapping[str, Tensor] | None = None,
    pattern: str | Pattern = "unstructured",
) -> Mask:
    """Return a mask inside `within` that has as many living entries in each tensor as `mask`.

    Args:
        kind: `shuffle` permutes each tensor of `mask` among the entries alive in `within`; `random` draws as many new
            positions among them; `invert` keeps those of the lowest scores, of equals the last.
        mask: the mask of the ticket.
        within: the entries to choose from: the mask of the round before, or `Mask.ones`.
        seed: seeds `shuffle` and `random`; each tensor has a stream of its own, which its name determines.
        scores: parameter name to score, for `invert`.
        pattern: the shape of what was pruned: blocks and rows change places as a whole, and each group of `n:m` keeps
            its number of living entries.

    Returns:
        The new mask, a subset of `within`, on the devices of `mask`.

    Raises:
        LotteryError: if the kind is unknown, the masks do not fit each other or the pattern, or `invert` lacks scores.

    Examples:
        >>> mask = Mask({"weight": torch.tensor([True, True, False, False])})
        >>> scores = {"weight": torch.tensor([4.0, 3.0, 1.0, 2.0])}
        >>> control_mask("invert", mask, Mask.ones(scores), 0, scores)["weight"]
        tensor([False, False,  True,  True])
    """
    if kind not in get_args(Control):
        raise LotteryError(f"mask: {kind!r} is none of {', '.join(get_args(Control))}")
    _check_within(kind, mask, within)
    if kind == "invert" and scores is None:
        raise LotteryError("mask: invert ranks entries by their scores; give scores")
    parsed, drawn = parse_pattern(pattern), {}
    for name, alive in mask.items():
        places = within[name].to(alive.device)
        score = None if kind != "invert" else _score(name, scores, alive)
        stream = derive_seed(seed, "mask", kind, name)
        if isinstance(parsed, NOfM) and alive.ndim > 1:
            parsed.check(name, alive.shape)
            drawn[name] = _in_groups(parsed.m, alive, places, stream, score)
        else:
            drawn[name] = _of_units(kind, parsed, name, alive, places, stream, score)
    return Mask(drawn)


def _score(name: str, scores: Mapping[str, Tensor] | None, alive: Tensor) -> Tensor:
    if scores is None or name not in scores or scores[name].shape != alive.shape:
        raise LotteryError(f"the scores of {name!r} are missing or not of its shape {tuple(alive.shape)}")
    return scores[name].detach().to(alive.device)


def _of_units(
    kind: Control, pattern: Pattern, name: str, alive: Tensor, within: Tensor, seed: int, scores: Tensor | None
) -> Tensor:
    """Return a tensor's mask with as many living units at other places of `within`."""
    # A tensor of one dimension is pruned entry by entry, whatever the pattern.
    shape = Unstructured() if isinstance(pattern, NOfM) else pattern
    divided = Units.of(shape, name, alive.shape)
    living, places = (divided.living(one) > 0 for one in (alive, within))
    if scores is None:
        drawn = _redrawn(kind, living, places, seed)
    else:
        highest_first, too_many = -divided.score(shape, scores, within), int(places.sum()) - int(living.sum())
        drawn = places & ~lowest_within(highest_first, places.long(), too_many)
    return within & divided.join(drawn)


def _redrawn(kind: Control, alive: Tensor, within: Tensor, seed: int) -> Tensor:
    """Return the mask of units, (units,), with as many living ones at other places of `within`."""
    places = within.cpu().nonzero().squeeze(1)
    order = torch.randperm(len(places), generator=torch.Generator().manual_seed(seed))
    drawn = torch.zeros(alive.numel(), dtype=torch.bool)
    if kind == "shuffle":
        drawn[places] = alive.cpu()[places][order]
    else:
        drawn[places[order[: int(alive.count_nonzero())]]] = True
    return drawn.to(alive.device)


def _in_groups(m: int, alive: Tensor, within: Tensor, seed: int, scores: Tensor | None) -> Tensor:
    """Return a tensor's mask with as many living entries in each group of `m` at other places of `within`."""
    grouped, places = to_groups(alive, m), to_groups(within, m)
    if scores is None:
        keys = torch.rand(grouped.shape, generator=torch.Generator().manual_seed(seed)).to(alive.device)
    else:
        keys = -to_groups(scores, m)
    rank = rank_in_groups(keys, places)
    return from_groups(places & (rank >= m - grouped.sum(dim=1, keepdim=True)), alive.shape)


def _check_within(kind: Control, mask: Mask, within: Mask) -> None:
    """Raise LotteryError unless `within` has room for the living entries of `mask`."""
    for name in dict.fromkeys([*mask, *within]):
        if name not in mask or name not in within or mask[name].shape != within[name].shape:
            raise LotteryError(f"mask: {kind} needs two masks of one module, but {name!r} differs")
    outside = next((name for name in mask if (mask[name] & ~within[name].to(mask[name].device)).any()), None)
    if outside is not None:
        raise LotteryError(f"mask: {kind} needs a mask inside the one before, but that of {outside!r} is not")


@torch.no_grad()
def shuffle_weights(params: Mapping[str, Tensor], seed: int) -> None:
    """Permute the values of each tensor within the tensor, in place.

    Zeros stay where they are: they may stand for entries whose values are not known, as in a ticket's weights.

    Args:
        params: parameter name to tensor, of any shape and device.
        seed: the seed; each tensor has a stream of its own, which its name determines.
    """
    for name, param in params.items():
        generator = torch.Generator().manual_seed(derive_seed(seed, "weights", name))
        flat = param.detach().reshape(-1)
        places = flat.nonzero().squeeze(1)
        order = torch.randperm(len(places), generator=generator).to(param.device)
        param.copy_(flat.index_copy(0, places, flat[places[order]]).view(param.shape))
