"""Draw the curves of errors between copies, and the instability against density."""

from __future__ import annotations

import math
from collections.abc import Sequence

from matplotlib.figure import Figure

from lt_lightning.connect.records import STABLE, RoundCurves
from lt_lightning.connect.wording import Wording
from lt_lightning.report.figures.axes import density_axis, spread
from lt_lightning.report.figures.style import BLUE, QUIET, VERMILLION, styled, titled_figure, type_size
from lt_lightning.runs.formatting import percent

MOST_PANELS = 8
_LOOKS = ((VERMILLION, "o", "-"), (BLUE, "s", (0, (5, 1.6))))
"""Colour, marker and dashes of the part that networks are judged on, and of the training part."""


def curves_figure(rounds: Sequence[RoundCurves], wording: Wording, title: str, subtitle: str) -> Figure:
    """Draw the error along the line between copies, a panel per round: means over pairs, and each pair faintly.

    Of more than `MOST_PANELS` rounds, that many are drawn, evenly spread.
    """
    shown = [rounds[place] for place in spread(range(len(rounds)), MOST_PANELS)]
    columns = min(4, len(shown))
    rows = math.ceil(len(shown) / columns)
    with styled():
        figure = titled_figure(max(5.2, 2.35 * columns + 0.6), 1.35 + 2.25 * rows, title, subtitle)
        grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
        for panel, one in zip(grid.flat, shown, strict=False):
            alphas = one.curves[0].alphas
            for part, (colour, _, dashes) in zip(one.parts, _LOOKS, strict=True):
                lines = [[wording.scale * error for error in curve.errors[part]] for curve in one.curves]
                for values in lines if len(lines) > 1 else ():
                    panel.plot(alphas, values, color=colour, alpha=0.25, linewidth=0.8)
                mean = [sum(at) / len(at) for at in zip(*lines, strict=True)]
                panel.plot(alphas, mean, color=colour, linestyle=dashes, label=f"{part} part")
                panel.plot([0, 1], [mean[0], mean[-1]], color=colour, linestyle="", marker="o", markersize=4)
            panel.set_title(f"round {one.round}: {percent(one.density)} alive", size=type_size(9.5))
            panel.set_xticks([0, 0.5, 1])
        for panel in grid.flat[len(shown) :]:
            panel.set_visible(False)
        for row in grid:
            row[0].set_ylabel(wording.axis("error"))
        for place, panel in enumerate(grid.flat):
            if place + columns >= len(shown) and place < len(shown):
                panel.set_xlabel("α, from one copy to the other")
                panel.tick_params(labelbottom=True)
        low, high = grid[0, 0].get_ylim()
        least = 2 * wording.scale * STABLE if wording.is_share else 0.0
        if high - low < least:  # no differences that are none
            middle = (low + high) / 2
            grid[0, 0].set_ylim(max(0.0, middle - least / 2), max(0.0, middle - least / 2) + least)
        handles, labels = grid[0, 0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=2)
    return figure


def instability_figure(rounds: Sequence[RoundCurves], wording: Wording, title: str, subtitle: str) -> Figure:
    """Draw the instability of each round against its density, with the limit below which a network is stable."""
    drawn = [one for one in rounds if one.alive]
    with styled():
        figure = titled_figure(8.4, 4.4, title, subtitle)
        axes = figure.add_subplot()
        densities = [100 * one.density for one in drawn]
        highest = 0.0
        for place, (colour, marker, dashes) in enumerate(_LOOKS):
            values = [wording.scale * one.instability(one.parts[place]) for one in drawn]
            name = f"{drawn[0].parts[place]} part" if drawn else ""
            axes.plot(densities, values, color=colour, marker=marker, linestyle=dashes, label=name)
            highest = max([highest, *(value for value in values if math.isfinite(value))])
        if wording.is_share:
            limit = wording.scale * STABLE
            axes.axhline(limit, color=QUIET, linewidth=1.1, linestyle=(0, (5, 3)), gid="limit")
            axes.annotate(
                "stable below\n2 points", (1, limit), xycoords=("axes fraction", "data"), xytext=(5, 0),
                textcoords="offset points", va="center", color=QUIET, size=type_size(9),
            )  # fmt: skip
            highest = max(highest, 1.5 * limit)
        axes.set_ylim(-0.04 * (highest or 1.0), 1.08 * (highest or 1.0))
        density_axis(axes, min(densities, default=100))
        axes.set_ylabel("instability (points)" if wording.is_share else f"instability: {wording.error}")
        axes.legend(loc="best")
    return figure
