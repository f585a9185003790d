"""Draw learning curves of several groups side by side."""

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from lt_lightning.report.comparison.comparison import Point, densities_agree
from lt_lightning.report.figures.axes import mark_every, spread
from lt_lightning.report.figures.comparison import legend_grid, looks, names_with_seeds
from lt_lightning.report.figures.style import is_narrow, styled, titled_figure
from lt_lightning.report.statistics import estimate
from lt_lightning.runs.formatting import percent
from lt_lightning.runs.records import EpochRecord


def compared_learning_figure(
    groups: Mapping[str, Sequence[Sequence[EpochRecord]]],
    curves: Mapping[str, Sequence[Point]],
    rounds: Sequence[int],
    title: str,
    subtitle: str,
    right: str = "accuracy",
) -> Figure:
    """Draw learning curves of some rounds, a column of panels per round: means over seeds, a line per group.

    Args:
        groups: the epochs of each group's runs, by label, at most `MOST_GROUPS`.
        curves: the same groups' points in the same order; panels name their density if all groups agree.
        rounds: the rounds to draw, four or five at most; in a narrow column the first and the last of them.
        title: the title.
        subtitle: the runs.
        right: the name of `valid_acc`.
    """
    with styled():
        names = names_with_seeds(curves)
        columns, rows = legend_grid(names)
        figure = titled_figure(8.4, 5.4 + 0.2 * rows, title, subtitle, paper=2.9 + 0.15 * rows)
        rounds = spread(rounds, 2 if is_narrow() else len(rounds))
        panels = figure.subplots(2, len(rounds), sharey="row", squeeze=False)
        for (accuracies, losses), round_ in zip(panels.T, rounds, strict=True):
            for runs, name, look in zip(groups.values(), names, looks(), strict=False):
                epochs, loss, accuracy = mean_epochs(runs, round_)
                look |= {"markersize": 3 if is_narrow() else 4, "markevery": mark_every(len(epochs))}
                accuracies.plot(epochs, [100 * value for value in accuracy], label=name, **look)
                losses.plot(epochs, loss, **look)
            accuracies.set_title(_round_title(round_, list(curves.values())))
            losses.set_xlabel("epoch of the round")
            most = max((epoch.epoch for runs in groups.values() for run in runs for epoch in run), default=1)
            for axes in (accuracies, losses):
                axes.set_xlim(0.6, most + 0.4)
                axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1, nbins=4 if is_narrow() else 6))
        panels[0, 0].set_ylabel(f"validation {right} (%)")
        panels[1, 0].set_ylabel("validation loss")
        handles, labels = panels[0, 0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=columns, handlelength=3.4)
    return figure


def mean_epochs(runs: Sequence[Sequence[EpochRecord]], round_: int) -> tuple[list[int], list[float], list[float]]:
    """Return the epochs of a round that all runs with this round have, and their mean validation loss and accuracy."""
    rows = [{epoch.epoch: epoch for epoch in run if epoch.round == round_} for run in runs]
    rows = [row for row in rows if row]
    epochs = sorted(set.intersection(*map(set, rows))) if rows else []
    losses = [estimate(row[epoch].valid_loss for row in rows).mean for epoch in epochs]
    accuracies = [estimate(row[epoch].valid_acc for row in rows).mean for epoch in epochs]
    return epochs, losses, accuracies


def _round_title(round_: int, curves: Sequence[Sequence[Point]]) -> str:
    points = [point for points in curves for point in points if point.round == round_ and point.is_own]
    if not points or not densities_agree(points):
        return f"round {round_}"
    return f"round {round_}: {percent(points[0].density)} alive"
