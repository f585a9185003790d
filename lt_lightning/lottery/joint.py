"""Begin rounds, of one lottery or of several that prune one network."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from lt_lightning.lottery.rewinding import restore, snapshot, unset_buffers
from lt_lightning.lottery.rounds import Lottery, SourcesOf
from lt_lightning.lottery.settings import LotteryError


def begin_rounds(
    lotteries: Sequence[tuple[Lottery, nn.Module]], sources: SourcesOf | None = None, *, restores: bool = True
) -> None:
    """Begin the next round of lotteries that prune different parameters of one network.

    All prune before any rewinds, as a rewound weight must not be ranked. Each parameter rewinds with the lottery that
    prunes it. `sources` is as for `Lottery.begin_round`; without `restores` the caller restores the network if this
    fails, which saves a copy of it.

    Raises:
        LotteryError: as `Lottery.begin_round`, or if two lotteries prune the same parameter. Nothing is changed then,
            with `restores`.
    """
    owners: dict[nn.Parameter, int] = {}
    for number, (lottery, module) in enumerate(lotteries):
        for name, param in lottery.parameters(module).items():
            if owners.setdefault(param, number) != number:
                raise LotteryError(
                    f"include: two callbacks prune the parameter {name!r}; give them include and exclude patterns "
                    "that do not overlap"
                )
    inputs = [sources(module) if sources is not None else {} for _, module in lotteries]
    plans = [lottery.plan(module, given) for (lottery, module), given in zip(lotteries, inputs, strict=True)]
    before = [(snapshot(module), unset_buffers(module)) if restores else ({}, []) for _, module in lotteries]
    masks = []
    try:
        for (lottery, module), (params, mask), given in zip(lotteries, plans, inputs, strict=True):
            others = {param: param.detach().clone() for param in set(owners).difference(params.values())}
            masks.append(lottery.rewrite(module, params, mask, given))
            with torch.no_grad():
                for param, value in others.items():
                    param.copy_(value)
    except BaseException:
        for (_, module), (weights, unset) in zip(lotteries, before, strict=True):
            restore(module, weights, unset)
        raise
    for (lottery, module), (params, _), mask in zip(lotteries, plans, masks, strict=True):
        lottery.enter(module, params, mask)
