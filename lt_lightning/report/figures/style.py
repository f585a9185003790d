"""Set the style of all figures and save them: colours, `lt_lightning.mplstyle`, titles, a paper's column.

Colours are those of Okabe and Ito, which colour-blind readers can tell apart.

See: M. Okabe and K. Ito, Color Universal Design, https://jfly.uni-koeln.de/color/
"""

import io
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from pathlib import Path
from types import MappingProxyType
from typing import Any

import matplotlib.style
from matplotlib.figure import Figure

from lt_lightning.storage.atomic import write_whole

BLUE, VERMILLION, GREEN, ORANGE = "#0072B2", "#D55E00", "#009E73", "#E69F00"
SKY, PURPLE = "#56B4E9", "#CC79A7"
INK, QUIET, FAINT = "#1a1a1a", "#5f6368", "#e4e6e8"

LINE_COLOURS = (BLUE, VERMILLION, GREEN, INK, PURPLE, ORANGE, SKY)
LINE_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "p", "*", "h")
LINE_DASHES: tuple[Any, ...] = ("-", (0, (5, 1.6)), (0, (1.2, 1.2)), (0, (6, 1.5, 1.2, 1.5)), (0, (2.6, 1.3)))
"""Colours, markers and dashes of the lines of a comparison, taken in turn."""

_STYLE = Path(__file__).with_name("lt_lightning.mplstyle")
_PAPER: ContextVar[float | None] = ContextVar("the width of a paper's column in inches", default=None)
_ON_PAPER = {"font.size": 7.0, "axes.labelpad": 3, "lines.linewidth": 1.1, "lines.markersize": 3.5}


@contextmanager
def on_paper(width: float) -> Iterator[None]:
    """Draw figures for a column of a paper of this width in inches: type of 6 to 7 points, no title."""
    token = _PAPER.set(width)
    try:
        yield
    finally:
        _PAPER.reset(token)


def paper_width() -> float | None:
    """Return the width in inches of figures for a paper; None for a page."""
    return _PAPER.get()


def type_size(size: float) -> float:
    """Return the size of type in points for its size on a page; on paper it is smaller, but at least 6."""
    return size if paper_width() is None else max(6.0, size * _ON_PAPER["font.size"] / 9.5)


def is_narrow() -> bool:
    """Return whether figures are too narrow for panels side by side."""
    return (paper_width() or 9) < 5


_LETTERS_PER_INCH = 13.5
"""Letters of a subtitle that fit an inch of a figure's width."""


def styled(changes: Mapping[Any, Any] = MappingProxyType({})) -> AbstractContextManager[None]:
    """Return a context in which matplotlib draws in this project's style, with some changes."""
    return matplotlib.style.context([_STYLE, dict(_ON_PAPER if paper_width() else {}), dict(changes)])


def printable(text: str, length: int = 96) -> str:
    """Return a text that can be drawn: of a readable length, and without control characters."""
    # Control characters make an SVG unreadable, and a longer text leaves the figure.
    text = "".join(letter if letter.isprintable() else " " for letter in text)
    return text if len(text) <= length else f"{text[: length - 1]}…"


def printable_apart(texts: Iterable[str], length: int, *, keep_end: bool = False) -> list[str]:
    """Return names that can be drawn, each different: those that are equal after shortening are numbered.

    Args:
        texts: the names.
        length: the longest that a name may be.
        keep_end: shorten names at their beginning, as names of parameters differ at their end.

    >>> printable_apart(["encoder.query", "encoder.key", "encoder.value"], 9)
    ['encoder.…', 'enco… (2)', 'enco… (3)']
    >>> printable_apart(["encoder.query", "encoder.key", "encoder.value"], 9, keep_end=True)
    ['…er.query', '…oder.key', '…er.value']
    """
    names: list[str] = []

    def shorten(text: str, length: int) -> str:
        is_cut = keep_end and len(text) > length
        return f"…{printable(text[1 - length :], length)}" if is_cut else printable(text, length)

    for text in texts:
        name, number = shorten(text, length), 1
        while name in names:
            number += 1
            name = f"{shorten(text, max(2, length - 4))} ({number})"
        names.append(name)
    return names


def shorten_parts(line: str, length: int) -> str:
    """Return a line that can be drawn, whose longest parts between dots are cut so that the others stay whole.

    >>> shorten_parts("AG News · an encoder with a long name · 100 steps a round", 50)
    'AG News · an encoder with a l… · 100 steps a round'
    """
    parts = line.split(" · ")
    lengths = [len(part) for part in parts]
    while sum(lengths) + 3 * (len(parts) - 1) > length and max(lengths) > 2:
        lengths[lengths.index(max(lengths))] -= 1
    return printable(" · ".join(map(printable, parts, lengths)), length)


def titled_figure(width: float, height: float, title: str, subtitle: str, paper: float | None = None) -> Figure:
    """Return a figure of this size in inches with a title and a quieter line below it.

    On paper, which has captions, it has no title, is as wide as the column and `paper` inches high (None: 0.66 of it).
    """
    if column := paper_width():
        return Figure(figsize=(column, paper or 0.66 * column), layout="constrained")
    figure = Figure(figsize=(width, height), layout="constrained")
    figure.text(0.14 / width, 1 - 0.14 / height, printable(title), size=11.5, weight="bold", va="top")
    below = shorten_parts(subtitle, int(_LETTERS_PER_INCH * width))
    figure.text(0.14 / width, 1 - 0.40 / height, below, size=9, color=QUIET, va="top")
    engine = figure.get_layout_engine()
    assert engine is not None
    engine.set(rect=(0.01, 0.01, 0.98, 0.98 - 0.64 / height), wspace=0.06)  # pyright: ignore[reportCallIssue]
    return figure


def save_figure(figure: Figure, stem: Path) -> tuple[Path, Path]:
    """Write a figure as PNG and SVG, see `save`, and return their paths; `stem` is the path without ending."""
    png, svg = stem.with_name(f"{stem.name}.png"), stem.with_name(f"{stem.name}.svg")
    save(figure, png, svg)
    return png, svg


def save(figure: Figure, *paths: Path) -> None:
    """Write a figure to files, each in the format of its suffix; PDF with TrueType letters, PNG with 200 dots per inch.

    The same figure gives the same SVG and PDF, byte for byte. Raise OSError if a file cannot be written.
    """
    # By default, a file holds the time, and an SVG links to the web.
    about = {".svg": dict.fromkeys(("Date", "Creator", "Format", "Type")), ".pdf": {"CreationDate": None}}
    with styled(), warnings.catch_warnings():
        # Letters that the font lacks are drawn as boxes.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        _settle(figure)
        for path in paths:
            drawn = io.BytesIO()
            figure.savefig(drawn, format=path.suffix[1:], dpi=200, metadata=about.get(path.suffix))
            write_whole(path, drawn.getvalue())


def _settle(figure: Figure) -> None:
    """Fix the layout of a figure.

    The solver's last digits, and with them the names of clip paths in an SVG, change from run to run.
    """
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    for axes in figure.axes:
        left, bottom, width, height = (round(number, 6) for number in axes.get_position().bounds)
        axes.set_position((left, bottom, width, height))
