"""A ticket has collapsed if it has lost more than 10 points and more than half of the way down to chance."""

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from lt_lightning.report.comparison.collapse import collapse_level, most_frequent
from lt_lightning.report.comparison.comparison import curve
from lt_lightning.report.comparison.grouping import Group
from lt_lightning.report.comparison.sections import sections_of
from lt_lightning.report.comparison.study import gather
from lt_lightning.runs.reading import read_run
from lt_lightning.runs.records import ConfusionRecord

MakeRun = Callable[..., Path]


@pytest.mark.parametrize(("full", "level"), [(0.80, 0.65), (0.60, 0.50), (0.50, 0.40)])
def test_the_level_is_half_way_to_chance_and_at_least_10_points_below(
    make_run: MakeRun, full: float, level: float
) -> None:
    run = read_run(make_run(accuracies=(full, 0.5), confusion=True))  # of two classes as frequent as each other
    assert collapse_level(run) == pytest.approx(level)


def test_chance_is_the_share_of_the_most_frequent_class_of_one_round(make_run: MakeRun) -> None:
    run = read_run(make_run(2))
    rows = [(0, 0, 1, 30), (0, 0, 0, 40), (0, 1, 1, 20), (0, 2, 0, 10), (1, 1, 1, 500)]
    assert most_frequent(replace(run, confusion=tuple(ConfusionRecord(*one) for one in rows))) == 0.7


def test_without_confusion_or_accuracy_nothing_is_known(make_run: MakeRun) -> None:
    assert math.isnan(collapse_level(read_run(make_run(2, name="plain"))))
    settings = {"metric": "test_f1"}
    f1 = read_run(make_run(2, name="f1", f1=[(0.8, 0.8)] * 2, settings=settings, confusion=True))
    assert f1.metric.key == "f1"
    assert math.isnan(collapse_level(f1))
    points = curve(Group("g", {}, (read_run(make_run(2, name="again")),)))
    assert [point.collapsed for point in points] == [(0, 0)] * 2


def test_a_collapsed_seed_takes_the_interval_from_the_page(make_run: MakeRun, tmp_path: Path) -> None:
    lasts = {"init": (0.70, 0.62, 0.72), "last": (0.7, 0.7, 0.7)}
    for rewind, values in lasts.items():
        for seed, last in enumerate(values):
            make_run(
                name=f"runs/{rewind}_{seed}", seed=seed, accuracies=(0.8, last), confusion=True,
                settings={"pruning.rewind": rewind},
            )  # fmt: skip
    sections = {section.heading: section for section in sections_of(gather([tmp_path / "runs"]), tmp_path)}
    _, last = (sections["By density"].cells(row) for row in sections["By density"].rows)
    assert last[3:] == ["70.00 % [1 of 3]", "70.00 ± 0.00 %", "+2.00"]
    assert "nearer to that of always answering with the most frequent class" in sections["By density"].note
    spreads = [row["spread"] for row in sections["Rounds"].rows]
    assert spreads == ["80.00 … 80.00", "70.00 % [1 of 3]", "80.00 … 80.00", "70.00 … 70.00"]
