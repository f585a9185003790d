"""What a comparison says: a curve of means for every group, its winning tickets, and differences between groups."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lt_lightning.report.comparison.grouping import REWIND, Group
from lt_lightning.report.statistics import Estimate, estimate
from lt_lightning.runs.formatting import exact, show_setting
from lt_lightning.runs.metrics import ACCURACY, Metric
from lt_lightning.runs.tasks import OF_TEXTS, Wording

_ALIKE = 0.02  # densities that differ by no more, relatively, are one density


@dataclass(frozen=True)
class Point:
    """A round of a group: means over its seeds. Shares are fractions.

    `test` is the value of `metric` that is reported, `judged` its value on the validation part, which chooses tickets.
    """

    round: int
    density: float
    test: Estimate
    valid_loss: Estimate
    valid_acc: Estimate
    judged: Estimate
    metric: Metric = ACCURACY


@dataclass(frozen=True)
class Difference:
    """The difference of what runs are judged by at one density, over the seeds that both groups have.

    `value` is of the metric as records have it: of a share, a fraction.

    `collapsed`: a ticket of either group is so bad that there is nothing to compare.
    """

    round: int
    density: float
    value: Estimate
    collapsed: bool = False


@dataclass(frozen=True)
class Pair:
    """Two groups that differ in one setting: `differences` are the first's values minus the second's."""

    label: str
    first: Group
    second: Group
    differences: tuple[Difference, ...]


def curve(group: Group) -> tuple[Point, ...]:
    """Means over the seeds, round by round, as far as any of the group's runs has come."""
    points, metric = [], group.metric
    for round_ in range(max(len(run.records) for run in group.runs)):
        records = [run.records[round_] for run in group.runs if round_ < len(run.records)]
        points.append(
            Point(
                round_,
                sum(record.density for record in records) / len(records),
                estimate(metric.read(record) for record in records),
                estimate(record.valid_loss for record in records),
                estimate(record.valid_acc for record in records),
                estimate(metric.judge(record) for record in records),
                metric,
            )
        )
    return tuple(points)


def has_collapsed(point: Point, points: Sequence[Point]) -> bool:
    """Return whether a ticket is so much worse than the full network that it would squeeze all others in a picture.

    At most the worse half of a group's tickets are, whatever they lose: they must be more than the metric's `room`
    below the full network, and more than twice as far below it as the median ticket.
    """
    metric, full = point.metric, points[0].test.mean
    losses = [metric.gain(full, one.test.mean) for one in points[1:] if math.isfinite(one.test.mean)]
    typical = statistics.median_low(losses) if losses else 0.0
    return metric.gain(full, point.test.mean) > max(metric.room, 2 * typical)


def _tickets(points: Sequence[Point]) -> list[Point]:
    # A mean over some of the seeds is not to be held against a mean over all of them.
    return [point for point in points[1:] if 0 < point.judged.n == points[0].judged.n]


def best_point(points: Sequence[Point]) -> Point | None:
    """Return the pruned round with the best validation mean, of equals the sparsest; None before any has all seeds."""
    return max(
        _tickets(points), key=lambda point: (point.metric.gain(point.judged.mean, 0), -point.density), default=None
    )


def winning_point(points: Sequence[Point]) -> Point | None:
    """Return the sparsest pruned round whose validation mean is as good as the full networks', or None."""
    full = points[0].judged.mean
    winners = [point for point in _tickets(points) if point.metric.gain(point.judged.mean, full) >= 0]
    return min(winners, key=lambda point: point.density, default=None)


def shown_ticket(points: Sequence[Point], words: Wording = OF_TEXTS) -> tuple[Point, str] | None:
    """The ticket to look at closely, and what it is: the smallest winning one or, where none wins, the best."""
    winner, best = winning_point(points), best_point(points)
    if winner is not None:
        return winner, words.winner
    return None if best is None else (best, words.loser)


def same_start(groups: Sequence[Group]) -> bool:
    """Whether the groups begin with the same full networks: nothing but how they are pruned differs."""
    if any(run.description.ticket for group in groups for run in group.runs):
        return False
    return all(key.startswith("pruning.") for key in groups[0].settings)


def full_networks(groups: Sequence[Group]) -> Estimate:
    """What the full networks reach, each seed counted once, however many groups begin with its network."""
    seeds: dict[str, list[float]] = {}
    for group in groups:
        for seed, run in zip(group.seeds, group.runs, strict=True):
            seeds.setdefault(seed, []).append(group.metric.read(run.records[0]))
    return estimate(estimate(values).mean for values in seeds.values())


def paired(first: Group, second: Group) -> tuple[Difference, ...]:
    """First minus second, seed by seed, wherever both have a round at the same density."""
    ours, theirs, metric = curve(first), curve(second), first.metric
    seeds = dict(zip(second.seeds, second.runs, strict=True))
    both = [(run, seeds[seed]) for seed, run in zip(first.seeds, first.runs, strict=True) if seed in seeds]
    differences = []
    for point in ours:
        near = min(theirs, key=lambda other: abs(other.density - point.density))
        if abs(near.density - point.density) > _ALIKE * max(near.density, point.density):
            continue
        values = estimate(
            metric.read(one.records[point.round]) - metric.read(other.records[near.round])
            for one, other in both
            if point.round < len(one.records) and near.round < len(other.records)
        )
        if values.n:
            collapsed = has_collapsed(point, ours) or has_collapsed(near, theirs)
            differences.append(Difference(point.round, point.density, values, collapsed))
    return tuple(differences)


def pairs(groups: Sequence[Group]) -> list[Pair]:
    """The pairs worth looking at: rewinds against the random control and against `init`, all else equal.

    Where no two groups differ in the rewind alone, every group against the first.
    """
    chosen = [
        Pair(_rewind_label(first, second), first, second, paired(first, second))
        for second in groups
        for first in groups
        if _rewind_pair(first, second)
    ]
    if not chosen:
        chosen = [
            Pair(f"{group.label} − {groups[0].label}", group, groups[0], paired(group, groups[0]))
            for group in groups[1:]
        ]
    # The control first, whatever the order of the groups.
    return sorted((pair for pair in chosen if pair.differences), key=lambda pair: _rewind(pair.second) != "random")


def _rewind(group: Group) -> str:
    return show_setting(group.settings.get(REWIND))


def _others(group: Group) -> dict[str, Any]:
    return {key: value for key, value in group.settings.items() if key != REWIND}


def _rewind_pair(first: Group, second: Group) -> bool:
    if first is second or REWIND not in first.settings or exact(_others(first)) != exact(_others(second)):
        return False
    learned = _rewind(first).partition(":")[0] in ("last", "epoch", "step")
    return _rewind(second) == "random" or (_rewind(second) == "init" and learned)


def _rewind_label(first: Group, second: Group) -> str:
    others = [f"{key.rpartition('.')[2]} {show_setting(value)}" for key, value in _others(first).items()]
    return ", ".join([f"rewind {_rewind(first)} − {_rewind(second)}", *others])


def densities_agree(points: Sequence[Point]) -> bool:
    """Whether points of several groups lie at one density."""
    low, high = (end([point.density for point in points]) for end in (min, max))
    return math.isclose(low, high, rel_tol=_ALIKE)
