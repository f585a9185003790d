"""Time a step against its size: `python -m benchmarks.growth [--figure FILE.png] [--json FILE] [--axis density …] …`.

One axis at a time: the length of texts, the vocabulary, the batch or the density. Texts are random, words by Zipf's
    law,
so that any size is possible; `benchmarks.step` uses real texts.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from hydra import compose, initialize_config_dir
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator, StrMethodFormatter

from benchmarks.measuring import check_options, keep, show_machine, spread, take_turns
from benchmarks.peers import CONV1D, NOTEBOOK, OURS, PEERS, begin
from lt_lightning.config.folder import config_folder
from lt_lightning.config.schema import Config, register_schema
from lt_lightning.config.validation import read_config
from lt_lightning.data.batches import Batch
from lt_lightning.data.tokenizer import SPECIAL_WORDS
from lt_lightning.errors import SettingError
from lt_lightning.experiment.hydra_main import fail
from lt_lightning.report.figures.style import BLUE, GREEN, INK, ORANGE, styled, titled_figure

WARM_UP = 3
TICKET = 0.8**20
"""The density after twenty rounds that prune a fifth each."""


@dataclass(frozen=True)
class Size:
    """The size of a step."""

    length: int = 56
    vocabulary: int = 50_002
    batch: int = 64
    density: float = 1.0


AXES: Mapping[str, tuple[str, Sequence[float]]] = {
    "length": ("words in a text", (16, 32, 64, 128, 256, 512)),
    "vocabulary": ("words in the vocabulary", (2_000, 10_000, 50_000, 200_000)),
    "batch": ("texts in a batch", (8, 16, 32, 64, 128, 256)),
    "density": ("density", (1.0, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.002)),
}
"""The label and the values of each axis; the others stay at the defaults of `Size`."""

LINES = {
    NOTEBOOK: (ORANGE, "D", 1.0),
    CONV1D: (INK, "o", 1.0),
    OURS: (BLUE, "s", 1.0),
    f"{OURS}, {TICKET:.2%} alive": (GREEN, "^", TICKET),
}
"""Colour, marker and density of each line; on the axis of density the last line is omitted."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure along each axis, print a table of each, and draw them."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.growth", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--axis", nargs="+", choices=list(AXES), default=list(AXES), help="axes to measure (all)")
    parser.add_argument("--steps", type=int, default=15, help="steps that count, of each peer (%(default)s)")
    parser.add_argument("--threads", type=int, default=2, help="torch's threads (%(default)s)")
    parser.add_argument("--values", type=int, default=99, help="maximum number of values per axis (all)")
    parser.add_argument("--figure", type=Path, help="file for the figure")
    parser.add_argument("--json", type=Path, help="file for all numbers")
    options = parser.parse_args(arguments)
    check_options(options, {"steps": 2, "threads": 1, "values": 1})
    torch.set_num_threads(options.threads)
    machine = show_machine(("torch", "numpy", "numba"))
    config, measured = settings(), []
    for axis in options.axis:
        title, values = AXES[axis]
        print(f"\n| {title} | " + " | ".join(LINES) + " |\n|---|" + "---|" * len(LINES), flush=True)
        for value in values[: options.values]:
            size = replace(Size(), **{axis: type(getattr(Size(), axis))(value)})
            row = {name: spread(times) for name, times in measure(config, size, options.steps).items()}
            cells = [row[name].format(1) if name in row else "" for name in LINES]
            print(f"| {value:,} | {' | '.join(cells)} |", flush=True)
            measured.append({"axis": axis, **asdict(size), "ms": {name: one._asdict() for name, one in row.items()}})
    keep("growth", options, machine, rows=measured)
    if options.figure:
        with styled():
            draw(measured, options.axis).savefig(options.figure, dpi=150)


def settings() -> Config:
    """Return the project's default settings of a MultiCNN."""
    register_schema()
    with initialize_config_dir(config_folder(), version_base="1.3"):
        return read_config(compose("config", ["model=multi_cnn", "trainer=cpu"]))


def measure(config: Config, size: Size, steps: int) -> dict[str, list[float]]:
    """Return the milliseconds of each step, by line; the lines take turns."""
    takers = {}
    for name, (_, _, density) in LINES.items():
        if density == 1.0 or size.density == 1.0:
            torch.manual_seed(0)
            start = begin(config, size.vocabulary, 4, 1 - density * size.density)
            takers[name] = PEERS[name if name in PEERS else OURS](start)
    batches = draw_batches(size, WARM_UP + steps)
    seconds: dict[str, list[float]] = {name: [] for name in [*takers, ""]}
    for _ in take_turns(batches, takers, "", seconds):
        pass
    return {name: [1000 * one for one in times[WARM_UP:]] for name, times in seconds.items() if name}


def draw_batches(size: Size, count: int) -> list[Batch]:
    """Return batches of texts of one length, with words by Zipf's law (Mandelbrot's form, 1 / (rank + 2.7))."""
    rng = np.random.default_rng(0)
    known = size.vocabulary - len(SPECIAL_WORDS)
    weights = 1 / (np.arange(known) + 2.7)
    shares = weights.cumsum() / weights.sum()
    lengths = torch.full((size.batch,), size.length)
    batches = []
    for _ in range(count):
        ranks = np.searchsorted(shares, rng.random((size.batch, size.length))).clip(max=known - 1)
        labels = torch.from_numpy(rng.integers(0, 4, size.batch))
        ids = torch.from_numpy(ranks + len(SPECIAL_WORDS))
        batches.append(Batch(ids, lengths, labels, size.batch, size.batch * size.length))
    return batches


def draw(measured: Sequence[Mapping[str, Any]], axes: Sequence[str]) -> Figure:
    """Draw a panel per axis, both scales logarithmic, so that a power law is a straight line."""
    usual = Size()
    others = f"{usual.batch} texts of {usual.length} words, a vocabulary of {usual.vocabulary:,}, nothing pruned"
    subtitle = f"median ms; otherwise {others}"
    figure = titled_figure(8.4, 3.4 * -(-len(axes) // 2) + 0.9, "What a training step of MultiCNN costs", subtitle)
    panels = figure.subplots(-(-len(axes) // 2), 2, sharey=True, squeeze=False).flat
    for axis, panel in zip(axes, panels, strict=False):
        draw_panel(panel, axis, [row for row in measured if row["axis"] == axis])
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2)
    return figure


def draw_panel(panel: Axes, axis: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Draw one axis."""
    values = [row[axis] for row in rows]
    for name, (colour, marker, _) in LINES.items():
        if all(name in row["ms"] for row in rows):
            panel.plot(values, [row["ms"][name]["median"] for row in rows], color=colour, marker=marker, label=name)
    panel.set(xscale="log", yscale="log", xlabel=AXES[axis][0], ylabel="ms a step")
    panel.xaxis.set_major_locator(FixedLocator(values))
    panel.xaxis.set_minor_locator(NullLocator())
    panel.xaxis.set_major_formatter(StrMethodFormatter("{x:.3g}" if axis == "density" else "{x:,.0f}"))
    panel.yaxis.set_major_locator(FixedLocator([1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000]))
    panel.yaxis.set_minor_locator(NullLocator())
    panel.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    if axis == "density":
        panel.invert_xaxis()


if __name__ == "__main__":
    try:
        main()
    except SettingError as error:
        fail(str(error))
