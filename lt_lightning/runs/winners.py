"""Which rounds won: chosen on the validation part, so that the test part can tell how good they are."""

import math
from collections.abc import Sequence

from lt_lightning.runs.metrics import ACCURACY, Metric
from lt_lightning.runs.records import Record
from lt_lightning.runs.tasks import OF_TEXTS, Wording

_ROUNDING = 1e-5  # in per cent: what a difference of two shares in single precision may be off by


def best_ticket(records: Sequence[Record], metric: Metric = ACCURACY) -> Record | None:
    """Return the pruned round with the best validation value, of equals the sparsest; None before the first."""
    pruned = [record for record in records if record.round > 0 and not math.isnan(metric.judge(record))]
    return max(pruned, key=lambda record: (metric.gain(metric.judge(record), 0), -record.density), default=None)


def is_winner(record: Record, full: Record, metric: Metric = ACCURACY, within: float = 0.0) -> bool:
    """Return whether a round's ticket wins: it is pruned, and on the validation part as good as the full network.

    Args:
        record: the round's.
        full: round 0's.
        metric: what the run is judged by.
        within: a ticket that is worse by no more than this counts too; in the metric's unit, of accuracy in points.
    """
    # Records hold shares in single precision, and their difference is not exact either.
    slack = (within + _ROUNDING) / metric.scale if within else 0.0
    return record.round > 0 and metric.gain(metric.judge(record), metric.judge(full)) >= -slack


def smallest_winner(records: Sequence[Record], metric: Metric = ACCURACY, within: float = 0.0) -> Record | None:
    """Return the sparsest winning ticket, or None where no ticket wins; arguments as for `is_winner`.

    The full network is the first record.
    """
    winners = [record for record in records if is_winner(record, records[0], metric, within)]
    return min(winners, key=lambda record: record.density, default=None)


def margin_for(ticket: Record, records: Sequence[Record], metric: Metric = ACCURACY) -> str:
    """Return the shortest `within`, as a number to type, with which this ticket is the smallest that wins.

    Args:
        ticket: the best ticket of these records.
        records: of all rounds; the full network's is the first.
        metric: what the run is judged by.
    """
    lost = metric.scale * metric.gain(metric.judge(records[0]), metric.judge(ticket))
    for digits in range(1, 7):
        margin = math.ceil(lost * 10**digits - 0.001) / 10**digits
        if smallest_winner(records, metric, margin) == ticket:
            return f"{margin:.{digits}f}"
    return f"{lost:.9f}"


def sparsest_within(records: Sequence[Record], sparsity: float) -> Record | None:
    """The sparsest round of which at most this share is pruned; None where all are sparser."""
    return max((one for one in records if one.sparsity <= sparsity), key=lambda one: one.sparsity, default=None)


def telling_rounds(records: Sequence[Record], metric: Metric = ACCURACY, words: Wording = OF_TEXTS) -> dict[int, str]:
    """The rounds to look at closely, and what they are: the full network and its smallest winner or best ticket."""
    winner, best = smallest_winner(records, metric), best_ticket(records, metric)
    rounds = {0: words.full}
    if winner is not None:
        rounds[winner.round] = words.winner
    elif best is not None:
        rounds[best.round] = words.loser
    return rounds
