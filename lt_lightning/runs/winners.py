"""Find the rounds that won, and keep or remove their tickets.

Winners are chosen on the validation part, so that the test part can tell how good they are.
"""

import math
import re
from collections.abc import Sequence
from pathlib import Path

from lt_lightning.runs.description import Description
from lt_lightning.runs.metrics import ACCURACY, Metric
from lt_lightning.runs.records import Record
from lt_lightning.runs.rounds import ticket_path
from lt_lightning.runs.tasks import OF_TEXTS, Wording

_ROUNDING = 1e-5  # in per cent: the possible error of a difference of two shares in single precision


def best_ticket(records: Sequence[Record], metric: Metric = ACCURACY) -> Record | None:
    """Return the pruned round with the best validation value, of equals the sparsest; None before the first."""
    pruned = [record for record in records if record.round > 0 and not math.isnan(metric.judge(record))]
    return max(pruned, key=lambda record: (metric.gain(metric.judge(record), 0), -record.density), default=None)


def is_winner(record: Record, full: Record, metric: Metric = ACCURACY, within: float = 0.0) -> bool:
    """Return whether a round's ticket wins: it is pruned, and on the validation part as good as the full network.

    Args:
        record: the round's.
        full: round 0's.
        metric: the metric of the run.
        within: a ticket that is worse by no more than this counts too; in the metric's unit, of accuracy in points.
    """
    return record.round > 0 and reaches(metric.judge(record), metric.judge(full), metric, within)


def reaches(value: float, bound: float, metric: Metric = ACCURACY, within: float = 0.0) -> bool:
    """Return whether a validation value is at least as good as another, or worse by no more than `within`."""
    # Records hold shares in single precision, and their difference is not exact either.
    slack = (within + _ROUNDING) / metric.scale if within else 0.0
    return metric.gain(value, bound) >= -slack


def smallest_winner(records: Sequence[Record], metric: Metric = ACCURACY, within: float = 0.0) -> Record | None:
    """Return the sparsest winning ticket, or None if no ticket wins; arguments as for `is_winner`.

    The full network is the first record; see `Run.compared`.
    """
    winners = [record for record in records if is_winner(record, records[0], metric, within)]
    return min(winners, key=lambda record: record.density, default=None)


def margin_for(ticket: Record, records: Sequence[Record], metric: Metric = ACCURACY) -> str:
    """Return the shortest `within`, as a number to type, with which the best ticket is the smallest that wins."""
    lost = metric.scale * metric.gain(metric.judge(records[0]), metric.judge(ticket))
    for digits in range(1, 7):
        margin = math.ceil(lost * 10**digits - 0.001) / 10**digits
        if smallest_winner(records, metric, margin) == ticket:
            return f"{margin:.{digits}f}"
    return f"{lost:.9f}"


def sparsest_within(records: Sequence[Record], sparsity: float) -> Record | None:
    """Return the sparsest round whose sparsity is at most this; None if all are sparser."""
    return max((one for one in records if one.sparsity <= sparsity), key=lambda one: one.sparsity, default=None)


def telling_rounds(records: Sequence[Record], metric: Metric = ACCURACY, words: Wording = OF_TEXTS) -> dict[int, str]:
    """Return the rounds to look at by number: the full network, and the smallest winner or else the best ticket."""
    winner, best = smallest_winner(records, metric), best_ticket(records, metric)
    rounds = {0: words.full}
    if winner is not None:
        rounds[winner.round] = words.winner
    elif best is not None:
        rounds[best.round] = words.loser
    return rounds


def drop_tickets(run: Path, records: Sequence[Record], full: Record, keep: str, metric: Metric) -> None:
    """Remove the tickets that are not to be kept. The newest always stays, as a run is resumed from it.

    Args:
        run: the run directory.
        records: the rounds that are on record.
        full: the full network.
        keep: `all`, `last`, or `winners`: those that are on the validation part at least as good as the full network.
        metric: the metric of the run.

    Raises:
        OSError: if a file cannot be removed.
    """
    if keep == "all":
        return
    for record in records[:-1]:
        if keep == "last" or not is_winner(record, full, metric):
            ticket_path(run, record.round).unlink(missing_ok=True)


def kept_rounds(run: Path) -> list[int]:
    """Return the rounds whose tickets are on disk, in their order."""
    found = (re.fullmatch(r"round_([0-9]{2,6})\.safetensors", path.name) for path in (run / "tickets").glob("round_*"))
    return sorted(int(match[1]) for match in found if match)


def explain_missing(run: Path, description: Description, number: int, choice: str = "--round {}") -> str:
    """Return an error message for a round whose ticket is not on disk.

    Args:
        run: the run directory.
        description: its `run.json`.
        number: the round.
        choice: the option that chooses a round, with its number in braces.
    """
    path, keep = ticket_path(run, number), description.config.tickets.keep
    why = f": tickets.keep={keep} did not keep it" if keep in ("last", "winners") else ""
    there = kept_rounds(run)
    if not there:
        return f"{path}: no such file{why}, and no other round's ticket is there; restore it from a copy"
    rounds = f"round {there[0]} is" if len(there) == 1 else f"rounds {', '.join(map(str, there))} are"
    return (
        f"{path}: no such file{why}; {rounds} there: give {choice.format(there[-1])}, or restore the file from a copy"
    )
