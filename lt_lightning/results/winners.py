"""Which rounds won, by what the run is judged by."""

import math
from collections.abc import Sequence

from lt_lightning.results.metrics import ACCURACY, Metric
from lt_lightning.results.records import Record
from lt_lightning.results.wording import OF_TEXTS, Wording


def best_ticket(records: Sequence[Record], metric: Metric = ACCURACY) -> Record | None:
    """The pruned round with the best value, of several the sparsest; None while no round has pruned."""
    pruned = [record for record in records if record.round > 0 and not math.isnan(metric.read(record))]
    return max(pruned, key=lambda record: (metric.gain(metric.read(record), 0), -record.density), default=None)


def is_winner(record: Record, full: Record, metric: Metric = ACCURACY) -> bool:
    """Whether a round's ticket wins: it is pruned, and at least as good as the full network."""
    return record.round > 0 and metric.gain(metric.read(record), metric.read(full)) >= 0


def smallest_winner(records: Sequence[Record], metric: Metric = ACCURACY) -> Record | None:
    """The sparsest winning ticket; None where no ticket wins. The full network is the first record."""
    winners = [record for record in records if is_winner(record, records[0], metric)]
    return min(winners, key=lambda record: record.density, default=None)


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
