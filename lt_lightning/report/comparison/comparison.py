"""The numbers of a comparison: a curve of means for every group, its winning tickets, the densities of several."""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas

from lt_lightning.report.comparison.grouping import Group, compared_columns
from lt_lightning.report.statistics import Estimate, estimate
from lt_lightning.runs.densities import densities_alike
from lt_lightning.runs.metrics import ACCURACY, Metric
from lt_lightning.runs.tasks import OF_TEXTS, Wording


@dataclass(frozen=True)
class Point:
    """A round of a group: means over its seeds. Shares are fractions.

    Attributes:
        round: the round.
        density: the share of the weights that are alive.
        values: the mean of each of `compared_columns`, by its name.
        judged: the mean on the validation part, which chooses tickets.
        metric: the metric of the runs.
        is_own: whether the group's runs trained it; branches, for one, have their full networks from their trunks.
        place: its place in `Group.rounds`.
        collapsed: the number of seeds whose ticket has collapsed, and of those of which it is known; see `collapse`.
        median: the median of the reported value; NaN without values.
    """

    round: int
    density: float
    values: Mapping[str, Estimate]
    judged: Estimate
    metric: Metric = ACCURACY
    is_own: bool = True
    place: int = 0
    collapsed: tuple[int, int] = (0, 0)
    median: float = math.nan

    @property
    def test(self) -> Estimate:
        """The mean of the reported value."""
        return self.values[f"test_{self.metric.key}"]


def curve(group: Group) -> tuple[Point, ...]:
    """Return the means over the seeds, round by round, as far as any of the group's runs has come.

    The first is the full networks'.
    """
    return tuple(
        Point(
            rows["round"].iloc[0].item(),
            sum(rows["density"]) / len(rows),
            {name: estimate(rows[name]) for name in compared_columns(group.metric)},
            estimate(rows["judged"]),
            group.metric,
            rows["place"].iloc[0].item() > 0 or not group.is_branch,
            rows["place"].iloc[0].item(),
            (int(rows["collapsed"].sum()), int(rows["collapsed"].count())),
            float(rows[f"test_{group.metric.key}"].median()),
        )
        for _, rows in group.rounds.groupby("place")
    )


def has_collapsed(point: Point, points: Sequence[Point]) -> bool:
    """Return whether a ticket is so much worse than the full network that it would squeeze all others in a figure.

    At most the worse half of a group's tickets are, whatever they lose: they must be more than the metric's `room`
    below the full network, and more than twice as far below it as the median ticket.
    """
    metric, full = point.metric, points[0].test.mean
    losses = [metric.gain(full, one.test.mean) for one in points[1:] if math.isfinite(one.test.mean)]
    typical = statistics.median_low(losses) if losses else 0.0
    return metric.gain(full, point.test.mean) > max(metric.room, 2 * typical)


def _tickets(points: Sequence[Point]) -> list[Point]:
    # Means over some of the seeds and over all of them cannot be compared.
    return [
        point for point in points[1:] if point.density < points[0].density and 0 < point.judged.n == points[0].judged.n
    ]


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
    """Return the ticket to look at closely and its title: the smallest winning one or, if none wins, the best."""
    winner, best = winning_point(points), best_point(points)
    if winner is not None:
        return winner, words.winner
    return None if best is None else (best, words.loser)


def full_networks(groups: Sequence[Group]) -> Estimate:
    """Return the mean of the full networks. A seed counts once, however many groups begin with its network."""
    rounds = pandas.concat([group.rounds for group in groups])
    seeds = rounds[rounds["place"] == 0].groupby("seed")[f"test_{groups[0].metric.key}"]
    return estimate(estimate(values).mean for _, values in seeds)


def shared_densities(curves: Mapping[str, Sequence[Point]]) -> list[dict[str, Point]]:
    """Return the points of several groups that lie at one density, by the groups' labels, from dense to sparse.

    Only points that a group has trained itself count, and densities that several groups share.
    """
    left = [(label, point) for label, points in curves.items() for point in points if point.is_own]
    left.sort(key=lambda one: -one[1].density)
    shared: list[dict[str, Point]] = []
    while left:
        density = left[0][1].density
        near = [one for one in left if densities_alike(one[1].density, density)]
        left = left[len(near) :]
        points: dict[str, Point] = {}
        for label, point in near:
            points.setdefault(label, point)
        if len(points) > 1:
            shared.append({label: points[label] for label in curves if label in points})
    return shared


def densities_agree(points: Sequence[Point]) -> bool:
    """Return whether points of several groups lie at one density."""
    low, high = (end([point.density for point in points]) for end in (min, max))
    return densities_alike(low, high)
