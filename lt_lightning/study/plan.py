"""Count the runs of a study that are missing, and estimate how long they take on this machine. Imports no torch."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from lt_lightning.config.quoting import quoted
from lt_lightning.errors import SettingError
from lt_lightning.runs.reading import read_object, read_run
from lt_lightning.runtime.terminal import write
from lt_lightning.storage.atomic import write_whole, writing_to
from lt_lightning.storage.lock import STATE
from lt_lightning.study.description import overrides_of
from lt_lightning.study.jobs import Job, is_done

_TRIALS = "trials.json"
_TRIAL_SETTINGS = (
    "pruning.rounds=1",
    "pruning.amount=0.1",
    "trainer.max_epochs=1",
    "report=false",
    "tickets.keep=last",
)
# Two rounds: the first one compiles what all others use.


@dataclass(frozen=True)
class Pace:
    """How long an epoch of a corpus takes.

    Attributes:
        seconds: the mean duration of an epoch, with its part of validation and testing.
        source: how it was measured, in words.
    """

    seconds: float
    source: str


def missing(jobs: Iterable[Job], folder: Path) -> list[Job]:
    """Return the runs that have not finished.

    Args:
        jobs: the runs of a study.
        folder: the study's folder.
    """
    return [job for job in jobs if not is_done(folder / job.folder)]


def measure_paces(jobs: Sequence[Job], folder: Path) -> dict[str, Pace]:
    """Return how long an epoch takes by corpus: as finished runs of the study took, or else as a trial takes now.

    A trial is two rounds of one epoch of the corpus' first arm, in a process of its own, of which the second is
    measured. Its result stays in the study's folder.

    Raises:
        SettingError: a trial failed; the message is the run's.
    """
    return {
        name: _of_runs([job for job in jobs if job.corpus == name], folder) or _of_trial(name, jobs, folder)
        for name in dict.fromkeys(job.corpus for job in jobs)
    }


def estimate_hours(jobs: Iterable[Job], paces: dict[str, Pace]) -> float:
    """Return how many hours some runs take one after the other."""
    return sum(job.work * paces[job.corpus].seconds for job in jobs) / 3600


def _of_runs(jobs: Sequence[Job], folder: Path) -> Pace | None:
    paces = []
    for job in jobs:
        if is_done(folder / job.folder):
            records = read_run(folder / job.folder).records
            paces.append(sum(one.seconds for one in records) / max(1, sum(one.epochs for one in records)))
    if not paces:
        return None
    return Pace(statistics.median(paces), f"{len(paces)} finished run{'s' * (len(paces) > 1)}")


def _of_trial(corpus: str, jobs: Sequence[Job], folder: Path) -> Pace:
    """Return what a trial of the corpus' first arm takes; other settings are tried again."""
    path = folder / STATE / _TRIALS
    known = dict(read_object(path)) if path.exists() else {}
    job = next(one for one in jobs if one.corpus == corpus and one.trunk is None)
    key = " ".join(job.settings)
    if not isinstance(known.get(key), (int, float)):
        write(f"{corpus}: trying two epochs, to estimate how long the study takes")
        with writing_to(folder):
            (folder / STATE).mkdir(parents=True, exist_ok=True)
            known[key] = _try(job)
            write_whole(path, json.dumps(known) + "\n")
    return Pace(float(known[key]), "a trial")


def _try(job: Job) -> float:
    """Train two rounds of an epoch with a run's settings in a process of its own; return the seconds of the last."""
    with tempfile.TemporaryDirectory() as place:
        run = Path(place, "trial")
        settings = overrides_of([*job.settings, *_TRIAL_SETTINGS, f"hydra.run.dir={quoted(str(run))}"])
        command = [sys.executable, "-m", "lt_lightning.train", *settings.values()]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            lines = [line for line in done.stderr.splitlines() if line.strip()] or [f"exit code {done.returncode}"]
            raise SettingError(f"a trial of {job.corpus} failed: {lines[-1].removeprefix('error: ')}")
        return read_run(run).records[-1].seconds


def describe(jobs: Sequence[Job], left: Sequence[Job], paces: dict[str, Pace]) -> list[str]:
    """Return the lines of `--plan`: a table with a row per corpus and length, and the hours in all.

    Args:
        jobs: the runs of the study.
        left: those that have not finished.
        paces: how long an epoch takes, by corpus.
    """
    rows: list[tuple[str, ...]] = [("corpus", "epochs a round", "arms", "seeds", "runs", "done", "hours left")]
    for corpus, epochs in dict.fromkeys((job.corpus, job.round_epochs) for job in jobs):
        of_row = [job for job in jobs if (job.corpus, job.round_epochs) == (corpus, epochs)]
        of_left = [job for job in left if (job.corpus, job.round_epochs) == (corpus, epochs)]
        counts = (len({job.arm for job in of_row}), len({job.seed for job in of_row}), len(of_row))
        hours = f"{estimate_hours(of_left, paces):.2g}"
        rows.append((corpus, str(epochs), *map(str, counts), str(len(of_row) - len(of_left)), hours))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        "  ".join(cell.ljust(width) if place == 0 else cell.rjust(width) for place, (cell, width) in enumerate(
            zip(row, widths, strict=True)
        ))
        for row in rows
    ]  # fmt: skip
    if not left:
        return [*lines, f"all {len(jobs)} runs are done"]
    hours = estimate_hours(left, paces)
    measured = ", ".join(f"{name} {pace.seconds:.1f} s an epoch ({pace.source})" for name, pace in paces.items())
    return [
        *lines,
        f"{len(left)} of {len(jobs)} runs are missing: some {hours:.2g} hours one after the other; {measured}",
    ]
