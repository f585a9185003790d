"""What all figures have in common: colours, type, the title above them.

Colours are those of Okabe and Ito, which colour-blind eyes tell apart.

See: M. Okabe and K. Ito, Color Universal Design, https://jfly.uni-koeln.de/color/
"""

from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from types import MappingProxyType
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

BLUE, VERMILLION, GREEN, ORANGE = "#0072B2", "#D55E00", "#009E73", "#E69F00"
SKY, PURPLE = "#56B4E9", "#CC79A7"
INK, QUIET, FAINT = "#1a1a1a", "#5f6368", "#e4e6e8"

LINE_COLOURS = (BLUE, VERMILLION, GREEN, INK, PURPLE, ORANGE, SKY)
LINE_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "p", "*", "h")
LINE_DASHES: tuple[Any, ...] = ("-", (0, (5, 1.6)), (0, (1.2, 1.2)), (0, (6, 1.5, 1.2, 1.5)), (0, (2.6, 1.3)))
"""Colours, markers and dashes of the lines of a comparison, taken in turn: together they repeat late."""


def styled(changes: Mapping[Any, Any] = MappingProxyType({})) -> AbstractContextManager[None]:
    """Within it matplotlib draws in this project's style, with some changes; after it as before."""
    return mpl.rc_context(
        {
            "font.family": "DejaVu Sans",  # comes with matplotlib: the same figure on every machine
            "font.size": 9.5,
            "text.parse_math": False,  # a corpus may be called "$x"
            "text.color": INK,
            "axes.labelcolor": INK,
            "axes.edgecolor": QUIET,
            "axes.linewidth": 0.8,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.grid": True,
            "axes.axisbelow": True,
            "axes.labelpad": 6,
            "grid.color": FAINT,
            "grid.linewidth": 0.8,
            "xtick.color": QUIET,
            "ytick.color": QUIET,
            "xtick.labelcolor": INK,
            "ytick.labelcolor": INK,
            "legend.frameon": False,
            "lines.linewidth": 1.6,
            "lines.markersize": 5,
            "figure.facecolor": "white",
            **changes,
        }
    )


def printable(text: str, length: int = 96) -> str:
    """A name that users gave, fit to be drawn: of a readable length, and without control characters."""
    # Control characters would make the SVG unreadable; longer text would run out of the figure.
    text = "".join(letter if letter.isprintable() else " " for letter in text)
    return text if len(text) <= length else f"{text[: length - 1]}…"


def printable_apart(texts: Iterable[str], length: int) -> list[str]:
    """Return names fit to be drawn, each different: those that are alike once they are shortened are numbered.

    >>> printable_apart(["encoder.query", "encoder.key", "encoder.value"], 9)
    ['encoder.…', 'enco… (2)', 'enco… (3)']
    """
    names: list[str] = []
    for text in texts:
        name, number = printable(text, length), 1
        while name in names:
            number += 1
            name = f"{printable(text, max(2, length - 4))} ({number})"
        names.append(name)
    return names


def titled_figure(width: float, height: float, title: str, subtitle: str) -> Figure:
    """A figure of so many inches whose upper edge is kept for a title and a quieter line below it."""
    figure = Figure(figsize=(width, height), layout="constrained")
    figure.text(0.14 / width, 1 - 0.14 / height, printable(title), size=11.5, weight="bold", va="top")
    figure.text(0.14 / width, 1 - 0.40 / height, printable(subtitle), size=9, color=QUIET, va="top")
    engine = figure.get_layout_engine()
    assert engine is not None
    engine.set(rect=(0.01, 0.01, 0.98, 0.98 - 0.64 / height), wspace=0.06)  # pyright: ignore[reportCallIssue]
    return figure
