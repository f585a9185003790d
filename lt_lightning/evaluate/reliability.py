"""The reliability diagram of an evaluation: how often a ticket is right where it is so sure."""

from collections.abc import Sequence

from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from lt_lightning.report.figures.style import BLUE, INK, QUIET, VERMILLION, styled, titled_figure
from lt_lightning.tickets.scores import Bin


def reliability_figure(bins: Sequence[Bin], title: str, subtitle: str = "") -> Figure:
    """Accuracy against confidence, bin by bin, and below it how many rows are how sure.

    Args:
        bins: from low to high confidence.
        title: what is seen.
        subtitle: of which ticket, on what.

    See: Guo et al. 2017, https://arxiv.org/abs/1706.04599.
    """
    filled = [bin for bin in bins if bin.rows]
    rows = sum(bin.rows for bin in bins)
    with styled():
        figure = titled_figure(7.4, 5.6, title, subtitle)
        above, below = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
        above.bar(
            [100 * bin.low for bin in filled], [100 * bin.accuracy for bin in filled],
            [100 * (bin.high - bin.low) for bin in filled], align="edge", color=BLUE, edgecolor="white",
            linewidth=0.8, label="accuracy",
        )  # fmt: skip
        above.plot([0, 100], [0, 100], color=QUIET, linestyle="--", linewidth=1.1, label="as sure as right")
        for number, bin in enumerate(filled):
            above.plot(
                [100 * bin.confidence] * 2, [100 * bin.accuracy, 100 * bin.confidence], color=VERMILLION,
                linewidth=1.6, marker="_", markevery=[1], markersize=9, markeredgewidth=1.6,
                label="" if number else "mean confidence, and how far off it is",
            )  # fmt: skip
        above.set_ylim(0, 102)
        above.set_ylabel("accuracy (%)")
        above.legend(loc="upper left", fontsize=8.5)
        below.bar(
            [100 * bin.low for bin in bins], [100 * bin.rows / rows for bin in bins],
            [100 * (bin.high - bin.low) for bin in bins], align="edge", color=INK, alpha=0.55, edgecolor="white",
            linewidth=0.8,
        )  # fmt: skip
        below.set_xlim(0, 100)
        below.set_ylabel("rows (%)")
        below.set_xlabel("confidence: probability of the class that a row is taken for (%)")
        for axes in (above, below):
            axes.grid(visible=False, axis="x")
            axes.yaxis.set_major_formatter(PercentFormatter(decimals=0, symbol=""))
    return figure
