"""Draw what several figures share: the axis of densities, and lines at levels such as the full network's value."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

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
    """Make the horizontal axis one of density in per cent: logarithmic, sparser to the right, ticks 100, 50, 20, …

    Args:
        axes: where the densities, in per cent, are drawn.
        lowest: the lowest of them, above 0.
        is_thin: whether there is room for few ticks only.
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


@dataclass(frozen=True)
class Level:
    """A height that is worth a line across the figure.

    Attributes:
        gid: what the line is called in the SVG.
        name: what reaches that height.
        height: in the unit of the axis.
        said: the height in words.
        dashes: what the line looks like.
    """

    gid: str
    name: str
    height: float
    said: str
    dashes: Any


def levels_of(full: float, baseline: Baseline | None, metric: Metric, words: Wording = OF_TEXTS) -> list[Level]:
    """The lines of a figure of what runs are judged by: the full network's value, and the baseline's.

    Args:
        full: the full network's; where it is no finite number, it has no line.
        baseline: the baseline, if there is one.
        metric: what the values are.
        words: what the first of them is called.
    """
    levels = [
        Level(
            "full",
            textwrap.fill(words.full, _letters_beside()),
            metric.scale * full,
            metric.show(full),
            (0, (5, 3)),
        )
    ]
    if baseline is not None:
        said, name = metric.show(baseline.value), textwrap.fill(printable(baseline.name, 48), _letters_beside())
        levels.append(Level("baseline", name, metric.scale * baseline.value, said, (0, (1, 2))))
    return [level for level in levels if math.isfinite(level.height)]


def _letters_beside() -> int:
    return 12 if is_narrow() else 18


def draw_levels(axes: Axes, levels: Sequence[Level]) -> None:
    """Draw lines across a figure that say on the right what they are, at most two."""
    # Of two, however near, one's words stand on its line and the other's hang from it: they never meet.
    stand = (("center", 0),) if len(levels) == 1 else (("top", -1), ("bottom", 1))
    for level, (side, away) in zip(sorted(levels, key=lambda level: level.height), stand, strict=False):
        axes.axhline(level.height, color=QUIET, linewidth=1.1, linestyle=level.dashes, gid=level.gid)
        axes.annotate(
            f"{level.name}\n{level.said}",
            (1, level.height),
            xycoords=("axes fraction", "data"),
            xytext=(5, away),
            textcoords="offset points",
            va=side,
            color=QUIET,
            size=type_size(9),
        )
