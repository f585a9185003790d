"""Draw the cost of prediction against density in four panels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator, StrMethodFormatter

from benchmarks.predict_peers import FAST, OURS, REFERENCE
from lt_lightning.report.figures.style import BLUE, INK, ORANGE, titled_figure

LINES = {OURS: (BLUE, "s"), FAST: (ORANGE, "D"), REFERENCE: (INK, "o")}
_TICKS = [factor * 10.0**power for power in range(-3, 7) for factor in (1, 2, 5)]


def draw(rows: Sequence[Mapping[str, Any]], torch_start: Mapping[str, Any], subtitle: str) -> Figure:
    """Draw texts per second, milliseconds of a single text, the file's size and the memory against density.

    Args:
        rows: from `benchmarks.predict`.
        torch_start: the process of torch.
        subtitle: a description of the networks.
    """
    figure = titled_figure(8.4, 7.2, "What prediction costs, by density", subtitle)
    panels = figure.subplots(2, 2)
    densities = [row["density"] for row in rows]
    for name, (colour, marker) in LINES.items():
        for panel, key in ((panels[0, 0], "rate"), (panels[0, 1], "latency")):
            medians = [row[key][name]["median"] for row in rows]
            panel.plot(densities, medians, color=colour, marker=marker, label=name)
    _label(panels[0, 0], densities, "texts a second, in batches of 64", logarithmic=True)
    _label(panels[0, 1], densities, "ms for a single text", logarithmic=True)
    panels[1, 0].plot(densities, [100 * row["share"] for row in rows], color=BLUE, marker="s")
    _label(panels[1, 0], densities, "file, % of the dense state dict", logarithmic=True)
    memory = [row["start"]["megabytes"] for row in rows]
    if None not in memory and torch_start["megabytes"] is not None:
        panels[1, 1].plot(densities, memory, color=BLUE, marker="s")
        panels[1, 1].axhline(torch_start["megabytes"], color=INK, linestyle=(0, (5, 1.6)))
        panels[1, 1].annotate(
            "torch and the dense weights alone", (densities[-1], torch_start["megabytes"]), (0, -6), color=INK,
            textcoords="offset points", ha="right", va="top", size=8.5,
        )  # fmt: skip
    _label(panels[1, 1], densities, "MB of memory, first answer", logarithmic=False)
    panels[1, 1].set_ylim(bottom=0)
    handles, labels = panels[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(LINES))
    return figure


def _label(panel: Axes, densities: Sequence[float], what: str, *, logarithmic: bool) -> None:
    panel.set(xscale="log", xlabel="density", ylabel=what)
    panel.xaxis.set_major_locator(FixedLocator([density for density in _TICKS if density <= 1]))
    panel.xaxis.set_minor_locator(NullLocator())
    panel.xaxis.set_major_formatter(StrMethodFormatter("{x:.3g}"))
    panel.tick_params(axis="x", labelsize=8)
    panel.set_xlim(max(densities) * 1.15, min(densities) / 1.15)
    if logarithmic:
        panel.set_yscale("log")
        panel.yaxis.set_major_locator(FixedLocator(_TICKS))
        panel.yaxis.set_minor_locator(NullLocator())
        panel.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}" if value >= 1 else f"{value:g}"))
