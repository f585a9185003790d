"""One number per group: the area under its reported values over the logarithm of the density."""

import math
from dataclasses import dataclass

from lt_lightning.report.comparison.comparison import Point
from lt_lightning.report.comparison.grouping import Group
from lt_lightning.report.comparison.pairing import subtract
from lt_lightning.report.comparison.study import Study
from lt_lightning.runs.densities import densities_alike
from lt_lightning.runs.objective import area


@dataclass(frozen=True)
class Areas:
    """The areas of groups over the densities that they share.

    Attributes:
        densities: the shared densities, from dense to sparse; the full networks' among them where all groups have some.
        groups: the area of each seed, by the group's label.
        pairs: the differences of areas, a seed each, by the pair's label.
    """

    densities: tuple[float, ...]
    groups: dict[str, dict[str, float]]
    pairs: dict[str, tuple[float, ...]]


def areas(study: Study) -> Areas | None:
    """Return the areas of all groups that have several densities, or None if these share fewer than two.

    An area is in the unit of the values: it is their mean over the logarithm of the density, see `runs.objective.area`.
    """
    curves = {group.label: [one for one in study.curves[group.label] if one.density] for group in study.groups}
    groups = [group for group in study.groups if len(curves[group.label]) > 1]
    if not groups:
        return None
    first = curves[groups[0].label]
    shared = [point for point in first if all(_at(point.density, curves[group.label]) for group in groups)]
    if len(shared) < 2:
        return None
    densities = tuple(point.density for point in shared)
    found = {group.label: _of_seeds(group, densities, curves[group.label]) for group in groups}
    pairs = {
        pair.label: subtract(pair.first, pair.second, found[pair.first.label], found[pair.second.label])
        for pair in study.pairs
        if pair.first.label in found and pair.second.label in found
    }
    return Areas(densities, found, pairs)


def _at(density: float, points: list[Point]) -> Point | None:
    """Return the point nearest to a density, or None if no point counts as of that density."""
    near = min(points, key=lambda point: abs(point.density - density))
    return near if densities_alike(near.density, density) else None


def _of_seeds(group: Group, densities: tuple[float, ...], points: list[Point]) -> dict[str, float]:
    """Return the area of each seed that has been tested at all of the densities."""
    near = [point for density in densities if (point := _at(density, points))]
    columns = [group.by_seed(f"test_{group.metric.key}", point.place) for point in near]
    values = {seed: [column.get(seed, math.nan) for column in columns] for seed in group.seeds}
    return {
        seed: area([point.density for point in near], of_seed)
        for seed, of_seed in values.items()
        if all(map(math.isfinite, of_seed))
    }
