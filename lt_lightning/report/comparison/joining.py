"""Join runs of one round each, which differ in their density alone, as if they were the rounds of one run."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, replace
from typing import Any, TypeVar

from lt_lightning.lottery.schedules.registry import SCHEDULES
from lt_lightning.report import facts
from lt_lightning.runs.formatting import exact
from lt_lightning.runs.reading import Run
from lt_lightning.runs.records import Record

UNREAD = "not read"
"""Stands for the value of a setting that the run's schedule does not read."""
_OF_ROUNDS = ("amount", "amount_of", "amounts", "threshold")


def is_single(run: Run) -> bool:
    """Return whether a run trains one pruned network, and so has no full network of its own."""
    return run.description.config.pruning.is_single and run.description.branch is None


def single_settings(run: Run) -> dict[str, Any]:
    """Return the settings of such a run that do not tell it from others, by full name, with the value to give them."""
    schedule = SCHEDULES.get(str(run.description.config.pruning.schedule))
    names = [*_OF_ROUNDS, "density"]
    if schedule is not None and not schedule.uses_criterion:
        names.append("criterion")
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


def join(runs: Sequence[Run], full: Record | None) -> Run:
    """Return one run, whose rounds 1, 2, … are the given ones from the densest to the sparsest.

    Args:
        runs: runs of one seed, each with one round.
        full: the full network to compare them with; None if no run has trained it.
    """
    ordered = sorted(runs, key=lambda run: -run.records[0].density)
    first = 0 if full is None else 1

    def renumbered(name: str) -> tuple[Any, ...]:
        return tuple(
            _with_round(row, number)
            for number, run in enumerate(ordered, first)
            for row in getattr(run, name)
            if row.round == 0
        )

    tables = {name: renumbered(name) for name in ("records", "layers", "epochs", "confusion", "examples")}
    damages = tuple(damage for run in ordered for damage in run.damages)
    return replace(ordered[0], **tables, damages=damages, reference=full, parts=tuple(ordered))


Row = TypeVar("Row")


def _with_round(row: Row, number: int) -> Row:
    return type(row)(**{**{one.name: getattr(row, one.name) for one in fields(row)}, "round": number})  # pyright: ignore


def parts_of(runs: Iterable[Run]) -> list[Run]:
    """Return the runs as they are on disk."""
    return [part for run in runs for part in (run.parts or (run,))]
