"""Refuse rounds that would prune nothing or leave nothing alive.

`check_rounds` refuses most before round 0, since counts determine how many entries a round prunes. Where weights
determine it (`pruning.threshold=percentile`) or a user's scope, `ExhaustionCallback` stops the round before it trains.
"""

from __future__ import annotations

from collections.abc import Mapping

import pytorch_lightning as pl

from lt_lightning.callbacks.hooks import only_its_own_hooks
from lt_lightning.callbacks.pruning import PruningCallback
from lt_lightning.errors import SettingError
from lt_lightning.lottery import Mask, Settings, counts_after
from lt_lightning.lottery.schedules.registry import Rounds


def check_rounds(mask: Mask, settings: Settings, *, first: int, rounds: int) -> None:
    """Raise a `SettingError` if a round would prune nothing or leave nothing alive.

    Args:
        mask: the mask before the round `first`.
        settings: how each round prunes.
        first: the next round that prunes.
        rounds: the last round.

    >>> import torch
    >>> check_rounds(Mask({"weight": torch.ones(8) > 0}), Settings(amount=0.5), first=1, rounds=5)
    Traceback (most recent call last):
    lt_lightning.errors.SettingError: pruning.rounds: 5 is too many: ...
    """
    plan = settings.plan
    if settings.threshold != "count" or not isinstance(plan, Rounds):
        return
    if not isinstance(plan.amount, (int, float)) and len(plan.amount) < rounds:
        raise SettingError(
            f"pruning.amount: {len(plan.amount)} shares are given for {rounds} rounds; give one per round, or "
            f"pruning.rounds={len(plan.amount)}"
        )
    shapes = {name: tuple(alive.shape) for name, alive in mask.items()}
    counts: Mapping[str, int] | None = mask.counts
    for number in range(first, rounds + 1):
        amount, alive = plan.amount_in(number), sum(counts.values())
        counts = counts_after(
            counts, shapes, amount, scope=settings.scope, amount_of=plan.amount_of, amounts=plan.amounts,
            pattern=settings.pattern,
        )  # fmt: skip
        if counts is None:
            return  # the scores decide
        left = sum(counts.values())
        if left == alive:
            raise SettingError(
                f"pruning.rounds: {rounds} is too many: round {number} would prune nothing, as a share of "
                f"{amount:g} of the {alive:,} parameters alive by then rounds to none; "
                f"give pruning.rounds={number - 1} at most, or a larger pruning.amount"
            )
        if not left:
            raise SettingError(
                f"pruning.amount: {amount!r} would leave none of {mask.alive:,} parameters alive in round "
                f"{number}; give a smaller share, or pruning.rounds={number - 1} at most"
            )


def check_round(round: int, before: int | None, alive: int, total: int, go_on: str) -> None:
    """Raise a `SettingError` if a round has pruned nothing or left nothing alive.

    Args:
        round: its number.
        before: the number of living entries in the round before; None for round 0.
        alive: the number of living entries now.
        total: the number of all entries.
        go_on: the command that resumes the run.
    """
    if alive > 0 and alive != before:
        return
    why = "leaves none" if not alive else f"prunes nothing: it leaves {alive:,}"
    remedy = f"; rounds 0 to {round - 1} are kept: end the run with them by {go_on} pruning.rounds={round - 1}"
    raise SettingError(
        f"pruning.rounds: round {round} {why} of {total:,} parameters alive{remedy if round else '; give another mask'}"
    )


@only_its_own_hooks
class ExhaustionCallback(pl.Callback):
    """Check the mask of `pruning` as a round starts; arguments as for `check_round`. Put it after `pruning`."""

    def __init__(self, pruning: PruningCallback, before: int | None, go_on: str) -> None:
        self._pruning = pruning
        self._before = before
        self._go_on = go_on

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Check the mask after the round has pruned."""
        mask = self._pruning.mask
        check_round(self._pruning.round, self._before, mask.alive, mask.total, self._go_on)
