"""The table of a study: a row per round of each run, written to `rounds.csv`. All numbers of a study come from it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import pandas
from pandas import DataFrame

from lt_lightning.errors import SettingError
from lt_lightning.report.comparison.collapse import most_frequent
from lt_lightning.runs.metrics import ACCURACY
from lt_lightning.runs.reading import Run, read_run
from lt_lightning.study.jobs import Job, is_done


@dataclass(frozen=True)
class Row:
    """A round of a run. Shares are fractions.

    Attributes:
        corpus, length, arm, seed: the run; see `jobs.Job`.
        round: the round; 0 is the full network: of a branch, that of its trunk.
        density: the share of the prunable weights that are alive.
        epochs: the epochs that the round trained.
        steps: the optimizer steps that the round trained.
        valid: the value on the validation part, which chooses winners.
        test: the value on the test part, which is reported.
        chance: the value on the test part of always answering with its most frequent class; NaN if it is not known.
        seconds: how long the round took.
    """

    corpus: str
    length: int
    arm: str
    seed: int
    round: int
    density: float
    epochs: int
    steps: int
    valid: float
    test: float
    chance: float
    seconds: float


_READERS: dict[str, Callable[[str], Any]] = {"str": str, "int": int, "float": float}
COLUMNS = [one.name for one in fields(Row)]
_KEYS = ["corpus", "length", "arm", "seed"]


def gather_rounds(jobs: Iterable[Job], folder: Path) -> DataFrame:
    """Return the rounds of the runs that have finished.

    Args:
        jobs: the runs of a study.
        folder: the study's folder.
    """
    rows = [row for job in jobs if is_done(folder / job.folder) for row in _rows(job, read_run(folder / job.folder))]
    return with_collapse(DataFrame([asdict(row) for row in rows], columns=COLUMNS))


def read_rounds(path: Path) -> DataFrame:
    """Read a table that `write_rounds` wrote.

    Raises:
        SettingError: there is no such file, or it is no such table.
    """
    try:
        table = pandas.read_csv(path, dtype=str)
        if lacking := [name for name in COLUMNS if name not in table]:
            raise ValueError(f"no column {', '.join(lacking)}")
        # pandas' own reading of numbers loses last digits in some versions.
        read = {name: table[name].map(_READERS[kind]) for name, kind in Row.__annotations__.items()}
    except (OSError, ValueError) as error:
        fault = " ".join(str(error).split())
        raise SettingError(f"{path}: cannot be read ({fault}); give a rounds.csv that a study has written") from None
    return with_collapse(DataFrame(read))


def with_collapse(table: DataFrame) -> DataFrame:
    """Return the table with the columns `full`, `full_valid` and `collapsed`.

    `full` and `full_valid` are the test and validation value of the run's full network. `collapsed` follows the
    definition of `report.comparison.collapse`.
    """
    full = table[table["round"] == 0].set_index(_KEYS)
    found = table.join(full[["test", "valid"]].rename(columns={"test": "full", "valid": "full_valid"}), on=_KEYS)
    half, room = (found["full"] + found["chance"]) / 2, found["full"] - ACCURACY.room
    return found.assign(collapsed=(found["test"] < half) & (found["test"] < room) & (found["round"] > 0))


def cells(table: DataFrame, *columns: str) -> Iterator[tuple[Any, DataFrame]]:
    """Yield the rows that have the same values in some columns, behind these values, in the order of the table."""
    yield from table.groupby(list(columns), sort=False)


def select(table: DataFrame, **values: Any) -> DataFrame:
    """Return the rows that have these values in the columns of these names."""
    for name, value in values.items():
        table = DataFrame(table[table[name] == value])
    return table


def _rows(job: Job, run: Run) -> Iterator[Row]:
    metric, chance = run.metric, most_frequent(run)
    for record in run.compared:
        yield Row(
            job.corpus, job.length, job.arm, job.seed, record.round, record.density, record.epochs, record.steps or 0,
            metric.judge(record), metric.test.read(record), chance, record.seconds,
        )  # fmt: skip
