"""The numbers of a comparison: a curve of means for every group, its winning tickets, differences between groups."""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas

from lt_lightning.report.comparison.grouping import BRANCH, MASK, REWIND, Group, compared_columns
from lt_lightning.report.statistics import Estimate, estimate
from lt_lightning.runs.formatting import exact, show_setting
from lt_lightning.runs.metrics import ACCURACY, Metric
from lt_lightning.runs.tasks import OF_TEXTS, Wording

_CONTROLS = ("random", "shuffle")
"""The rewinds that are controls of all others."""
_ALIKE = 0.02  # densities that differ by no more, relatively, are one density


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
    """

    round: int
    density: float
    values: Mapping[str, Estimate]
    judged: Estimate
    metric: Metric = ACCURACY
    is_own: bool = True
    place: int = 0

    @property
    def test(self) -> Estimate:
        """The mean of the reported value."""
        return self.values[f"test_{self.metric.key}"]


@dataclass(frozen=True)
class Difference:
    """The difference of two groups at one density, over the seeds that both have.

    Attributes:
        round: the first group's round.
        density: the share of the weights that are alive.
        value: the difference of the metric as records have it: of a share, a fraction.
        collapsed: whether a ticket of either group is too bad to compare.
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


def same_start(groups: Sequence[Group]) -> bool:
    """Return whether the groups begin with the same full networks: only settings of the pruning differ.

    Branches have the full network of their trunk, whatever else differs.
    """
    if any(run.description.ticket for group in groups for run in group.runs):
        return False
    if not all(group.has_full for group in groups):
        return False
    if all(key.startswith("pruning.") or key == BRANCH for key in groups[0].settings):
        return True
    trunks = [group for group in groups if not group.is_branch]
    return len(trunks) <= 1 < len(groups) and all(
        _is_trunk(trunk, group) for trunk in trunks for group in groups if group.is_branch
    )


def full_networks(groups: Sequence[Group]) -> Estimate:
    """Return the mean of the full networks. A seed counts once, however many groups begin with its network."""
    rounds = pandas.concat([group.rounds for group in groups])
    seeds = rounds[rounds["place"] == 0].groupby("seed")[f"test_{groups[0].metric.key}"]
    return estimate(estimate(values).mean for _, values in seeds)


def paired(first: Group, second: Group) -> tuple[Difference, ...]:
    """Return the first's values minus the second's, seed by seed, at each density that both have trained.

    A branch counts for the seed of its trunk; several branches of one trunk, such as of other data orders, count once,
    by their mean.
    """
    trunks = _trunk_seeds(first, second)
    ours, theirs, name = curve(first), curve(second), f"test_{first.metric.key}"
    differences, own = [], [point for point in theirs if point.is_own]
    for point in [one for one in ours if one.is_own] if own else []:
        near = min(own, key=lambda other: abs(other.density - point.density))
        if not densities_alike(near.density, point.density):
            continue
        of_first, of_second = (
            group.rounds[group.rounds["place"] == at.place] for group, at in ((first, point), (second, near))
        )
        if trunks:
            of_second = of_second.assign(seed=[trunks.get(seed) for seed in of_second["seed"]])
            of_second = of_second.groupby("seed", as_index=False)[name].mean()
        both = of_first.merge(of_second, on="seed")
        values = estimate(both[f"{name}_x"] - both[f"{name}_y"])
        if values.n:
            collapsed = has_collapsed(point, ours) or has_collapsed(near, theirs)
            differences.append(Difference(point.round, point.density, values, collapsed))
    return tuple(differences)


def pairs(groups: Sequence[Group]) -> list[Pair]:
    """Return the pairs to look at.

    They are rewinds against their controls and against `init`, masks against their controls, all else equal, and trunks
    against their branches. If there are none, every group is paired with the first.
    """
    chosen = [
        Pair(label, first, second, paired(first, second))
        for second in groups
        for first in groups
        if (label := _pair_label(first, second)) is not None
    ]
    if not chosen:
        chosen = [
            Pair(f"{group.label} − {groups[0].label}", group, groups[0], paired(group, groups[0]))
            for group in groups[1:]
        ]
    # The control first, whatever the order of the groups.
    return sorted((pair for pair in chosen if pair.differences), key=lambda pair: not _is_control(pair.second))


def _is_control(group: Group) -> bool:
    return _rewind(group) in _CONTROLS or show_setting(group.settings.get(MASK)) in ("shuffle", "random", "invert")


def _pair_label(first: Group, second: Group) -> str | None:
    """Return the name of a pair to look at; None for two groups that tell nothing together."""
    if first is second:
        return None
    if _rewind_pair(first, second):
        return _label(REWIND, first, second)
    is_mask = MASK in first.settings and exact(_others(first, MASK)) == exact(_others(second, MASK))
    if is_mask and show_setting(first.settings[MASK]) == "pruned":
        return _label(MASK, first, second)
    if _is_trunk(first, second):
        return f"{first.label} − {second.label}"
    return None


def _is_trunk(first: Group, second: Group) -> bool:
    """Return whether the runs of the second group are branches of runs of the first."""
    return bool(_trunk_seeds(first, second))


def _trunk_seeds(first: Group, second: Group) -> dict[str, str]:
    """Return the seeds of the trunks in the first group by those of their branches in the second."""
    trunks = {repr(run.records[0]): seed for seed, run in zip(first.seeds, first.runs, strict=True)}
    if first.is_branch or not second.is_branch:
        return {}
    # A record has the round's duration, so that those of two runs differ.
    found = {seed: trunks.get(repr(run.full)) for seed, run in zip(second.seeds, second.runs, strict=True)}
    return {seed: trunk for seed, trunk in found.items() if trunk is not None}


def _rewind(group: Group) -> str:
    return show_setting(group.settings.get(REWIND))


def _others(group: Group, without: str) -> dict[str, Any]:
    return {key: value for key, value in group.settings.items() if key != without}


def _rewind_pair(first: Group, second: Group) -> bool:
    if REWIND not in first.settings or exact(_others(first, REWIND)) != exact(_others(second, REWIND)):
        return False
    learned = _rewind(first).partition(":")[0] in ("last", "epoch", "step")
    if _rewind(second) in _CONTROLS:
        return _rewind(first) not in _CONTROLS
    return _rewind(second) == "init" and learned


def _label(setting: str, first: Group, second: Group) -> str:
    name, values = setting.rpartition(".")[2], (show_setting(group.settings[setting]) for group in (first, second))
    others = [f"{key.rpartition('.')[2]} {show_setting(value)}" for key, value in _others(first, setting).items()]
    return ", ".join([f"{name} {' − '.join(values)}", *others])


def densities_alike(one: float, other: float) -> bool:
    """Return whether two densities count as one."""
    return abs(one - other) <= _ALIKE * max(one, other)


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
    return math.isclose(low, high, rel_tol=_ALIKE)
