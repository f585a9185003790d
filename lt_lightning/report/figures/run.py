"""Draw the figures of a run with matplotlib's objects alone: no pyplot, no global state.

Markers and dashes tell lines apart beside the colours, so that the figures can be read in grey.
"""

import math
from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from lt_lightning.report.figures.axes import density_axis, draw_levels, levels_of, mark_every, spread
from lt_lightning.report.figures.style import (
    BLUE,
    GREEN,
    INK,
    ORANGE,
    VERMILLION,
    is_narrow,
    paper_width,
    printable_apart,
    styled,
    titled_figure,
    type_size,
)
from lt_lightning.runs.blocks import shown_parameters
from lt_lightning.runs.formatting import percent
from lt_lightning.runs.metrics import ACCURACY, Baseline, Metric
from lt_lightning.runs.records import EpochRecord, LayerRecord, Record
from lt_lightning.runs.tasks import OF_TEXTS, Wording
from lt_lightning.runs.winners import smallest_winner

# Colour, marker and dashes of a line, in the order in which lines are taken.
_LINES = ((INK, "o", "-"), (BLUE, "s", "--"), (GREEN, "^", "-."), (ORANGE, "D", ":"), (VERMILLION, "v", "-"))


def metric_figure(
    records: Sequence[Record],
    title: str,
    subtitle: str = "",
    metric: Metric = ACCURACY,
    baseline: Baseline | None = None,
    ticket: Record | None = None,
    words: Wording = OF_TEXTS,
) -> Figure:
    """Draw the metric of rounds against density, with the full network's value and one ticket ringed.

    Args:
        records: the rounds from round 0 on. Rounds with nothing left alive have no place on a logarithmic axis.
        title: the title.
        subtitle: the run: corpus, model, rewind, seed.
        metric: the metric.
        baseline: the score of a simple model, if it is known.
        ticket: the round to ring; None for the smallest winning ticket's, if there is one.
        words: the names of round 0 and that ticket.
    """
    drawn = [record for record in records if record.alive]
    winner = smallest_winner(drawn, metric)
    with styled():
        figure = titled_figure(8.4, 4.7, title, subtitle)
        axes = figure.add_subplot()
        draw_levels(axes, levels_of(metric.read(records[0]), baseline, metric, words))
        densities = [100 * record.density for record in drawn]
        values = [metric.scale * metric.read(record) for record in drawn]
        axes.plot(densities, values, color=BLUE, marker="o", markersize=3.5 if is_narrow() else 4.5)
        density_axis(axes, min(densities, default=100))
        axes.set_ylabel(metric.axis)
        if ticket is not None and ticket.alive:
            _mark(axes, ticket, metric, "this ticket")
        elif winner is not None:
            _mark(axes, winner, metric, words.winner)
    return figure


def _mark(axes: Axes, winner: Record, metric: Metric, called: str) -> None:
    """Ring a ticket, and write its name and value in a strip above all lines."""
    density, value = 100 * winner.density, metric.scale * metric.read(winner)
    low, high = axes.get_ylim()
    axes.set_ylim(low, high + 0.17 * (high - low))
    ring = {"marker": "o", "markersize": 8 if is_narrow() else 11, "fillstyle": "none"}
    axes.plot(density, value, linestyle="", markeredgecolor=VERMILLION, **ring)
    right = axes.transLimits.transform(axes.transScale.transform((density, value)))[0] > 0.5
    axes.annotate(
        f"{called}\n{metric.show_with_unit(metric.read(winner))} with {percent(winner.density)} alive",
        (density, value), xytext=(density, high + 0.15 * (high - low)),
        ha="right" if right else "left", va="top", color=VERMILLION, size=type_size(9),
        arrowprops={"arrowstyle": "-", "color": VERMILLION, "linewidth": 0.9, "relpos": (int(right), 0), "shrinkB": 6},
    )  # fmt: skip


def layers_figure(layers: Sequence[LayerRecord], title: str, subtitle: str = "") -> Figure:
    """Draw the per cent alive of every parameter in every round, as a heat map with numbers.

    Lines would hide each other: pruned layerwise, all parameters have nearly the same density. Of many rounds, those
    that fit are shown; many parameters are shown as blocks.
    """
    layers = shown_parameters(layers)
    totals = {layer.parameter: layer.total for layer in layers}
    density = {(layer.parameter, layer.round): layer.density for layer in layers}
    names = printable_apart(totals, 18 if is_narrow() else 46, keep_end=True)
    letters = max(map(len, names), default=0) + max(len(f"{total:,}") for total in totals.values())
    column = paper_width()
    most = 24 if column is None else max(2, int((column - 0.25 - 0.06 * letters) / 0.22))
    rounds = spread(sorted({layer.round for layer in layers}), most)
    grid = [[100 * density.get((name, round_), float("nan")) for round_ in rounds] for name in totals]
    lowest = min((value for row in grid for value in row if value > 0), default=100)
    with styled({"axes.grid": False}):
        width = max(8.4, 0.6 + 0.085 * letters + 0.37 * len(rounds))
        figure = titled_figure(width, 1.35 + 0.26 * len(names), title, subtitle, paper=0.55 + 0.16 * len(names))
        axes = figure.add_subplot()
        colours = mpl.colormaps["viridis_r"].with_extremes(bad="white", under="white")
        norm = LogNorm(min(lowest, 10), 100)
        axes.pcolormesh(grid, cmap=colours, norm=norm, edgecolors="white", linewidth=1.2)
        for y, row in enumerate(grid):
            for x, value in enumerate(row):
                axes.text(
                    x + 0.5, y + 0.52, _in_cell(value), size=type_size(7), ha="center", va="center",
                    color="white" if value > 0 and is_dark(colours(norm(value))) else INK,
                )  # fmt: skip
        axes.invert_yaxis()
        axes.set_xticks([x + 0.5 for x in range(len(rounds))], [str(round_) for round_ in rounds])
        axes.set_yticks([y + 0.5 for y in range(len(names))], names)
        axes.set_xlabel("round")
        entries = axes.secondary_yaxis("right")
        entries.set_yticks([y + 0.5 for y in range(len(names))], [f"{total:,}" for total in totals.values()])
        for side in (axes, entries):
            side.tick_params(length=0)
            side.spines[:].set_visible(False)
        axes.annotate(
            "entries", (1, 1), xycoords="axes fraction", xytext=(4, 5), textcoords="offset points", size=type_size(8)
        )
    return figure


def _in_cell(density: float) -> str:
    """Return a density in at most four characters."""
    if math.isnan(density):
        return ""
    return f"{density:.0f}" if density >= 9.95 or density == 0 else f"{density:.1f}" if density >= 0.095 else "<.1"


def is_dark(colour: tuple[float, float, float, float]) -> bool:
    """Return whether white letters stand out from a colour better than dark ones."""
    red, green, blue, _ = colour
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue < 0.5


def learning_figure(epochs: Sequence[EpochRecord], title: str, subtitle: str = "", right: str = "accuracy") -> Figure:
    """Draw validation loss and accuracy against the epoch, for the first, the last and up to three rounds between.

    Args:
        epochs: the epochs of all rounds.
        title: the title.
        subtitle: the run.
        right: the name of `valid_acc`.
    """
    with styled():
        figure = titled_figure(8.4, 4.1, title, subtitle, paper=3.4 if is_narrow() else None)
        losses, accuracies = figure.subplots(*((2, 1) if is_narrow() else (1, 2)))
        rounds = spread(sorted({epoch.round for epoch in epochs}), len(_LINES))
        for round_, (colour, marker, dashes) in zip(rounds, _LINES, strict=False):
            curve = sorted((epoch for epoch in epochs if epoch.round == round_), key=lambda epoch: epoch.epoch)
            look: dict[str, Any] = {"color": colour, "marker": marker, "linestyle": dashes, "label": f"round {round_}"}
            look["markevery"] = mark_every(len(curve))
            losses.plot([epoch.epoch for epoch in curve], [epoch.valid_loss for epoch in curve], **look)
            accuracies.plot([epoch.epoch for epoch in curve], [100 * epoch.valid_acc for epoch in curve], **look)
        losses.set_ylabel("validation loss")
        accuracies.set_ylabel(f"validation {right} (%)")
        for axes in (losses, accuracies):
            axes.set_xlabel("epoch of the round")
            axes.set_xlim(0.6, max((epoch.epoch for epoch in epochs), default=1) + 0.4)
            axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        figure.legend(*losses.get_legend_handles_labels(), loc="outside lower center", ncols=3 if is_narrow() else 5)
    return figure
