"""The table of a study: a row per round of each run, written to `rounds.csv`. All numbers of a study come from it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import pandas
from pandas import DataFrame

from lt_lightning.errors import SettingError
from lt_lightning.report.comparison.collapse import level_below, most_frequent
from lt_lightning.runs.metrics import ACCURACY
from lt_lightning.runs.reading import Run, read_run
from lt_lightning.study.description import Study
from lt_lightning.study.jobs import Job, is_done


@dataclass(frozen=True)
class Row:
    """A round of a run. Shares are fractions.

    Attributes:
        corpus, length, arm, seed: the run; see `jobs.Job`.
        round: the round; 0 is the full network: of a branch, that of its trunk.
        density: the share of the prunable weights that are alive.
        weights: the number of living weights, those that are not pruned included.
        epochs: the epochs that the round trained.
        steps: the optimizer steps that the round trained.
        valid: the value on the validation part, which chooses winners.
        test: the value on the test part, which is reported.
        chance: the value on the test part of always answering with its most frequent class; NaN if it is not known.
        seconds: how long the round took.
        instability: of copies of the round on the test part, a fraction of the error; NaN unless
            `python -m lt_lightning.connect` has measured it.
    """

    corpus: str
    length: int
    arm: str
    seed: int
    round: int
    density: float
    weights: int
    epochs: int
    steps: int
    valid: float
    test: float
    chance: float
    seconds: float
    instability: float


_READERS: dict[str, Callable[[str], Any]] = {"str": str, "int": int, "float": float}
COLUMNS = [one.name for one in fields(Row)]
_KEYS = ["corpus", "length", "arm", "seed"]


def gather_rounds(jobs: Iterable[Job], folder: Path) -> DataFrame:
    """Return the rounds of the runs that have finished.

    Args:
        jobs: the runs of a study.
        folder: the study's folder.

    Raises:
        SettingError: a run is damaged, lacks rounds, or is judged by a number that is no share of right answers; or two
            runs of a corpus have read different data.
    """
    rows, seen = [], dict[str, tuple[Path, Any]]()
    for job in jobs:
        place = folder / job.folder
        if not is_done(place):
            continue
        run = read_run(place)
        _require_whole(run, job)
        first, fingerprint = seen.setdefault(job.corpus, (place, run.description.corpus.fingerprint))
        if run.description.corpus.fingerprint != fingerprint:
            raise SettingError(
                f"{place}: has read other data than {first}; remove the run that has read the wrong ones"
            )
        rows += _rows(job, run)
    return with_collapse(DataFrame([asdict(row) for row in rows], columns=COLUMNS))


def _require_whole(run: Run, job: Job) -> None:
    for damage in run.damages:
        raise SettingError(f"{damage}, or remove the run: the same command makes it again")
    if len(run.records) != job.rounds:
        raise SettingError(
            f"{run.folder}: has {len(run.records)} of {job.rounds} rounds; remove the run: the same command makes it "
            "again"
        )
    if not run.metric.is_share:
        raise SettingError(
            f"{run.folder}: is judged by {run.metric.name}; a study compares shares of right answers, such as "
            "metric=test_acc"
        )


def read_rounds(path: Path, study: Study) -> DataFrame:
    """Read a table that a study has written.

    Raises:
        SettingError: there is no such file, it is no such table, or it has what the study lacks.
    """
    if not path.is_file():
        raise SettingError(f"{path}: no such file; give a rounds.csv that a study has written")
    try:
        table = pandas.read_csv(path, dtype=str)
        if lacking := [name for name in COLUMNS if name not in table]:
            raise ValueError(f"no column {', '.join(lacking)}")
        # pandas' own reading of numbers loses last digits in some versions.
        read = DataFrame({name: table[name].map(_READERS[kind]) for name, kind in Row.__annotations__.items()})
    except (OSError, ValueError) as error:
        fault = " ".join(str(error).split())
        raise SettingError(f"{path}: cannot be read ({fault}); give a rounds.csv that a study has written") from None
    for column, known in (("corpus", study.corpora), ("arm", study.arms)):
        for name in read[column].unique():
            if name not in known:
                raise SettingError(
                    f"{path}: has the {column} {name}, which the study lacks; give the study's own table"
                )
    for (corpus, arm), rows in cells(read, "corpus", "arm"):
        if rows["round"].max() > len(study.densities(corpus, arm)):
            raise SettingError(
                f"{path}: has more rounds of {arm} on {corpus} than the study; give the study's own table"
            )
    if read.duplicated([*_KEYS, "round"]).any():
        raise SettingError(f"{path}: has a round of a run twice; give each once")
    return with_collapse(read)


def with_collapse(table: DataFrame) -> DataFrame:
    """Return the table with the columns `full`, `full_valid` and `collapsed`.

    `full` and `full_valid` are the test and validation value of the run's full network. `collapsed` follows the
    definition of `report.comparison.collapse`; None where chance is not known.
    """
    full = table[table["round"] == 0].set_index(_KEYS)
    found = table.join(full[["test", "valid"]].rename(columns={"test": "full", "valid": "full_valid"}), on=_KEYS)
    collapsed = (found["test"] < level_below(found["full"], found["chance"], ACCURACY.room)) & (found["round"] > 0)
    return found.assign(collapsed=collapsed.astype(object).where(found["chance"].notna(), None))


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
    instabilities = _instabilities(run.folder)
    for record in run.compared:
        yield Row(
            job.corpus, job.length, job.arm, job.seed, record.round, record.density,
            record.alive + (run.description.parameters or record.total) - record.total,
            record.epochs, record.steps or 0,
            metric.judge(record), metric.test.read(record), chance, record.seconds,
            instabilities.get(record.round, math.nan),
        )  # fmt: skip


def _instabilities(run: Path) -> dict[int, float]:
    """Return the instability of the rounds of a run whose copies have been trained."""
    folder = run / "connectivity"
    if not folder.is_dir():
        return {}
    from lt_lightning.connect.records import read_all  # imports torch

    return {one.round: one.instability(one.part) for one in read_all(folder)}
