"""Join runs of one round each, which differ in their density alone, as if they were the rounds of one run."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from lt_lightning.lottery.schedules.registry import SCHEDULES
from lt_lightning.report import facts
from lt_lightning.runs.branch import UNREAD_BY_BRANCHES
from lt_lightning.runs.formatting import exact
from lt_lightning.runs.reading import Run
from lt_lightning.runs.records import Record

UNREAD = "not read"
"""Stands for the value of a setting that the run's schedule does not read."""
_OF_ROUNDS = ("amount", "amount_of", "amounts", "threshold")


def is_single(run: Run) -> bool:
    """Return whether a run trains one pruned network, and so has no full network of its own.

    A branch of such a run is one, too.
    """
    branch = run.description.branch
    return run.description.config.pruning.is_single if branch is None else branch.full.alive < branch.full.total


def target(run: Run) -> float:
    """Return the density that a run of one round aims at; of a branch, that of its trunk."""
    branch, density = run.description.branch, run.description.config.pruning.density
    return density if branch is None and density is not None else (branch.full if branch else run.records[0]).density


def unread_settings(run: Run) -> dict[str, Any]:
    """Return the settings that a run does not read, or whose values are on the axis, with the value to give them."""
    pruning = run.description.config.pruning
    if run.description.branch is not None:
        names = [*UNREAD_BY_BRANCHES, "schedule", *(["criterion"] if pruning.mask != "invert" else [])]
    elif is_single(run):
        schedule = SCHEDULES.get(str(pruning.schedule))
        names = [*_OF_ROUNDS, "density", *(["criterion"] if schedule and not schedule.uses_criterion else [])]
    else:
        names = []
    return {f"pruning.{name}": UNREAD for name in names}


def full_records(runs: Sequence[Run], settings: Sequence[Mapping[str, Any]]) -> dict[str, Record]:
    """Return full networks by all that determines them: the seed, and all settings but those of pruning."""
    found: dict[str, Record] = {}
    for run, of_run in zip(runs, settings, strict=True):
        first, about = run.records[0], run.description
        is_whole = first.round == 0 and first.alive == first.total and about.ticket is None and about.branch is None
        if is_whole and not is_single(run):
            found.setdefault(determinants(run, of_run), first)
    return found


def determinants(run: Run, settings: Mapping[str, Any]) -> str:
    """Return a text that runs share whose full networks are the same."""
    kept = {key: value for key, value in settings.items() if not key.startswith("pruning.") and key != "name"}
    return exact([facts.seed(run.description), sorted(kept.items())])


def join(runs: Sequence[Run], places: Mapping[float, int], full: Record | None) -> Run:
    """Return one run, whose rounds are those of the given ones from the densest to the sparsest.

    Args:
        runs: runs of one seed, each with one round.
        places: the number of each target density, from 0 on; the same for all seeds.
        full: the full network to compare them with; None if no run has trained it. If there is one, rounds begin at 1.
    """
    ordered = sorted(runs, key=lambda run: places[target(run)])
    first = 0 if full is None else 1

    def renumbered(name: str) -> tuple[Any, ...]:
        return tuple(
            replace(row, round=places[target(run)] + first)
            for run in ordered
            for row in getattr(run, name)
            if row.round == 0
        )

    tables = {name: renumbered(name) for name in ("records", "layers", "epochs", "confusion", "examples")}
    damages = tuple(damage for run in ordered for damage in run.damages)
    return replace(ordered[0], **tables, damages=damages, reference=full, parts=tuple(ordered))


def parts_of(runs: Iterable[Run]) -> list[Run]:
    """Return the runs as they are on disk."""
    return [part for run in runs for part in (run.parts or (run,))]
