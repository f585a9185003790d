"""The tables of a comparison as DataFrames: in full precision for CSV files, from which the page rounds.

A value that is missing is None.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pandas import DataFrame

from lt_lightning.report.comparison.areas import areas
from lt_lightning.report.comparison.comparison import (
    Point,
    best_point,
    shared_densities,
    shown_ticket,
    winning_point,
)
from lt_lightning.report.comparison.grouping import Group, compared_columns
from lt_lightning.report.comparison.joining import parts_of
from lt_lightning.report.comparison.study import Study
from lt_lightning.report.statistics import NO_VALUES, columns_of, estimate
from lt_lightning.report.testing import PairedTest, paired_tests, verdict
from lt_lightning.runs.confusion import Counts, class_accuracies, classes_of, count_confusion
from lt_lightning.runs.densities import densities_alike
from lt_lightning.runs.metrics import Metric
from lt_lightning.runs.reading import Run
from lt_lightning.runs.table import name_run
from lt_lightning.runs.winners import smallest_winner


def all_tables(study: Study, base: Path) -> dict[str, DataFrame]:
    """Return every table by the name of its file, without ending.

    Args:
        study: the runs in their groups.
        base: the folder that runs are named from, if they lie below it.
    """
    return {
        "groups": groups_table(study), "rounds": rounds_table(study), "densities": densities_table(study),
        "paired": paired_table(study), "against_full": against_full_table(study), "areas": areas_table(study),
        "runs": runs_table(study, base), "classes": classes_table(study),
    }  # fmt: skip


def _table(rows: Sequence[Mapping[str, Any]], *columns: str) -> DataFrame:
    """Return a table whose cells keep their types; `columns` are those of a table that may have no rows."""
    return DataFrame(rows, columns=columns or None, dtype=object)


def groups_table(study: Study) -> DataFrame:
    """Return a row per group: its full networks, its best ticket and its smallest winning one.

    `winners` is the number of seeds that have a winning ticket of their own, and `difference_winners_` the mean of the
    smallest ones minus the full networks of the same seeds.
    """
    key = study.metric.key

    def ticket(name: str, point: Point | None) -> dict[str, Any]:
        round_, density, value = (point.round, point.density, point.test.mean) if point else (None, None, None)
        sparsity = None if density is None else 1 - density
        return {f"{name}_round": round_, f"{name}_sparsity": sparsity, f"{name}_{key}": value}

    return _table(
        [
            {
                "group": group.label, "n": len(group.runs), "seeds": " ".join(group.seeds),
                **columns_of(f"full_{key}", points[0].test if group.has_full else NO_VALUES),
                **ticket("best", best_point(points) if group.has_full else None),
                **ticket("winner", winning_point(points) if group.has_full else None),
                **_own_winners(group),
            }
            for group in study.groups
            for points in [study.curves[group.label]]
        ]
    )  # fmt: skip


def _own_winners(group: Group) -> dict[str, Any]:
    """Return how many seeds have a winner of their own, and what the smallest gain on the part that is reported."""
    metric, name = group.metric, f"difference_winners_{group.metric.key}"
    if not group.has_full:
        return {"winners": None, **dict.fromkeys(columns_of(name, NO_VALUES))}
    found = [(run.full, smallest_winner(run.compared, metric)) for run in group.runs]
    gains = estimate(metric.read(winner) - metric.read(full) for full, winner in found if winner)
    said = {"winners": f"{sum(winner is not None for _, winner in found)} of {len(found)}"}
    return said | (columns_of(name, gains) if gains.n else dict.fromkeys(columns_of(name, gains)))


def rounds_table(study: Study) -> DataFrame:
    """Return a row per group and round: the means over its seeds and their intervals, and its optimizer steps."""
    rows, has_rates = [], _has_rates(study)
    has_steps = any(record.steps is not None for run in study.runs for record in run.compared)
    for group, (label, points) in zip(study.groups, study.curves.items(), strict=True):
        steps = {place: estimate(of_place["steps"]).mean for place, of_place in group.rounds.groupby("place")}
        for point in points:
            row = {"group": label, "round": point.round, "density": point.density, "sparsity": 1 - point.density}
            row["n"] = point.test.n
            if has_steps:
                row["steps"] = _known(steps[point.place])
            if has_rates:
                row["collapsed"] = _rate(point)
            for name in compared_columns(study.metric):
                row |= columns_of(name, point.values[name])
            row[f"test_{study.metric.key}_median"] = _known(point.median)
            rows.append(row)
    return _table(rows)


def densities_table(study: Study) -> DataFrame:
    """Return a row per density at which several groups have trained, with a value of each group side by side.

    `n` is the number of seeds of the group that has most.
    """
    key, rows, has_rates = study.metric.key, [], _has_rates(study)
    for points in shared_densities(study.curves):
        first = next(iter(points.values()))
        row = {"round": first.round, "density": first.density, "sparsity": 1 - first.density}
        row["n"] = max(point.test.n for point in points.values())
        for label in study.curves:
            one = points.get(label)
            found = columns_of(f"{label}_{key}", one.test if one else NO_VALUES)
            row |= found if one else dict.fromkeys(found)
            row[f"{label}_{key}_median"] = _known(one.median) if one else None
            if has_rates:
                row[f"{label}_collapsed"] = _rate(one) if one else None
        for pair in study.pairs:
            found = [one.value for one in pair.differences if densities_alike(one.density, first.density)]
            name = f"difference: {pair.label}_{key}"
            row |= columns_of(name, found[0]) if found else dict.fromkeys(columns_of(name, NO_VALUES))
        rows.append(row)
    return _table(rows, *([] if rows else ["round", "density", "sparsity", "n"]))


def paired_table(study: Study) -> DataFrame:
    """Return a row per pair and density: the difference of what runs are judged by, of shares in fractions.

    Its tests are one family: the rows that have a p value. Full networks that two groups share are no test.
    """
    metric, name = study.metric, f"difference_{study.metric.key}"
    found = [(pair, one) for pair in study.pairs for one in pair.differences]
    tests = paired_tests([one.tested for _, one in found])
    rows = [
        {
            "pair": pair.label, "round": one.round, "density": one.density, "sparsity": 1 - one.density,
            **columns_of(name, one.value), "n": one.value.n, **_tested(test), "verdict": _verdict(test, metric),
        }
        for (pair, one), test in zip(found, tests, strict=True)
    ]  # fmt: skip
    return _table(rows, "pair", "round", "density", "sparsity", *columns_of(name, NO_VALUES), "n", *_TESTED, "verdict")


def against_full_table(study: Study) -> DataFrame:
    """Return a row per group and density: the tickets minus the full networks of the same seeds.

    Its tests are one family.
    """
    metric, name = study.metric, f"difference_{study.metric.key}"
    found = [(label, one) for label, differences in study.full.items() for one in differences]
    tests = paired_tests([one.tested for _, one in found])
    sides = ("ticket", study.words.full)
    rows = [
        {
            "group": label, "round": one.round, "density": one.density, "sparsity": 1 - one.density,
            **columns_of(name, one.value), "n": one.value.n, **_tested(test), "verdict": _verdict(test, metric, sides),
        }
        for (label, one), test in zip(found, tests, strict=True)
    ]  # fmt: skip
    return _table(rows, "group", "round", "density", "sparsity", *columns_of(name, NO_VALUES), "n", *_TESTED, "verdict")


def areas_table(study: Study) -> DataFrame:
    """Return a row per group with its area under the curve, and behind them a row per pair with the difference.

    The tests of the pairs are one family. Without rows if the groups share fewer than two densities.
    """
    metric, found = study.metric, areas(study)
    name, difference = f"area_{metric.key}", f"difference_{metric.key}"
    own, paired = columns_of(name, NO_VALUES), columns_of(difference, NO_VALUES)
    columns = ("group", "pair", "densities", "densest", "sparsest", *own, *paired, "n", *_TESTED, "verdict")
    if found is None:
        return _table([], *columns)
    span = {"densities": len(found.densities), "densest": found.densities[0], "sparsest": found.densities[-1]}
    rows: list[dict[str, Any]] = []
    for label, of_seeds in found.groups.items():
        one = estimate(of_seeds.values())
        rows.append({"group": label, **span, **columns_of(name, one), "n": one.n})
    tested = {label: values for label, values in found.pairs.items() if values}
    for label, test in zip(tested, paired_tests([*tested.values()]), strict=True):
        rows.append({
            "pair": label, **span, **columns_of(difference, test.value), "n": test.value.n, **_tested(test),
            "verdict": _verdict(test, metric),
        })  # fmt: skip
    return _table([dict.fromkeys(columns) | row for row in rows], *columns)


_TESTED = ("p", "p_holm", "equivalent_within")


def _tested(test: PairedTest) -> dict[str, float | None]:
    return {name: getattr(test, name) for name in _TESTED}


def _verdict(test: PairedTest, metric: Metric, sides: tuple[str, str] = ("first", "second")) -> str:
    return verdict(test, metric.gain(1, 0), metric.margin, metric.scale, sides)


def _has_rates(study: Study) -> bool:
    """Return whether it is known of any ticket whether it has collapsed."""
    return any(point.collapsed[1] for points in study.curves.values() for point in points)


def _rate(point: Point) -> str | None:
    """Return how many of a point's tickets have collapsed, such as `2 of 3`; None if that is not known."""
    fallen, known = point.collapsed
    return f"{fallen} of {known}" if known else None


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value


def runs_table(study: Study, base: Path) -> DataFrame:
    """Return a row per run."""
    metric = study.metric
    return _table(
        [
            {
                "folder": name_run(part.folder, base), "group": group.label, "seed": seed,
                "rounds": part.records[-1].round,
                f"full_{metric.key}": metric.read(run.full if run.reference else part.full),
                f"last_{metric.key}": metric.read(part.records[-1]),
            }
            for group in study.groups
            for seed, run in zip(group.seeds, group.runs, strict=True)
            for part in parts_of([run])
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
