"""Draw how right the answers are that a ticket gives if it may leave out texts that it is not sure of."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from lt_lightning.report.figures.style import BLUE, INK, VERMILLION, styled, titled_figure
from lt_lightning.tickets.scores import Evaluation

_NAMED = (0.5, 0.8, 0.9, 0.95, 0.99)
"""Thresholds that are marked."""
_APART = 0.03
"""Share of the rows that lies between two marks at least."""

CAPTION = (
    "Rows are answered if their probability is at least a threshold: from the surest row alone, on the left, to all "
    "rows, on the right. Marks are thresholds, below which predict --threshold answers unsure. The flatter the curve, "
    "the less the probabilities tell which answers to trust."
)


def coverage_figure(found: Evaluation, title: str, subtitle: str = "", threshold: float | None = None) -> Figure:
    """Draw the accuracy of the answered rows against their share, for all thresholds.

    Args:
        found: the evaluation.
        title: the figure's title.
        subtitle: a line below it.
        threshold: one to mark in another colour.

    See: El-Yaniv and Wiener 2010, https://jmlr.org/papers/v11/el-yaniv10a.html.
    """
    order = np.argsort(-found.confidence, kind="stable")
    answered = np.arange(1, found.rows + 1)
    accuracy = found.correct[order].cumsum() / answered
    # Rows of one confidence are answered together: the curve has a point after the last of them.
    last = np.append(np.diff(found.confidence[order]) != 0, True)
    with styled():
        figure = titled_figure(7.4, 4.2, title, subtitle)
        axes = figure.subplots()
        axes.plot(100 * answered[last] / found.rows, 100 * accuracy[last], color=BLUE, linewidth=1.8)
        before = float("inf")
        own = list[float]() if threshold is None else [threshold]
        for value in sorted({*_NAMED, *own}):
            one, chosen = found.answered(value), value == threshold
            if not one.answered or (before - one.coverage < _APART and not chosen):
                continue
            before, color = one.coverage, VERMILLION if chosen else INK
            axes.plot(100 * one.coverage, 100 * one.accuracy, marker="o", markersize=5, color=color)
            axes.annotate(
                f"{value:g}", (100 * one.coverage, 100 * one.accuracy), (4, 5), textcoords="offset points",
                fontsize=8.5, color=color,
            )  # fmt: skip
        axes.set_xlim(0, 101)
        axes.set_xlabel("rows that are answered (%)")
        axes.set_ylabel("accuracy of the answered rows (%)")
        axes.margins(y=0.12)
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(PercentFormatter(decimals=None, symbol=""))
    return figure
