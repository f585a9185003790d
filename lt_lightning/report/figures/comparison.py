"""Draw the figures of a comparison, a line per group. Colour, marker and dashes tell lines apart, also in grey."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import compress
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lt_lightning.report.comparison.comparison import Point, has_collapsed
from lt_lightning.report.comparison.pairing import Pair
from lt_lightning.report.facts import many
from lt_lightning.report.figures.axes import Level, density_axis, draw_levels
from lt_lightning.report.figures.style import (
    INK,
    LINE_COLOURS,
    LINE_DASHES,
    LINE_MARKERS,
    QUIET,
    is_narrow,
    paper_width,
    printable_apart,
    styled,
    titled_figure,
    type_size,
)
from lt_lightning.report.statistics import Estimate

MOST_GROUPS = 12
"""The number of lines that can be told apart; further groups are not drawn."""

MOST_BANDS = 4
"""The number of groups whose intervals can be drawn as bands."""

_BEYOND = {"linestyle": "", "markersize": 7, "clip_on": False, "zorder": 4}
"""The mark on the edge for a ticket beyond it."""

_ROOM = 0.6  # the room for intervals beyond the lines, as a share of the lines' range


def looks() -> Iterator[dict[str, Any]]:
    """Yield the look of the first line, the second, …, without an end."""
    position = 0
    while True:
        colour, marker, dashes = (of[position % len(of)] for of in (LINE_COLOURS, LINE_MARKERS, LINE_DASHES))
        yield {"color": colour, "marker": marker, "linestyle": dashes}
        position += 1


def readable_range(estimates: Sequence[Estimate], others: Sequence[float] = ()) -> tuple[float, float, bool]:
    """Return a vertical range in which lines can be read, however wide their intervals are.

    Args:
        estimates: the values with their intervals.
        others: other heights that must be inside.

    Returns:
        The lower and the upper end, and whether an interval reaches beyond them.
    """
    means = [value for value in [*(one.mean for one in estimates), *others] if math.isfinite(value)]
    if not means:
        return 0.0, 1.0, False
    lows = [one.low for one in estimates if one.low is not None]
    highs = [one.high for one in estimates if one.high is not None]
    lowest, highest = min(means), max(means)
    height = highest - lowest or 0.04 * abs(highest) or 1.0
    low = max(lowest - _ROOM * height, min([*lows, lowest]))
    high = min(highest + _ROOM * height, max([*highs, highest]))
    edge = 0.05 * (high - low or height)
    return low - edge, high + edge, min([*lows, lowest]) < low or max([*highs, highest]) > high


def drawn_range(
    curves: Mapping[str, Sequence[Point]], measure: Callable[[Point], Estimate], levels: Sequence[Level] = ()
) -> tuple[float, float, bool]:
    """Return the vertical range of `means_figure`, and whether a line or a band reaches beyond it."""
    everything = [
        (measure(point), has_collapsed(point, points))
        for points in curves.values()
        for point in points
        if point.density > 0
    ]
    if len(curves) > MOST_BANDS:
        everything = [(Estimate(one.mean, None, None, one.n), collapsed) for one, collapsed in everything]
    low, high, beyond = readable_range(
        [one for one, collapsed in everything if not collapsed], [level.height for level in levels]
    )
    return low, high, beyond or any(collapsed and not low <= one.mean <= high for one, collapsed in everything)


def paired_range(pairs: Sequence[Pair]) -> tuple[float, float, bool]:
    """Return the vertical range of `paired_figure`, and whether a difference or an interval reaches beyond it."""
    differences = [one for pair in pairs for one in pair.differences]
    standing = [one for one in differences if not one.collapsed]
    if not any(one.round for one in standing):  # show collapsed rounds if there are no others
        standing = differences
    low, high, beyond = readable_range([one.value for one in standing], [0.0])
    return low, high, beyond or any(not low <= one.value.mean <= high for one in differences)


def means_figure(
    curves: Mapping[str, Sequence[Point]],
    measure: Callable[[Point], Estimate],
    words: tuple[str, str, str],
    levels: Sequence[Level] = (),
) -> Figure:
    """Draw means over seeds against density, a line per group; of few groups with their 95 % intervals as bands.

    Args:
        curves: the groups' points by label, at most `MOST_GROUPS`.
        measure: return the value of a point that is drawn, in the unit of the axis.
        words: the title, the subtitle, and the name of the vertical axis.
        levels: lines across the figure, such as the full networks' mean if all groups have the same.
    """
    title, subtitle, axis = words
    drawn = {label: [point for point in points if point.density > 0] for label, points in curves.items()}
    low, high = _room_on(axis, *drawn_range(curves, measure, levels)[:2])
    with styled():
        names = names_with_seeds(curves)
        columns, rows = legend_grid(names)
        figure = titled_figure(8.4, 4.9 + 0.2 * rows, title, subtitle, paper=2.2 + 0.15 * rows)
        axes = figure.add_subplot()
        draw_levels(axes, levels)
        for (label, points), name, look in zip(drawn.items(), names, looks(), strict=False):
            xs, values = [100 * point.density for point in points], [measure(point) for point in points]
            if len(drawn) <= MOST_BANDS:
                standing = [not has_collapsed(point, curves[label]) for point in points]
                _draw_band(axes, list(compress(xs, standing)), list(compress(values, standing)), look)
            axes.plot(xs, [value.mean for value in values], label=name, zorder=3, **look)
            for gid, marker, edge, is_beyond in (("below", "v", low, float.__lt__), ("above", "^", high, float.__gt__)):
                if beyond := [x for x, value in zip(xs, values, strict=True) if is_beyond(value.mean, edge)]:
                    axes.plot(beyond, [edge] * len(beyond), gid=gid, **{**look, **_BEYOND, "marker": marker})
        density_axis(axes, min((100 * point.density for points in drawn.values() for point in points), default=100))
        axes.set_ylim(low, high)
        axes.set_ylabel(axis)
        figure.legend(loc="outside lower center", ncols=columns, handlelength=3.4)
    return figure


def _room_on(axis: str, low: float, high: float) -> tuple[float, float]:
    """Return a range that ends at 100 % and half a marker if the axis is one of per cent."""
    return low, min(high, 100 + 0.03 * (100 - low)) if axis.endswith("(%)") else high


def networks_figure(
    values: Mapping[str, Estimate], words: tuple[str, str, str], levels: Sequence[Level] = ()
) -> Figure:
    """Draw the values of networks that were not pruned, a line of the figure per group, with its 95 % interval.

    Args:
        values: the value of each group, by label, in the unit of the axis; its `n` is the number of seeds.
        words: the title, the subtitle, and the name of the horizontal axis.
        levels: values to compare with.
    """
    title, subtitle, axis = words
    shown = list(values.values())
    low, high, _ = readable_range(shown, [level.height for level in levels])
    with styled():
        figure = titled_figure(8.4, 1.9 + 0.32 * len(shown), title, subtitle, paper=0.9 + 0.2 * len(shown))
        axes = figure.add_subplot()
        for place, (one, look) in enumerate(zip(shown, looks(), strict=False)):
            marker = {"color": look["color"], "marker": look["marker"], "markersize": 6, "zorder": 3}
            axes.errorbar(one.mean, place, xerr=one.half or 0, elinewidth=1.2, capsize=3, **marker)
        for level in levels:
            label = f"{level.name}, {level.said}"
            axes.axvline(level.height, color=QUIET, linewidth=1.1, linestyle=level.dashes, gid=level.gid, label=label)
        if levels:
            axes.legend(loc="best", fontsize=type_size(8.5))
        names = printable_apart(values, 24 if is_narrow() else 48)
        axes.set_yticks(range(len(shown)), [f"{name} (n = {one.n})" for name, one in zip(names, shown, strict=True)])
        axes.set_ylim(len(shown) - 0.5, -0.5)
        axes.set_xlim(_room_on(axis, low, high))
        axes.set_xlabel(axis)
    return figure


def _draw_band(axes: Axes, xs: Sequence[float], values: Sequence[Estimate], look: Mapping[str, Any]) -> None:
    """Draw intervals as a pale band with thin edges in the line's dashes, as pale bands alone look alike in grey."""
    whole = [(x, value.low, value.high) for x, value in zip(xs, values, strict=True) if value.low is not None]
    if not whole:
        return
    places, lows, highs = zip(*whole, strict=True)
    axes.fill_between(places, lows, highs, color=look["color"], alpha=0.10, linewidth=0, zorder=1.5)
    for ends in (lows, highs):
        axes.plot(places, ends, color=look["color"], linestyle=look["linestyle"], linewidth=0.6, alpha=0.7, gid="edge")


def names_with_seeds(curves: Mapping[str, Sequence[Point]]) -> list[str]:
    """Return the groups' names for a legend, each different, with their numbers of seeds."""
    names = zip(printable_apart(curves, 36 if is_narrow() else 60), curves.values(), strict=True)
    return [f"{name} (n = {many(point.test.n for point in points)})" for name, points in names]


def _letters() -> int:
    """Return how many letters fit into a line of a legend."""
    return round(118 * (paper_width() or 8.4) / 8.4 * 9.5 / type_size(9.5))


def legend_grid(labels: Sequence[str]) -> tuple[int, int]:
    """Return how many columns of a legend fit below a figure, and the number of rows."""
    columns = max(1, min(len(labels), 4, _letters() // (max(map(len, labels), default=1) + 9)))
    return columns, math.ceil(len(labels) / columns)


def paired_figure(pairs: Sequence[Pair], title: str, subtitle: str, axis: str) -> Figure:
    """Draw paired differences against density with their 95 % intervals, a panel per pair.

    Args:
        pairs: at least one, at most `MOST_GROUPS`.
        title: the title.
        subtitle: the runs.
        axis: the name of the differences, with their unit.
    """
    low, high, _ = paired_range(pairs)
    columns = min(len(pairs), 1 if is_narrow() else 3)
    rows = math.ceil(len(pairs) / columns)
    lowest = min((100 * one.density for pair in pairs for one in pair.differences if one.density), default=100)
    with styled():
        height = 1.3 + 2.5 * rows if rows > 1 else 4.1
        figure = titled_figure(8.4, height, title, subtitle, paper=0.5 + 1.5 * rows)
        panels = figure.subplots(rows, columns, sharey=True, squeeze=False)
        names = printable_apart((pair.label for pair in pairs), 52 if is_narrow() else 96 // columns)
        for axes, pair, name in zip(panels.flat, pairs, names, strict=False):
            shown = [one for one in pair.differences if one.density]
            axes.axhline(0, color=QUIET, linewidth=1.0)
            # One colour for all pairs: the colours stand for groups.
            axes.errorbar(
                [100 * one.density for one in shown],
                [one.value.mean for one in shown],
                yerr=[[one.value.half or 0 for one in shown]] * 2,
                color=INK, marker="o", markersize=3 if is_narrow() else 4.5, linewidth=1.2, elinewidth=1.0, capsize=2.5,
            )  # fmt: skip
            density_axis(axes, lowest, is_thin=columns > 1)
            axes.set_ylim(low, high)
            seeds = many(one.value.n for one in shown)
            axes.set_title(f"{name}\nn = {seeds}")
            axes.set_xlabel("weights alive (%)")
        for spare in panels.flat[len(pairs) :]:
            spare.set_visible(False)
        for axes in panels[:, 0]:
            axes.set_ylabel(axis)
    return figure
