"""Measure the instability of a run's rounds: `python -m lt_lightning.connect RUN [--rounds 0,2,4]`.

torch and the data are loaded only after the command line and the run are checked.
"""

from __future__ import annotations

import argparse
import logging
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from lt_lightning.errors import SettingError
from lt_lightning.extras import require_training
from lt_lightning.lottery.settings import LotteryError
from lt_lightning.runtime.arguments import (
    Parser,
    exit_code,
    require_working_directory,
    run_advised,
    start_program,
    whole_number,
)
from lt_lightning.runtime.terminal import write

_ADVICE = "start the same command again: it goes on from the last epoch"


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure the rounds, print a line for each and the page's path, and return the exit code; see `exit_code`."""
    parser = Parser(
        prog="python -m lt_lightning.connect",
        description="Train copies of a run's rounds that differ in the order of the data alone, and measure the error "
        "on the lines between them: linear mode connectivity. Results go into RUN/connectivity.",
    )
    parser.add_argument("run", metavar="RUN", type=Path, help="a run directory, outputs/<experiment>/<date>_<time>")
    settings = "settings that may change, such as data.path=FOLDER if the data was moved; trust=true as with resume="
    parser.add_argument("settings", metavar="KEY=VALUE", nargs="*", help=settings)
    rounds = "the rounds, such as 0,2,4 (default: all whose tickets are on disk)"
    parser.add_argument("--rounds", metavar="ROUNDS", type=_numbers("rounds", 999_999), help=rounds)
    points = "the points on each line, both ends included (default: 30)"
    parser.add_argument("--points", metavar="N", type=whole_number(3), default=30, help=points)
    how_many = parser.add_mutually_exclusive_group()
    copies = "how many copies each round gets, with the data orders 0, 1, … (default: 2)"
    how_many.add_argument("--copies", metavar="N", type=whole_number(2), default=2, help=copies)
    seeds = "the seeds of the copies' data orders, such as 0,1; see seed.order"
    how_many.add_argument("--seeds", metavar="SEEDS", type=_numbers("seeds", 2**32 - 1), help=seeds)
    given = parser.parse_intermixed_args(arguments)
    if given.seeds is not None and len(given.seeds) < 2:
        parser.error("argument --seeds: one seed is one copy; give at least two, such as 0,1")
    orders = given.seeds or tuple(range(given.copies))
    rounds = None if given.rounds is None else tuple(sorted({*given.rounds}))
    return exit_code(lambda: _connect(given.run, given.settings, rounds, given.points, orders))


def _connect(
    folder: Path, settings: Sequence[str], rounds: Sequence[int] | None, points: int, orders: Sequence[int]
) -> None:
    """Measure the rounds and print the path of the page."""
    require_training("lt_lightning.connect")
    require_working_directory()
    try:
        from lt_lightning.connect.request import read_request

        request = read_request(folder, settings, rounds, points, orders)
        from lt_lightning.runtime.fast_import import load_lightning

        load_lightning()
        from lt_lightning.connect.analysis import analyse

        with _without_advice():
            write("", str(analyse(request)))
    except LotteryError as error:
        from lt_lightning.config.messages import describe_error

        raise SettingError(describe_error(error)) from error


@contextmanager
def _without_advice() -> Iterator[None]:
    """Keep Lightning's advice on each fit off the screen."""
    loggers = [logging.getLogger(name) for name in ("pytorch_lightning", "lightning_fabric", "lightning.pytorch")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _numbers(what: str, most: int) -> Callable[[str], tuple[int, ...]]:
    """Return a type for `add_argument`: whole numbers from 0 to `most`, separated by commas."""

    def parse(text: str) -> tuple[int, ...]:
        if not re.fullmatch(r"[0-9]{1,10}(,[0-9]{1,10})*", text) or max(map(int, text.split(","))) > most:
            raise argparse.ArgumentTypeError(f"{text[:40]!r} is no list of {what}, such as 0,2")
        return tuple(map(int, text.split(",")))

    return parse


if __name__ == "__main__":
    sys.exit(start_program(lambda: run_advised(main, _ADVICE)))
