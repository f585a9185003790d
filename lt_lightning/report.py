"""Draw the report of a run: `python -m lt_lightning.report RUN [RUN …]`.

matplotlib is imported only once there is something to draw, so that `--help` answers at once.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from lt_lightning.errors import SettingError


def main(arguments: Sequence[str] | None = None) -> int:
    """Draw the report of every run directory that is named, and print where each page is.

    Args:
        arguments: those of the command line; None takes them from there.

    Returns:
        The exit code: 0, or 2 where a run could not be drawn; the others are drawn nevertheless.
    """
    parser = argparse.ArgumentParser(
        prog="python -m lt_lightning.report",
        description="Draw the figures and report.html of a run, from its results.csv, layers.csv and run.json.",
    )
    parser.add_argument(
        "runs",
        metavar="RUN",
        nargs="+",
        type=Path,
        help="a run directory, outputs/<experiment>/<date>_<time>; it may still be running",
    )
    return max([_draw(run) for run in parser.parse_args(arguments).runs])


def _draw(run: Path) -> int:
    from lt_lightning.results.report import draw_report

    try:
        print(draw_report(run))
    except SettingError as error:
        print(" ".join(str(error).split()), file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
