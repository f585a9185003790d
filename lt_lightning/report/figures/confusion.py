"""Draw confusion matrices side by side, and beside them the accuracy of every class."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lt_lightning.report.figures.axes import spread
from lt_lightning.report.figures.run import is_dark
from lt_lightning.report.figures.style import (
    INK,
    QUIET,
    VERMILLION,
    is_narrow,
    printable_apart,
    styled,
    titled_figure,
    type_size,
)
from lt_lightning.runs.confusion import ClassAccuracy, Counts, class_accuracies
from lt_lightning.runs.tasks import OF_TEXTS, Wording

_NUMBERED = 12  # with more classes, cells are too small for numbers
_NAMED = 20  # of more classes, this many are named

# The tickets' markers, in the order of the panels.
_MARKS = (("o", INK, "full"), ("s", VERMILLION, "none"))


@dataclass(frozen=True)
class Panel:
    """A ticket's confusion: its title and its counts."""

    title: str
    counts: Counts


def confusion_figure(
    panels: Sequence[Panel], title: str, subtitle: str, classes: Mapping[int, str], words: Wording = OF_TEXTS
) -> Figure:
    """Draw the share of each class, a row, that was taken for each class, and on the right each class's accuracy.

    Args:
        panels: one or two tickets.
        title: the title.
        subtitle: the runs that it is of.
        classes: the classes' names by number; at most `confusion.MOST_CLASSES`.
        words: the names of classes and of the share of each that is right.
    """
    names = printable_apart(classes.values(), 22)
    each = 0.56 if len(names) <= _NUMBERED else 0.26 if len(names) <= _NAMED else 0.16
    slanted = 0.075 * max(map(len, names), default=0)
    with styled({"axes.grid": False}):
        if is_narrow():  # the diagonals show the accuracies
            high = (0.9 + 0.055 * max(map(len, names), default=0) + 0.5 * each * len(names)) * len(panels)
            figure = titled_figure(0, 0, title, subtitle, paper=high)
            matrices, beside = list(figure.subplots(len(panels), 1, squeeze=False).flat), None
        else:
            high = max(3.4, 1.9 + slanted + each * len(names))
            figure = titled_figure(10.4 if len(panels) > 1 else 7.4, high, title, subtitle, paper=0.8 * high)
            *matrices, beside = figure.subplots(1, len(panels) + 1, width_ratios=[*[1.0] * len(panels), 0.55])
        for axes, panel in zip(matrices, panels, strict=True):
            _draw_matrix(axes, panel, list(classes))
        ticks = spread(range(len(names)), _NAMED)
        for position, axes in enumerate(matrices):
            axes.set_yticks([])
            if position == 0 or beside is None:
                axes.set_yticks([y + 0.5 for y in ticks], [names[y] for y in ticks])
                axes.set_ylabel(f"true {words.one}")
        if beside is not None:
            _draw_accuracies(beside, [class_accuracies(panel.counts, list(classes)) for panel in panels])
            beside.set_xlabel(f"{words.right} of the {words.one} (%)")
            beside.legend(
                beside.lines[: len(panels)], [panel.title.partition("\n")[0] for panel in panels], loc="lower center",
                bbox_to_anchor=(0.5, 1.0), fontsize=type_size(8.5), handlelength=1.0, borderaxespad=0.2,
            )  # fmt: skip
        for axes in matrices:
            axes.set_xticks([x + 0.5 for x in ticks], [names[x] for x in ticks], **_slant(len(names)))
            axes.tick_params(length=0)
            axes.spines[:].set_visible(False)
    return figure


def _slant(classes: int) -> dict[str, Any]:
    """Return the rotation of names below narrow columns, so that they do not meet."""
    if classes > _NUMBERED:
        return {"rotation": 90}
    return {"rotation": 35, "ha": "right", "rotation_mode": "anchor"}


def _draw_matrix(axes: Axes, panel: Panel, classes: Sequence[int]) -> None:
    accuracies = class_accuracies(panel.counts, classes)
    shares = [
        [100 * panel.counts.get((row.number, taken), 0) / row.rows if row.rows else float("nan") for taken in classes]
        for row in accuracies
    ]
    colours = mpl.colormaps["Blues"].with_extremes(bad="white")
    axes.pcolormesh(shares, cmap=colours, vmin=0, vmax=100, edgecolors="white", linewidth=0.8)
    axes.set_title(panel.title)
    axes.set_xlabel("taken for")
    axes.invert_yaxis()
    if len(classes) > _NUMBERED:
        return
    for y, (row, values) in enumerate(zip(accuracies, shares, strict=True)):
        for x, value in enumerate(values):
            if row.rows == 0:
                continue
            ink = "white" if is_dark(colours(value / 100)) else INK
            axes.text(x + 0.5, y + 0.46, f"{value:.1f}", size=type_size(9.5), ha="center", va="bottom", color=ink)
            count = panel.counts.get((row.number, classes[x]), 0)
            axes.text(x + 0.5, y + 0.56, f"{count:,}", size=type_size(6.5), ha="center", va="top", color=ink)


def _draw_accuracies(axes: Axes, tickets: Sequence[Sequence[ClassAccuracy]]) -> None:
    heights = [y + 0.5 for y in range(len(tickets[0]))]
    for (marker, colour, fill), accuracies in zip(_MARKS, tickets, strict=False):
        axes.plot(
            [100 * one.accuracy for one in accuracies], heights,
            linestyle="", marker=marker, color=colour, fillstyle=fill, markersize=7 if fill == "none" else 5,
        )  # fmt: skip
    for height in heights:
        axes.axhline(height, color=QUIET, linewidth=0.4, alpha=0.4, zorder=0)
    axes.set_ylim(len(heights), 0)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    axes.grid(visible=True, axis="x")
