"""Draw a study: test accuracy against density by arm, and the claims' differences with their intervals."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from matplotlib.figure import Figure
from pandas import DataFrame

from lt_lightning.report.figures.axes import density_axis
from lt_lightning.report.figures.comparison import legend_grid, looks
from lt_lightning.report.figures.style import INK, QUIET, on_paper, printable, save, save_figure, styled, titled_figure
from lt_lightning.report.testing import LEVEL
from lt_lightning.study.claims import Judgement
from lt_lightning.study.description import Study
from lt_lightning.study.rounds import select

COLUMN = 3.3
"""Inches: the width of a column of a paper with two."""

_MOST_BELOW = 25.0
"""Points below the full network that a figure shows; collapsed tickets are lower."""


def draw_figures(study: Study, arms: DataFrame, judgements: Sequence[Judgement], folder: Path) -> None:
    """Write a figure per corpus, and one of the claims, as PNG and SVG, and as PDF for a column of a paper.

    Raises:
        OSError: a file cannot be written.
    """
    (folder / "figures").mkdir(exist_ok=True)
    for corpus in arms["corpus"].unique():
        of_corpus = select(arms, corpus=corpus)
        _write(folder / "figures" / f"accuracy_{corpus}", partial(accuracy_figure, study, of_corpus))
    if judgements:
        _write(folder / "figures" / "claims", partial(claims_figure, judgements))


def _write(stem: Path, draw: Callable[[], Figure]) -> None:
    save_figure(draw(), stem)
    with on_paper(COLUMN):
        save(draw(), stem.with_suffix(".pdf"))


def accuracy_figure(study: Study, arms: DataFrame) -> Figure:
    """Draw the mean test accuracy of each arm against density, a panel per length; dense arms as levels.

    Where tickets of an arm have collapsed their median is drawn.

    Args:
        study: the study.
        arms: the rows of one corpus of `results.arms_table`.
    """
    corpus, lengths = str(arms["corpus"].iloc[0]), sorted(arms["length"].unique())
    names = [name for name in study.arms if name in set(arms["arm"])]
    columns, rows = legend_grid(names)
    full = arms[arms["round"] == 0]["test"].max()
    lowest = max(arms["test"].min(), full - _MOST_BELOW)
    with styled():
        seeds = "means over seeds with 95 % intervals"
        figure = titled_figure(
            8.4, 4.2 + 0.2 * rows, f"Test accuracy on {corpus}", f"{study.name} · {seeds}", paper=2.2 + 0.15 * rows
        )
        panels = figure.subplots(1, len(lengths), sharey=True, squeeze=False)[0]
        for axes, length in zip(panels, lengths, strict=True):
            for name, look in zip(names, looks(), strict=False):
                found = select(arms, arm=name, length=length).sort_values(by="density")
                if found.empty:
                    continue
                label = printable(name, 36) if length == lengths[0] else None
                if study.arms[name].dense:
                    axes.axhline(found["test"].iloc[0], color=look["color"], linestyle=":", linewidth=1.2, label=label)
                    continue
                at = 100 * found["density"]
                # Where some have collapsed, the mean says nothing, and the spread would hide all other arms.
                is_whole = found["collapsed"].fillna(0) == 0
                shown = found["test"].where(is_whole, found["median"])
                axes.plot(at, shown, label=label, zorder=3, **look)
                half = (found["test_high"] - found["test"]).astype(float).where(is_whole)
                axes.errorbar(at, shown, yerr=half, color=look["color"], linestyle="", elinewidth=0.8)
            density_axis(axes, 100 * arms["density"].min(), is_thin=len(lengths) > 1)
            epochs = study.corpora[corpus].epochs * int(length)
            axes.set_title(f"{epochs} epoch{'s' * (epochs > 1)} a round")
            axes.set_ylim(lowest - 0.6, full + 0.08 * (full - lowest) + 0.3)
        panels[0].set_ylabel("test accuracy (%)")
        figure.legend(loc="outside lower center", ncols=columns, handlelength=3.4)
    return figure


def claims_figure(judgements: Sequence[Judgement]) -> Figure:
    """Draw the difference of each judgement with its 95 % interval, filled where Holm's correction leaves it."""
    with styled():
        height = 1.4 + 0.26 * len(judgements)
        figure = titled_figure(
            8.4, height, "What the claims rest on", "paired differences in points · filled: Holm p < .05",
            paper=0.7 + 0.17 * len(judgements),
        )  # fmt: skip
        axes = figure.add_subplot()
        axes.axvline(0, color=QUIET, linewidth=1.0)
        labels = []
        for place, one in enumerate(judgements):
            labels.append(f"{one.claim.first} − {one.claim.second}, {one.corpus} ×{one.length}, {one.place}")
            filled = INK if one.p_holm < LEVEL else "white"
            axes.errorbar(
                one.difference.mean, place, xerr=one.difference.half or 0, color=INK, marker="o", markersize=4,
                markerfacecolor=filled, elinewidth=1.0, capsize=2,
            )  # fmt: skip
        axes.set_yticks(range(len(labels)), labels)
        axes.set_ylim(len(labels) - 0.5, -0.5)
        axes.set_xlabel("difference (points)")
    return figure
