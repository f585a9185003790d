"""Refuse rounds that would prune nothing or leave nothing alive.

`check_rounds` refuses most before round 0, since counts determine how many entries a round prunes. Where weights
determine it (`pruning.threshold=percentile`) or a user's scope, `ExhaustionCallback` stops the round before it trains.
"""

from __future__ import annotations

from collections.abc import Sequence

import pytorch_lightning as pl

from lt_lightning.callbacks.hooks import only_its_own_hooks
from lt_lightning.callbacks.pruning import PruningCallback
from lt_lightning.errors import SettingError
from lt_lightning.lottery.settings import SCOPES, Settings


def check_rounds(counts: Sequence[int], settings: Settings, *, first: int, rounds: int) -> None:
    """Raise a `SettingError` if a round would prune nothing or leave nothing alive.

    Args:
        counts: how many entries of each parameter are alive before the round `first`.
        settings: how each round prunes.
        first: the next round that prunes.
        rounds: the last round.

    >>> check_rounds([8, 3], Settings(amount=0.5), first=1, rounds=4)
    Traceback (most recent call last):
    lt_lightning.errors.SettingError: pruning.rounds: 4 is too many: ...
    """
    if settings.threshold != "count" or settings.scope not in SCOPES:
        return
    alive = [sum(counts)] if settings.scope == "global" else list(counts)
    for number in range(first, rounds + 1):
        left = [count - round(settings.amount * count) for count in alive]  # as `lottery.prune` computes it
        if left == alive:
            raise SettingError(
                f"pruning.rounds: {rounds} is too many: round {number} would prune nothing, as a share of "
                f"{settings.amount:g} of the {sum(alive):,} parameters alive by then rounds to none; "
                f"give pruning.rounds={number - 1} at most, or a larger pruning.amount"
            )
        alive = left
        if not any(alive):
            raise SettingError(
                f"pruning.amount: {settings.amount!r} would leave none of {sum(counts):,} parameters alive in round "
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
