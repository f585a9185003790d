"""Run a lottery from Python: `from lt_lightning import run`."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lt_lightning.config.aliases import debug_last
from lt_lightning.config.quoting import quote
from lt_lightning.errors import SettingError
from lt_lightning.experiment.branch.command import branched_arguments
from lt_lightning.experiment.folders import release
from lt_lightning.experiment.hydra_main import compose_config
from lt_lightning.experiment.interpolations import filled_in, within_job
from lt_lightning.experiment.resume.command import resumed_arguments
from lt_lightning.experiment.resume.compare import describe_stop
from lt_lightning.experiment.start_check import prepare_run
from lt_lightning.experiment.start_run import find_launch, start_run
from lt_lightning.lottery.settings import LotteryError
from lt_lightning.runtime.job import Job
from lt_lightning.runtime.logs import LineFormatter, LogFile

if TYPE_CHECKING:
    from pandas import DataFrame

    from lt_lightning.runs.records import Record


_ADVICE = "pytorch_lightning.utilities.rank_zero"
"""The logger of what Lightning says of each fit, such as the devices that it finds."""


@dataclass(frozen=True)
class Result:
    """A finished run.

    Attributes:
        path: the run directory.
        rounds: a record per round, as in `results.csv`.
    """

    path: Path
    rounds: tuple[Record, ...]

    @property
    def records(self) -> DataFrame:
        """Return `results.csv`, a row per round; accuracies and sparsity are fractions."""
        from pandas import read_csv

        return read_csv(self.path / "results.csv")

    @property
    def tickets(self) -> dict[int, Path]:
        """Return the paths of the tickets on disk by round; `tickets.keep` decides which are kept."""
        from lt_lightning.runs.rounds import ticket_path

        paths = {record.round: ticket_path(self.path, record.round) for record in self.rounds}
        return {round_: path for round_, path in paths.items() if path.exists()}


def run(*overrides: str) -> Result:
    """Run or resume a lottery in this process, and return its result.

    Settings are written as on the command line of `python -m lt_lightning.train`, one per argument. There is no `-m`:
    write a loop instead.

    Args:
        overrides: such as `"+experiment=quickstart"`, `"pruning.rounds=2"`, `"resume=outputs/…"`.

    Raises:
        SettingError: a setting is unknown or out of its range, the data cannot be loaded, or the run cannot resume.

    Examples:
        >>> result = run("+experiment=quickstart", "pruning.rounds=2")  # doctest: +SKIP
        >>> result.records[["round", "sparsity", "test_acc"]]  # doctest: +SKIP
    """
    from lt_lightning.runs.reading import read_run

    failed = True
    try:
        for one in overrides:
            if one.startswith("-") or "=" not in one:
                raise SettingError(f"{one}: not a setting; write key=value, and loop in Python instead of -m")
        composed = compose_config(
            branched_arguments(resumed_arguments(debug_last([quote(one) for one in overrides]))), with_hydra=True
        )
        config = prepare_run(composed)
        folder = Path(composed.hydra.run.dir)
        with within_job(composed):
            job = Job(config, folder, filled_in(composed.hydra.overrides.task))
        with _logging_to(folder / "train.log"):
            try:
                start_run(job, find_launch(config.trainer, os.environ))
            except (SettingError, LotteryError) as error:
                raise type(error)(describe_stop(error, folder)) from error
        failed = False
        return Result(folder, read_run(folder).records)
    finally:
        release(failed=failed)


@contextmanager
def _logging_to(path: Path) -> Iterator[None]:
    """Write what this package logs to a file, too, and keep Lightning's advice on each fit off the screen."""
    handler = LogFile(str(path), delay=True)
    handler.setFormatter(LineFormatter("[%(asctime)s][%(name)s][%(levelname)s] - %(message)s"))
    log, lightning = (logging.getLogger(name) for name in ("lt_lightning", _ADVICE))
    levels = log.level, lightning.level
    log.addHandler(handler)
    log.setLevel(min(log.level or logging.INFO, logging.INFO))
    lightning.setLevel(max(lightning.level, logging.WARNING))
    try:
        yield
    finally:
        log.setLevel(levels[0])
        lightning.setLevel(levels[1])
        log.removeHandler(handler)
        handler.close()
