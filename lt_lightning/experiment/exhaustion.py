"""Refuse rounds that would prune nothing or leave nothing alive.

Most are refused before round 0, since counts determine how many entries a round prunes. Where weights determine it
(`pruning.threshold=percentile`) or a user's scope, `ExhaustionCallback` stops the round before it trains.
"""

from __future__ import annotations

from collections.abc import Sequence

from lt_lightning.errors import SettingError
from lt_lightning.lottery.settings import SCOPES, Settings


def check_rounds(counts: Sequence[int], settings: Settings, *, first: int, rounds: int) -> None:
    """Raise if a round would prune nothing or leave nothing alive.

    Args:
        counts: how many entries of each parameter are alive before the round `first`.
        settings: how each round prunes.
        first: the next round that prunes.
        rounds: the last round.

    Raises:
        SettingError: names the round and the possible number of rounds.

    Example:
        >>> check_rounds([8, 3], Settings(amount=0.5), first=1, rounds=4)
        Traceback (most recent call last):
        lt_lightning.errors.SettingError: pruning.rounds: 4 is too many: ...
    """
    if settings.threshold != "count" or settings.scope not in SCOPES:
        return
    alive = [sum(counts)] if settings.scope == "global" else list(counts)
    for round in range(first, rounds + 1):
        gone = [_share(settings.amount, count) for count in alive]
        if not any(gone):
            raise SettingError(
                f"pruning.rounds: {rounds} is too many: round {round} would prune nothing, as a share of "
                f"{settings.amount:g} of the {sum(alive):,} parameters alive by then rounds to none; "
                f"give pruning.rounds={round - 1} at most, or a larger pruning.amount"
            )
        alive = [count - pruned for count, pruned in zip(alive, gone, strict=True)]
        if not any(alive):
            raise SettingError(
                f"pruning.amount: {settings.amount!r} would leave none of {sum(counts):,} parameters alive in round "
                f"{round}; give a smaller share, or pruning.rounds={round - 1} at most"
            )


def check_round(round: int, before: int | None, alive: int, total: int, go_on: str) -> None:
    """Raise if a round has pruned nothing or left nothing alive.

    Args:
        round: its number.
        before: the number of living entries in the round before; None for round 0.
        alive: the number of living entries now.
        total: the number of all entries.
        go_on: the command that resumes the run.

    Raises:
        SettingError: names the round and how to end the run without it.
    """
    if alive > 0 and alive != before:
        return
    why = "leaves none" if not alive else f"prunes nothing: it leaves {alive:,}"
    remedy = f"; rounds 0 to {round - 1} are kept: end the run with them by {go_on} pruning.rounds={round - 1}"
    raise SettingError(
        f"pruning.rounds: round {round} {why} of {total:,} parameters alive{remedy if round else '; give another mask'}"
    )


def _share(amount: float, count: int) -> int:
    """Return how many of `count` living entries are pruned, as `lottery.prune` computes it."""
    return round(amount * count)
