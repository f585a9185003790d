"""Pair groups that differ in one setting, and subtract one from the other, seed by seed."""

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lt_lightning.report.comparison.comparison import curve, has_collapsed
from lt_lightning.report.comparison.grouping import Group
from lt_lightning.report.comparison.joining import parts_of
from lt_lightning.report.comparison.labels import BRANCH, MASK, REWIND
from lt_lightning.report.statistics import Estimate, estimate
from lt_lightning.runs.densities import densities_alike
from lt_lightning.runs.formatting import exact, show_setting

_CONTROLS = ("random", "shuffle")
"""The rewinds that are controls of all others."""


@dataclass(frozen=True)
class Difference:
    """The difference of two groups at one density, over the seeds that both have.

    Attributes:
        round: the first group's round.
        density: the share of the weights that are alive.
        value: the difference of the metric as records have it: of a share, a fraction.
        collapsed: whether a ticket of either group is too bad to compare.
        tested: the difference of each seed, for a test; none where both groups begin with the same full networks.
    """

    round: int
    density: float
    value: Estimate
    collapsed: bool = False
    tested: tuple[float, ...] = ()


@dataclass(frozen=True)
class Pair:
    """Two groups that differ in one setting: `differences` are the first's values minus the second's."""

    label: str
    first: Group
    second: Group
    differences: tuple[Difference, ...]


def same_start(groups: Sequence[Group]) -> bool:
    """Return whether the groups begin with the same full networks: only settings of the pruning differ.

    Branches have the full network of their trunk, whatever else differs.
    """
    if any(run.description.ticket for group in groups for run in group.runs):
        return False
    if not all(group.has_full for group in groups):
        return False
    differing = {key for key in groups[0].settings if len({exact(group.settings.get(key)) for group in groups}) > 1}
    if all(key.startswith("pruning.") or key == BRANCH for key in differing):
        return True
    trunks = [group for group in groups if not group.is_branch]
    return len(trunks) <= 1 < len(groups) and all(
        _is_trunk(trunk, group) for trunk in trunks for group in groups if group.is_branch
    )


def paired(first: Group, second: Group) -> tuple[Difference, ...]:
    """Return the first's values minus the second's, seed by seed, at each density that both have trained.

    Seeds are matched like by `subtract`.
    """
    ours, theirs, name = curve(first), curve(second), f"test_{first.metric.key}"
    differences, own = [], [point for point in theirs if point.is_own]
    are_same = same_start((first, second))
    for point in [one for one in ours if one.is_own] if own else []:
        near = min(own, key=lambda other: abs(other.density - point.density))
        if not densities_alike(near.density, point.density):
            continue
        of_first, of_second = first.by_seed(name, point.place), second.by_seed(name, near.place)
        values = subtract(first, second, of_first, of_second)
        if values:
            collapsed = has_collapsed(point, ours) or has_collapsed(near, theirs)
            tested = () if are_same and point.place == near.place == 0 else values
            differences.append(Difference(point.round, point.density, estimate(values), collapsed, tested))
    return tuple(differences)


def subtract(
    first: Group, second: Group, of_first: Mapping[str, float], of_second: Mapping[str, float]
) -> tuple[float, ...]:
    """Return the differences of two groups' finite values at the seeds that both have.

    A branch counts for the seed of its trunk; several branches of one trunk, such as of other data orders, count once,
    by their mean.

    Args:
        first: the group of the minuends.
        second: the group of the subtrahends.
        of_first: the minuends by seed.
        of_second: the subtrahends by seed.
    """
    trunks = _trunk_seeds(first, second)
    if trunks:
        of_second = _means((trunks[seed], value) for seed, value in of_second.items() if seed in trunks)
    found = (value - of_second[seed] for seed, value in of_first.items() if seed in of_second)
    return tuple(value for value in found if math.isfinite(value))


def against_full(group: Group) -> tuple[Difference, ...]:
    """Return a group's tickets minus the full networks of the same seeds, at each density that it has trained.

    Several branches of one trunk count once, by their mean. Empty if there are no full networks to compare with.
    """
    if not group.has_full:
        return ()
    name = f"test_{group.metric.key}"
    # Branches of one trunk have its full network, whose record has a duration.
    networks = {
        seed: seed if run.has_own_full else repr(run.full) for seed, run in zip(group.seeds, group.runs, strict=True)
    }
    full = _means((networks[seed], value) for seed, value in group.by_seed(name, 0).items())
    differences = []
    for point in curve(group)[1:]:
        reached = _means((networks[seed], value) for seed, value in group.by_seed(name, point.place).items())
        values = tuple(value - full[network] for network, value in reached.items() if network in full)
        if values:
            differences.append(Difference(point.round, point.density, estimate(values), tested=values))
    return tuple(differences)


def _means(values: Iterable[tuple[str, float]]) -> dict[str, float]:
    """Return the mean of the finite values of each key."""
    found: dict[str, list[float]] = {}
    for key, value in values:
        if math.isfinite(value):
            found.setdefault(key, []).append(value)
    return {key: statistics.fmean(of_key) for key, of_key in found.items()}


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
    return first is not second and bool(_trunk_seeds(first, second))


def _trunk_seeds(first: Group, second: Group) -> dict[str, str]:
    """Return the seeds of the trunks in the first group by those of their branches in the second."""
    # A record has the round's duration, so that those of two runs differ.
    trunks = {
        repr(part.records[0]): seed
        for seed, run in zip(first.seeds, first.runs, strict=True)
        for part in parts_of([run])
    }
    found = {
        seed: trunks.get(repr(part.full if part.description.branch else run.reference))
        for seed, run in zip(second.seeds, second.runs, strict=True)
        for part in parts_of([run])
    }
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
