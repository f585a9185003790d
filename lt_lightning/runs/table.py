"""Return all rounds of many runs as one tidy table, a pandas DataFrame. pandas is imported by the first table."""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lt_lightning.errors import SettingError
from lt_lightning.runs.formatting import say
from lt_lightning.runs.reading import Run, find_runs, read_run
from lt_lightning.runs.records import Record, optional_columns

if TYPE_CHECKING:
    import pandas


def load_runs(folder: str | os.PathLike[str]) -> pandas.DataFrame:
    """Return the rounds of all runs in a folder, however deep, whatever their corpora, one row per run and round.

    The columns are `run` (the run directory, from `folder`), `task`, values of `run.json` (`experiment`, `corpus`,
    `network`, `model`, `optimizer`, `scheduler`, `criterion`, `scope`, `amount`, `rewind`, `seed`, `started`,
    `finished`; missing if it lacks them), those of `results.csv` (shares are fractions), and `density`.

    Args:
        folder: a run directory, or a folder with runs in it. A run that cannot be read is left out with a warning.

    Raises:
        SettingError: there is no run that can be read.

    Examples:
        >>> rounds = load_runs("outputs")  # doctest: +SKIP
        >>> rounds.groupby(["corpus", "rewind", "round"])["test_acc"].mean()  # doctest: +SKIP
    """
    runs, base = [], Path(folder)
    for inside in find_runs(base):
        try:
            runs.append(read_run(inside))
        except SettingError as error:  # noqa: PERF203
            warnings.warn(f"left out: {error}", stacklevel=2)
    if not runs:
        raise SettingError(f"{base}: no runs in it that can be read; give run directories, or a folder that holds some")
    return tabulate_rounds(runs, base)


def tabulate_rounds(runs: Sequence[Run], base: Path) -> pandas.DataFrame:
    """Return the rounds of runs like `load_runs`; runs are named from the folder `base`."""
    import pandas

    rows = [
        {**_about(run, base), **columns, "density": record.density, **logged}
        for run in runs
        for record in run.records
        for columns in [asdict(record)]
        for logged in [columns.pop("logged")]
    ]
    return pandas.DataFrame(rows).astype(dict.fromkeys(optional_columns(Record), float))


def tabulate_runs(runs: Sequence[Run], base: Path) -> pandas.DataFrame:
    """Return one row per run: the values that describe it, its last round, and `full` and `last`.

    These two are the values of `metric`, the run's metric, in round 0 and in the last round.
    """
    import pandas

    rows = [
        {
            **_about(run, base), "rounds": run.records[-1].round, "density": run.records[-1].density,
            "metric": run.metric.name, "full": run.metric.read(run.full),
            "last": run.metric.read(run.records[-1]), "seconds": sum(record.seconds for record in run.records),
        }
        for run in runs
    ]  # fmt: skip
    return pandas.DataFrame(rows)


def name_run(folder: Path, base: Path) -> str:
    """Return a run's folder, from `base` if it lies below that, and otherwise as it was given."""
    below = os.path.relpath(folder, base)
    return say(str(folder) if below.startswith(os.pardir) else below)


def _about(run: Run, base: Path) -> dict[str, Any]:
    about, config = run.description, run.description.config
    pruning = config.pruning
    described = {
        "experiment": about.experiment, "corpus": about.corpus.name, "network": about.network,
        "model": config.model.name, "optimizer": config.optimizer.name, "scheduler": config.scheduler.name,
        "schedule": pruning.schedule or "rounds", "criterion": pruning.criterion, "scope": pruning.scope,
        "amount": say(pruning.amount) if isinstance(pruning.amount, (list, tuple)) else pruning.amount,
        "target_density": pruning.density, "pattern": pruning.pattern or "unstructured",
        "mask": pruning.mask or "pruned",
        "rewind": pruning.rewind,
        "seed": config.seed if about.seed is None else about.seed,  # older runs have it in their settings alone
        "started": about.started, "finished": about.finished,
    }  # fmt: skip
    plain = {key: say(value) if isinstance(value, str) else value for key, value in described.items()}
    return {"run": name_run(run.folder, base), "task": about.task.name, **plain}
