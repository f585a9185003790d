"""Every task has its metric: how it is read, compared and written."""

import math
import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lt_lightning.report.comparison.page import render_comparison
from lt_lightning.report.comparison.study import gather
from lt_lightning.report.comparison.tables import rounds_table
from lt_lightning.report.latex import run_latex
from lt_lightning.report.run_page import render_page
from lt_lightning.runs.columns import Column
from lt_lightning.runs.description import Description
from lt_lightning.runs.metrics import ACCURACY, BITS, EXACT_MATCH, LETTERS_RIGHT, Baseline, Metric, shared_baseline
from lt_lightning.runs.reading import read_run
from lt_lightning.runs.records import Record
from lt_lightning.runs.tasks import TASKS
from lt_lightning.runs.terminal import round_columns, round_header, round_line, round_row
from lt_lightning.runs.winners import best_ticket, smallest_winner

RECORD = Record(3, 0.488, 2622312, 5121704, 10, 0.12345, 0.2, 0.895, 0.3, 0.8912, 123.44, 4.0, 0.25)


@pytest.mark.parametrize(("task", "name", "key", "value"), [
    ("classification", "test accuracy", "acc", 0.8912), ("tagging", "letters right", "acc", 0.8912),
    ("language model", "bits per character", "bits", 2.0), ("sequence to sequence", "exact match", "exact", 0.25),
])  # fmt: skip
def test_a_task_is_judged_by_its_own_metric(task: str, name: str, key: str, value: float) -> None:
    metric = Description.from_json({"task": task}).metric_for()
    assert (metric.name, metric.key, metric.read(RECORD)) == (name, key, value)


@pytest.mark.parametrize("task", [None, "", "poetry", 1, [], {}])
def test_a_run_that_does_not_say_its_task_classifies(task: Any) -> None:
    for description in ({}, {"task": task}):
        found = Description.from_json(description)
        assert (found.task.name, found.metric_for()) == ("classification", ACCURACY)


@pytest.mark.parametrize("perplexity", [None, math.nan, math.inf, 0.0, -1.0])
def test_without_a_perplexity_there_are_no_bits(perplexity: float | None) -> None:
    assert math.isnan(BITS.read(replace(RECORD, test_perplexity=perplexity)))
    assert math.isnan(EXACT_MATCH.read(replace(RECORD, test_exact=None)))


def of_bits(*bits: float) -> list[Record]:
    """Rounds whose accuracy rises from one to the next: it would have the last one win."""
    return [
        replace(RECORD, round=i, alive=500 - 100 * i, total=500, valid_loss=one * math.log(2), test_acc=0.1 * i)
        for i, one in enumerate(bits)
    ]


@pytest.mark.parametrize(("bits", "best", "smallest"), [
    ((2.0,), None, None), ((2.0, 2.1, 2.2), 1, None), ((2.0, 1.5, 2.1, 2.0, 2.5), 1, 3),
    ((2.0, 1.5, 1.5, 2.5), 2, 2), ((math.nan, 1.5), 1, None), ((2.0, math.nan), None, None),
])  # fmt: skip
def test_of_bits_the_fewest_are_best_and_as_few_as_the_full_networks_win(bits, best, smallest):
    rounds = of_bits(*bits)
    assert best_ticket(rounds, BITS) == (None if best is None else rounds[best])
    assert smallest_winner(rounds, BITS) == (None if smallest is None else rounds[smallest])


@pytest.mark.slow
@pytest.mark.parametrize("metric", [task.metric for task in TASKS.values()], ids=list(TASKS))
@given(st.floats(0, 2000), st.floats(0, 1), st.sampled_from([None, math.nan]))
def test_the_table_of_rounds_is_100_wide_and_has_a_column_for_the_metric(metric, bits, exact, nothing):
    for record in (
        replace(RECORD, test_perplexity=2.0 ** min(bits, 1000), test_exact=exact),
        replace(RECORD, test_perplexity=nothing, test_exact=nothing),
    ):
        columns = round_columns(metric)
        row, (headings, rule) = round_row(record, columns), round_header(columns).split("\n")
        assert len(row) == len(headings) == len(rule) == 100
        for column in columns:
            assert row[: headings.index(column.heading) + len(column.heading)].endswith(column.cell(record))
        assert "nan" not in row
        assert metric.show(metric.read(record)) in row
        assert f"  {metric.heading} {metric.show(metric.read(record))}  " in round_line(record, 20, metric)


def test_a_language_models_line_and_columns_tell_its_bits() -> None:
    assert round_line(RECORD, 20, BITS) == (
        "round 3/20  density 51.20 %  alive 2,622,312  epochs 10  train loss 0.1235  valid loss 0.2000  "
        "test loss 0.3000  test acc 89.12 %  test bits 2.000  123.4 s"
    )
    assert round_columns(LETTERS_RIGHT) == round_columns(ACCURACY)
    assert [column.heading for column in round_columns(EXACT_MATCH)][-3:] == ["test acc", "exact", "seconds"]


N_GRAM = {"name": "order-2 n-gram with back-off", "value": 2.95}


def test_the_baseline_is_read_from_the_description() -> None:
    assert Description.from_json({"baseline": N_GRAM}).baseline == Baseline("order-2 n-gram with back-off", 2.95)


@pytest.mark.parametrize("value", [None, "2", True, math.nan, math.inf, [2.0]])
@pytest.mark.parametrize("whole", [False, True])
def test_what_is_no_baseline_is_none(value: Any, whole: bool) -> None:
    assert Baseline.from_json(value if whole else {"name": "n-gram", "value": value}) is None
    assert Baseline.from_json({"value": 2.0}) is None
    assert Description.from_json({}).baseline is None


def test_runs_share_a_baseline_that_is_the_same_within_a_hundredth() -> None:
    def of(*values: float | None) -> Baseline | None:
        return shared_baseline([value and Baseline("n-gram", value) for value in values])

    shared = of(2.9501, 2.9502)
    assert shared is not None
    assert shared.value == pytest.approx(2.95015)
    assert of(2.95, 2.97) is not None  # other seeds draw other rows to learn from
    assert of(2.95, 3.05) is None
    assert of(2.95, None) is None
    assert of(None, None) is None
    assert shared_baseline([Baseline("n-gram", 2.95), Baseline("other", 2.95)]) is None


def test_a_metric_of_two_columns_is_shown_by_every_table(make_run, tmp_path, monkeypatch):
    margin = Metric(
        Column("test margin", "margin", lambda record: record.test_acc - 0.5, is_share=False),
        Column("validation margin", "valid margin", lambda record: record.valid_acc - 0.5, is_share=False),
        names="margins", key="margin", unit="points", figure="margin", bound="is at least",
    )  # fmt: skip
    monkeypatch.setattr(Description, "metric_for", lambda self, records=(): margin)
    run = read_run(make_run(accuracies=(0.8, 0.7), name="runs/0"))
    columns = round_columns(margin)
    shown = [
        dict(zip(re.split("  +", round_header(columns).partition("\n")[0]), text.split("  "), strict=False))
        for text in (re.sub("  +", "  ", round_row(record, columns).strip()) for record in run.records)
    ]
    assert [(row["margin"], row["valid margin"]) for row in shown] == [("0.300", "0.300"), ("0.200", "0.200")]
    assert "margin 0.200" in round_line(run.records[1], 1, margin)
    assert "0.200 & 10.2" in run_latex(run)
    page = render_page(run, [])
    assert "<th>margin</th>" in page
    assert "0.200 test margin" in page.replace('</dd><dd class="about">', " ")
    study = gather([tmp_path / "runs"])
    assert list(rounds_table(study)["test_margin"]) == pytest.approx([0.3, 0.2])
    assert "<th>margin</th>" in render_comparison(study, [], tmp_path)


def test_a_metric_without_a_test_value_has_one_column() -> None:
    valid = Column("validation margin", "valid margin", lambda record: record.valid_acc - 0.5, is_share=False)
    margin = Metric(valid, valid, names="margins", key="margin", unit="points", figure="margin", bound="is at least")
    headings = [column.heading for column in round_columns(margin)]
    assert headings.count("valid margin") == len(set(headings)) - len(headings) + 1 == 1
