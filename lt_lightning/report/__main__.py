"""Draw the report of a run, or a comparison of several: `python -m lt_lightning.report RUN [RUN …]`.

matplotlib and pandas are imported after the arguments are checked, so that `--help` answers at once.
"""

import argparse
import math
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lt_lightning.errors import SettingError
from lt_lightning.extras import require_training
from lt_lightning.runs.reading import is_run, read_run
from lt_lightning.runtime.arguments import Parser, start_program
from lt_lightning.runtime.terminal import complain, write

MOST_CHOSEN = 5
"""The largest number of rounds whose learning curves can be told apart."""

COLUMN, NARROWEST, WIDEST = 3.3, 3.0, 10.0
"""Inches: the width of one of two columns of a paper, and the limits of legible figures."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Draw the report of a run, or compare several, and print the path of the page.

    Returns:
        The exit code: 0, or 2 if something could not be drawn; the rest is drawn nevertheless.
    """
    parser = Parser(
        prog="python -m lt_lightning.report",
        description="Draw the figures and report.html of a run; of several runs, a comparison: means over seeds, "
        "grouped by the settings that differ.",
    )
    parser.add_argument(
        "runs",
        metavar="RUN",
        nargs="+",
        type=Path,
        help="a run directory, outputs/<experiment>/<date>_<time>, which may still be running, or a folder with "
        "runs in it, such as a sweep",
    )
    parser.add_argument(
        "-o",
        "--output",
        metavar="FOLDER",
        type=Path,
        help="where a comparison goes (default: the folder that is given or, where several are given, "
        "outputs/comparisons/<date>_<time>)",
    )
    parser.add_argument(
        "--rounds",
        metavar="ROUNDS",
        type=_rounds,
        help=f"the rounds whose learning curves are drawn, at most {MOST_CHOSEN}, such as 0,3,6 (default: some from "
        "the first to the last)",
    )
    parser.add_argument("--pdf", action="store_true", help="write the figures as PDF, too, for a column of a paper")
    parser.add_argument(
        "--width",
        metavar="INCHES",
        type=_width,
        help=f"how wide the column is, {NARROWEST:g} to {WIDEST:g} inches (default: {COLUMN})",
    )
    parser.add_argument("--latex", action="store_true", help="write the tables as LaTeX, too (they need booktabs)")
    parser.add_argument(
        "--figure",
        metavar="FUNCTION",
        action="append",
        default=[],
        help="add a figure of your own to the report of a run: the dotted path of a function that takes the run and "
        "returns a matplotlib Figure, such as my_package.my_figure; can be repeated",
    )
    given = parser.parse_args(arguments)
    if given.width is not None and not given.pdf:
        parser.error("--width is for --pdf; give both")
    paper = (given.width or COLUMN) if given.pdf else None
    one = len(given.runs) == 1 and (is_run(given.runs[0]) or not os.path.isdir(given.runs[0]))  # noqa: PTH112
    if one and is_run(given.runs[0]) and given.output is not None:
        parser.error("--output is for comparisons; the report of a run goes into its directory")
    if given.figure and not one:
        parser.error("--figure is for the report of one run; draw a comparison of your own from load_runs")
    notes: Sequence[str] = ()
    try:
        require_training("lt_lightning.report", "matplotlib", "pandas", "scipy", "jinja2")
        page, complaints, notes = (
            _draw(given.runs[0], given.rounds, paper, given.latex, given.figure)
            if one
            else _compare(given.runs, given.output, given.rounds, paper, given.latex)
        )
        write(str(page))
    except SettingError as error:
        complaints = str(error).splitlines()
    for complaint in complaints:
        complain(complaint)
    for note in notes:
        complain(f"note: {note}")
    return 2 if complaints else 0


def _rounds(text: str) -> tuple[int, ...]:
    if not re.fullmatch(r"\d{1,9}(,\d{1,9})*", text):
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is no list of rounds, such as 0,3,6")
    rounds = tuple(sorted(set(map(int, text.split(",")))))
    if len(rounds) > MOST_CHOSEN:
        raise argparse.ArgumentTypeError(f"{len(rounds)} rounds are more than one figure holds; choose {MOST_CHOSEN}")
    return rounds


def _width(text: str) -> float:
    try:
        width = float(text)
    except ValueError:
        width = math.nan
    if not NARROWEST <= width <= WIDEST:
        raise argparse.ArgumentTypeError(f"{text[:40]!r} is no width from {NARROWEST:g} to {WIDEST:g} inches")
    return width


def _draw(folder: Path, *wanted: Any) -> tuple[Path, Sequence[str], Sequence[str]]:
    run = read_run(folder)
    from lt_lightning.report.run import draw_run

    return draw_run(run, *wanted), run.damages, ()


def _compare(folders: Sequence[Path], output: Path | None, *wanted: Any) -> tuple[Path, Sequence[str], Sequence[str]]:
    from lt_lightning.report.comparison.report import draw_comparison

    return draw_comparison(folders, output, *wanted)


if __name__ == "__main__":
    sys.exit(start_program(main))
