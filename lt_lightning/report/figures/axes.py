"""Draw what several figures share: the axis of densities, and lines at levels such as the full network's value."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from typing import Any, NamedTuple

from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from lt_lightning.report.figures.style import (
    QUIET,
    is_narrow,
    printable,
    type_size,
)
from lt_lightning.runs.metrics import Baseline, Metric
from lt_lightning.runs.tasks import OF_TEXTS, Wording


def spread(values: Sequence[int], count: int) -> list[int]:
    """Return at most `count` of the values, evenly spread, with the first and the last."""
    if len(values) <= count:
        return list(values)
    return [values[round(i * (len(values) - 1) / (count - 1))] for i in range(count)]


def mark_every(points: int) -> int:
    """Return the step from one marker of a line to the next, so that markers do not meet.

    >>> mark_every(10), mark_every(100)
    (1, 5)
    """
    return max(1, points // 20)


def density_axis(axes: Axes, lowest: float, is_thin: bool = False) -> None:
    """Make the horizontal axis a logarithmic one of density in per cent, sparser to the right, ticks 100, 50, 20, …

    Args:
        axes: the axes of a plot of densities in per cent.
        lowest: the lowest density, above 0.
        is_thin: whether there is room for a few ticks only.
    """
    if lowest > 35:
        ticks = [float(tick) for tick in range(100, 30, -10)]
    elif lowest > 8:
        ticks = [100.0, 70, 50, 30, 20, 15, 10]
    else:
        ticks = [digit * 10.0**power for power in range(2, -7, -1) for digit in (5, 2, 1)]
    ticks = [tick for tick in ticks if lowest / 1.2 <= tick <= 100]
    axes.set_xscale("log")
    axes.set_xlim(115, min(lowest / 1.2, 60))
    axes.xaxis.set_major_locator(FixedLocator(ticks[:: math.ceil(len(ticks) / 5)] if is_thin or is_narrow() else ticks))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel("weights alive (%), log scale")


class Level(NamedTuple):
    """A line across a figure.

    Attributes:
        gid: its name in the SVG.
        name: its name beside the line.
        height: its value in the unit of the axis.
        said: its value in words.
        dashes: the dashes of the line.
    """

    gid: str
    name: str
    height: float
    said: str
    dashes: Any


def levels_of(full: float, baseline: Baseline | None, metric: Metric, words: Wording = OF_TEXTS) -> list[Level]:
    """Return the lines of a figure of a metric: the full network's value, unless it is NaN, and the baseline's."""
    named = [("full", words.full, full, (0, (5, 3)))]
    if baseline is not None:
        named.append(("baseline", printable(baseline.name, 48), baseline.value, (0, (1, 2))))
    letters = 12 if is_narrow() else 18
    return [
        Level(gid, textwrap.fill(name, letters), metric.scale * value, metric.show(value), dashes)
        for gid, name, value, dashes in named
        if math.isfinite(value)
    ]


def draw_levels(axes: Axes, levels: Sequence[Level]) -> None:
    """Draw at most two lines across a figure, with their names and values on the right."""
    # The words of one of two lines stand on it and those of the other hang from it, so that they never meet.
    stand = (("center", 0),) if len(levels) == 1 else (("top", -1), ("bottom", 1))
    for level, (side, away) in zip(sorted(levels, key=lambda level: level.height), stand, strict=False):
        axes.axhline(level.height, color=QUIET, linewidth=1.1, linestyle=level.dashes, gid=level.gid)
        axes.annotate(
            f"{level.name}\n{level.said}", (1, level.height), xycoords=("axes fraction", "data"),
            xytext=(5, away), textcoords="offset points", va=side, color=QUIET, size=type_size(9),
        )  # fmt: skip
