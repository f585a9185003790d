"""The tables of a comparison as rows of plain values: in full precision for CSV files, from which the page rounds."""

import csv
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lt_lightning.report.comparison.comparison import best_point, shown_ticket, winning_point
from lt_lightning.report.comparison.grouping import Group
from lt_lightning.report.comparison.study import Study
from lt_lightning.report.statistics import Estimate, scaled, verdict
from lt_lightning.runs.confusion import Counts, class_accuracies, classes_of, count_confusion
from lt_lightning.runs.reading import Run
from lt_lightning.runs.table import name_run


@dataclass(frozen=True)
class Table:
    """A table: the name of its file without ending, its columns, its rows. None is a value that there is not."""

    name: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]

    def csv(self) -> str:
        """The table as a CSV file: one line of headings, floats with all their digits, nothing for None."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(self.columns)
        writer.writerows(self.rows)
        return text.getvalue()


def all_tables(study: Study, base: Path) -> tuple[Table, ...]:
    """Every table: groups, rounds, paired differences, runs, classes.

    Args:
        study: what is compared.
        base: the folder that runs are named from, where they lie below it.
    """
    return groups_table(study), rounds_table(study), paired_table(study), runs_table(study, base), classes_table(study)


def _ends(one: Estimate) -> tuple[float | None, float | None, float | None]:
    return one.mean, one.low, one.high


def groups_table(study: Study) -> Table:
    """A row a group: its full networks, its best ticket and its smallest winning one."""
    rows = []
    for group in study.groups:
        points = study.curves[group.label]
        full, best, winner = points[0].test, best_point(points), winning_point(points)
        rows.append(
            (
                group.label, len(group.runs), " ".join(group.seeds), *_ends(full),
                *((best.round, 1 - best.density, best.test.mean) if best else (None,) * 3),
                *((winner.round, 1 - winner.density, winner.test.mean) if winner else (None,) * 3),
            )
        )  # fmt: skip
    key = study.metric.key
    columns = (
        "group", "n", "seeds", f"full_{key}", f"full_{key}_low", f"full_{key}_high", "best_round", "best_sparsity",
        f"best_{key}", "winner_round", "winner_sparsity", f"winner_{key}",
    )  # fmt: skip
    return Table("groups", columns, tuple(rows))


def rounds_table(study: Study) -> Table:
    """A row a group and round: the means over its seeds and their intervals."""
    measures = (f"test_{study.metric.key}", "valid_loss", "valid_acc")
    rows = [
        (
            label, point.round, point.density, 1 - point.density, point.test.n,
            *(end for one in (point.test, point.valid_loss, point.valid_acc) for end in _ends(one)),
        )
        for label, points in study.curves.items()
        for point in points
    ]  # fmt: skip
    ends = tuple(f"{measure}{end}" for measure in measures for end in ("", "_low", "_high"))
    return Table("rounds", ("group", "round", "density", "sparsity", "n", *ends), tuple(rows))


def paired_table(study: Study) -> Table:
    """Return a row a pair and density: the difference of what runs are judged by, of shares in fractions."""
    sign, key = study.metric.gain(1, 0), study.metric.key
    rows = [
        (
            pair.label, one.round, one.density, 1 - one.density, *_ends(one.value), one.value.n,
            verdict(scaled(one.value, sign)),
        )
        for pair in study.pairs
        for one in pair.differences
    ]  # fmt: skip
    ends = tuple(f"difference_{key}{end}" for end in ("", "_low", "_high"))
    columns = ("pair", "round", "density", "sparsity", *ends, "n", "verdict")
    return Table("paired", columns, tuple(rows))


def runs_table(study: Study, base: Path) -> Table:
    """A row a run."""
    metric = study.metric
    rows = [
        (
            name_run(run.folder, base), group.label, seed, run.records[-1].round,
            metric.read(run.records[0]), metric.read(run.records[-1]),
        )
        for group in study.groups
        for seed, run in zip(group.seeds, group.runs, strict=True)
    ]  # fmt: skip
    columns = ("folder", "group", "seed", "rounds", f"full_{metric.key}", f"last_{metric.key}")
    return Table("runs", columns, tuple(rows))


def classes_table(study: Study) -> Table:
    """A row a group, ticket and class: the accuracy of the class over all seeds together."""
    rows = []
    for group in study.groups:
        shown = group_confusion(group, study)
        classes = classes_of(group.runs[0].description, *shown.values())
        n = len(confusion_runs(group, study))
        rows += [
            (group.label, ticket, n, classes[one.number], one.rows, one.accuracy if one.rows else None)
            for ticket, counts in shown.items()
            for one in class_accuracies(counts, list(classes))
        ]
    return Table("classes", ("group", "ticket", "n", "class", "rows", "accuracy"), tuple(rows))


def group_confusion(group: Group, study: Study) -> dict[str, Counts]:
    """Confusions summed over a group's seeds: of the full networks and of the ticket to look at, by what they are.

    Of the same seeds on both sides; empty where no run has kept them.
    """
    rows = [row for run in confusion_runs(group, study) for row in run.confusion]
    if not rows:
        return {}
    return {what: count_confusion(rows, round_) for what, round_ in _shown_rounds(group, study).items()}


def confusion_runs(group: Group, study: Study) -> list[Run]:
    """The runs of a group that have kept what was taken for what in all rounds that are shown."""
    rounds = {*_shown_rounds(group, study).values()}
    return [run for run in group.runs if rounds <= {row.round for row in run.confusion}]


def _shown_rounds(group: Group, study: Study) -> dict[str, int]:
    ticket = shown_ticket(study.curves[group.label], study.words)
    return {study.words.full: 0} | ({ticket[1]: ticket[0].round} if ticket else {})
