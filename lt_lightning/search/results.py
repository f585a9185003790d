"""What came of a search: its lines on the screen, `trials.csv` and `optimization_results.yaml`."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lt_lightning.search.space import Space
from lt_lightning.search.trial import FOLDER, STOPPED
from lt_lightning.storage.atomic import write_whole

if TYPE_CHECKING:
    from optuna import Study


@dataclass(frozen=True)
class Outcome:
    """A trial.

    Attributes:
        number: its number.
        state: `COMPLETE`, `PRUNED`, `FAIL`, or `RUNNING` for one that has not ended.
        value: its objective, after all rounds or those before it was stopped; None for a failed one.
        stopped: the round after which it was stopped as hopeless, or None.
        folder: its run directory, relative to the sweep's folder; empty if it is not known.
        overrides: the settings that it varies, such as `optimizer.lr=0.01`.
        values: their values, as in the study.
        seconds: how long it took, pauses of the search included.
    """

    number: int
    state: str
    value: float | None
    stopped: int | None
    folder: str
    overrides: tuple[str, ...]
    values: dict[str, Any]
    seconds: float | None


def read_outcomes(study: Study, space: Space, sweep: Path) -> list[Outcome]:
    """Return the trials of a study that have values of the space, in the order of their numbers."""
    found = []
    for trial in study.get_trials(deepcopy=False):
        # A user of Optuna may have enqueued a trial, or asked for one that has no values yet.
        if trial.state.name == "WAITING" or space.find_fault(trial.params) is not None:
            continue
        folder = str(trial.user_attrs.get(FOLDER, ""))
        found.append(
            Outcome(
                trial.number,
                trial.state.name,
                trial.value,
                trial.user_attrs.get(STOPPED),
                os.path.relpath(folder, sweep) if folder else "",
                tuple(space.assignments(trial.params)),
                trial.params,
                None if trial.duration is None else trial.duration.total_seconds(),
            )
        )
    return found


def find_best(outcomes: Sequence[Outcome], direction: Any) -> Outcome | None:
    """Return the best trial that was not stopped, the first of equals, or None if no trial is complete."""
    whole = [one for one in outcomes if one.state == "COMPLETE" and one.value is not None]
    sign = -1.0 if direction.name == "MAXIMIZE" else 1.0
    return min(whole, key=lambda one: sign * (one.value or 0.0), default=None)


def describe_trial(outcome: Outcome, outcomes: Sequence[Outcome], direction: Any) -> str:
    """Return a line about a trial that has ended, and the best one so far."""
    said = {
        "COMPLETE": f"{outcome.value:.6g}" if outcome.value is not None else "",
        "PRUNED": f"stopped after round {outcome.stopped} as hopeless",
        "FAIL": "failed",
    }[outcome.state]
    best = find_best(outcomes, direction)
    so_far = f"; best so far: trial {best.number}, {best.value:.6g}" if best is not None else ""
    return f"trial {outcome.number}: {said} ({' '.join(outcome.overrides)}){so_far}"


def describe_best(outcomes: Sequence[Outcome], direction: Any, objective: str, sweep: Path) -> list[str]:
    """Return lines about a search that is over."""
    best = find_best(outcomes, direction)
    counts = [
        f"{sum(one.state == state for one in outcomes)} {word}"
        for state, word in (("COMPLETE", "complete"), ("PRUNED", "stopped as hopeless"), ("FAIL", "failed"))
        if any(one.state == state for one in outcomes)
    ]
    line = f"{len(outcomes)} trials: {', '.join(counts)}"
    if best is None:
        return [f"{line}; no trial is complete, so there is no best one"]
    way = "highest" if direction.name == "MAXIMIZE" else "lowest"
    return [
        line,
        f"best trial: {best.number}, with the {way} {objective}, {best.value:.6g}: {' '.join(best.overrides)}",
        f"its run: {os.path.normpath(sweep / best.folder)}",
    ]


def write_results(sweep: Path, outcomes: Sequence[Outcome], study: Study, objective: str) -> None:
    """Write `trials.csv`, and once a trial has a value `optimization_results.yaml`; raise OSError if that fails."""
    names = list(dict.fromkeys(name for one in outcomes for name in one.values))
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["trial", "state", "value", "stopped_after", "folder", *names, "seconds"])
    for one in outcomes:
        seconds = "" if one.seconds is None else f"{one.seconds:.1f}"
        values = [one.values.get(name, "") for name in names]
        cells = [one.number, one.state.lower(), one.value, one.stopped, one.folder, *values, seconds]
        table.writerow(["" if cell is None else cell for cell in cells])
    write_whole(sweep / "trials.csv", text.getvalue())
    best = find_best(outcomes, study.direction)
    if best is None:
        return
    from omegaconf import OmegaConf
    from yaml import safe_load

    content = {
        "name": "optuna",
        "study": study.study_name,
        "objective": objective,
        "direction": study.direction.name.lower(),
        "best_value": best.value,
        # Choices are in the study as they are typed.
        "best_params": {name: safe_load(one) if isinstance(one, str) else one for name, one in best.values.items()},
        "best_overrides": list(best.overrides),
        "best_trial": best.number,
        "best_folder": best.folder,
        "trials": {
            state.lower(): sum(one.state == state for one in outcomes) for state in ("COMPLETE", "PRUNED", "FAIL")
        },
    }
    write_whole(sweep / "optimization_results.yaml", OmegaConf.to_yaml(OmegaConf.create(content)))
