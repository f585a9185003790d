"""The tables of a comparison as DataFrames: in full precision for CSV files, from which the page rounds.

A value that is missing is None.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pandas import DataFrame

from lt_lightning.report.comparison.comparison import (
    Point,
    best_point,
    densities_alike,
    shared_densities,
    shown_ticket,
    winning_point,
)
from lt_lightning.report.comparison.grouping import Group, compared_columns
from lt_lightning.report.comparison.study import Study
from lt_lightning.report.statistics import NO_VALUES, Estimate, scaled, verdict
from lt_lightning.runs.confusion import Counts, class_accuracies, classes_of, count_confusion
from lt_lightning.runs.reading import Run
from lt_lightning.runs.table import name_run


def all_tables(study: Study, base: Path) -> dict[str, DataFrame]:
    """Return every table by the name of its file, without ending.

    Args:
        study: the runs in their groups.
        base: the folder that runs are named from, if they lie below it.
    """
    return {
        "groups": groups_table(study), "rounds": rounds_table(study), "densities": densities_table(study),
        "paired": paired_table(study), "runs": runs_table(study, base), "classes": classes_table(study),
    }  # fmt: skip


def _table(rows: Sequence[Mapping[str, Any]], *columns: str) -> DataFrame:
    """Return a table whose cells keep their types; `columns` are those of a table that may have no rows."""
    return DataFrame(rows, columns=columns or None, dtype=object)


def _estimate(name: str, one: Estimate) -> dict[str, float | None]:
    return {name: one.mean, f"{name}_low": one.low, f"{name}_high": one.high}


def groups_table(study: Study) -> DataFrame:
    """Return a row per group: its full networks, its best ticket and its smallest winning one."""
    key = study.metric.key

    def ticket(name: str, point: Point | None) -> dict[str, Any]:
        round_, density, value = (point.round, point.density, point.test.mean) if point else (None, None, None)
        sparsity = None if density is None else 1 - density
        return {f"{name}_round": round_, f"{name}_sparsity": sparsity, f"{name}_{key}": value}

    return _table(
        [
            {
                "group": group.label, "n": len(group.runs), "seeds": " ".join(group.seeds),
                **_estimate(f"full_{key}", points[0].test),
                **ticket("best", best_point(points)), **ticket("winner", winning_point(points)),
            }
            for group in study.groups
            for points in [study.curves[group.label]]
        ]
    )  # fmt: skip


def rounds_table(study: Study) -> DataFrame:
    """Return a row per group and round: the means over its seeds and their intervals, and its optimizer steps."""
    rows = []
    has_steps = any(record.steps is not None for run in study.runs for record in run.compared)
    for group, (label, points) in zip(study.groups, study.curves.items(), strict=True):
        steps = group.rounds.groupby("place")["steps"].mean()
        for point in points:
            row = {"group": label, "round": point.round, "density": point.density, "sparsity": 1 - point.density}
            row["n"] = point.test.n
            if has_steps:
                row["steps"] = None if math.isnan(steps[point.place]) else float(steps[point.place])
            for name in compared_columns(study.metric):
                row |= _estimate(name, point.values[name])
            rows.append(row)
    return _table(rows)


def densities_table(study: Study) -> DataFrame:
    """Return a row per density at which several groups have trained, with a value of each group side by side.

    `n` is the number of seeds of the group that has most.
    """
    key, rows = study.metric.key, []
    for points in shared_densities(study.curves):
        first = next(iter(points.values()))
        row = {"round": first.round, "density": first.density, "sparsity": 1 - first.density}
        row["n"] = max(point.test.n for point in points.values())
        for label in study.curves:
            one = points[label].test if label in points else None
            row |= _estimate(f"{label}_{key}", one) if one else dict.fromkeys(_estimate(f"{label}_{key}", NO_VALUES))
        for pair in study.pairs:
            found = [one.value for one in pair.differences if densities_alike(one.density, first.density)]
            name = f"difference: {pair.label}_{key}"
            row |= _estimate(name, found[0]) if found else dict.fromkeys(_estimate(name, NO_VALUES))
        rows.append(row)
    return _table(rows, *([] if rows else ["round", "density", "sparsity", "n"]))


def paired_table(study: Study) -> DataFrame:
    """Return a row per pair and density: the difference of what runs are judged by, of shares in fractions."""
    sign, name = study.metric.gain(1, 0), f"difference_{study.metric.key}"
    rows = [
        {
            "pair": pair.label, "round": one.round, "density": one.density, "sparsity": 1 - one.density,
            **_estimate(name, one.value), "n": one.value.n, "verdict": verdict(scaled(one.value, sign)),
        }
        for pair in study.pairs
        for one in pair.differences
    ]  # fmt: skip
    return _table(rows, "pair", "round", "density", "sparsity", name, f"{name}_low", f"{name}_high", "n", "verdict")


def runs_table(study: Study, base: Path) -> DataFrame:
    """Return a row per run."""
    metric = study.metric
    return _table(
        [
            {
                "folder": name_run(run.folder, base), "group": group.label, "seed": seed,
                "rounds": run.records[-1].round, f"full_{metric.key}": metric.read(run.full),
                f"last_{metric.key}": metric.read(run.records[-1]),
            }
            for group in study.groups
            for seed, run in zip(group.seeds, group.runs, strict=True)
        ]
    )  # fmt: skip


def classes_table(study: Study) -> DataFrame:
    """Return a row per group, ticket and class: the accuracy of the class over all seeds together."""
    rows = []
    for group in study.groups:
        shown = group_confusion(group, study)
        classes = classes_of(group.runs[0].description, *shown.values())
        n = len(confusion_runs(group, study))
        rows += [
            {
                "group": group.label, "ticket": ticket, "n": n, "class": classes[one.number], "rows": one.rows,
                "accuracy": one.accuracy if one.rows else None,
            }
            for ticket, counts in shown.items()
            for one in class_accuracies(counts, list(classes))
        ]  # fmt: skip
    return _table(rows, "group", "ticket", "n", "class", "rows", "accuracy")


def group_confusion(group: Group, study: Study) -> dict[str, Counts]:
    """Return the confusions of the full networks and of the ticket to look at, summed over a group's seeds.

    Both are of the same seeds. Empty if no run has kept them.
    """
    rows = [row for run in confusion_runs(group, study) for row in run.confusion]
    if not rows:
        return {}
    return {title: count_confusion(rows, round_) for title, round_ in _shown_rounds(group, study).items()}


def confusion_runs(group: Group, study: Study) -> list[Run]:
    """Return the runs of a group that have kept the confusions of all rounds that are shown."""
    rounds = {*_shown_rounds(group, study).values()}
    return [run for run in group.runs if rounds <= {row.round for row in run.confusion}]


def _shown_rounds(group: Group, study: Study) -> dict[str, int]:
    ticket = shown_ticket(study.curves[group.label], study.words)
    full = {} if group.is_branch and not all(run.record(0) for run in group.runs) else {study.words.full: 0}
    return full | ({ticket[1]: ticket[0].round} if ticket else {})
