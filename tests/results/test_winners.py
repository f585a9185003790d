"""Winners are chosen on the validation part and reported with the test part, by the run's metric."""

import csv
import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from lt_lightning.config.enums import METRIC_MODES
from lt_lightning.errors import SettingError
from lt_lightning.export.__main__ import choose_round
from lt_lightning.report.__main__ import main as report
from lt_lightning.report.comparison.comparison import best_point, curve, winning_point
from lt_lightning.report.comparison.study import gather
from lt_lightning.runs.description import Description
from lt_lightning.runs.reading import Run, read_run
from lt_lightning.runs.records import Record
from lt_lightning.runs.rounds import ticket_path
from lt_lightning.runs.tasks import TASKS
from lt_lightning.runs.winners import best_ticket, drop_tickets, kept_rounds, smallest_winner, telling_rounds


def with_accuracies(make_run: Callable[..., Path], *accuracies: float) -> Run:
    """A run of these accuracies, on both parts, which are kept in single precision as Lightning has them."""
    return read_run(make_run(accuracies=[float(np.float32(accuracy)) for accuracy in accuracies]))


@pytest.mark.parametrize(
    ("within", "expected"), [(0.0, None), (0.09, None), (0.1, 1), (0.19, 1), (0.2, 2), (1, 2), (20, 3), (100, 4)]
)
def test_a_margin_lets_the_smallest_winner_be_that_much_worse(within, expected, make_run):
    run = with_accuracies(make_run, 0.9, 0.899, 0.898, 0.7, 0.1)
    if expected is None:
        with pytest.raises(SettingError, match="no ticket"):
            choose_round(run, None, None, smallest=True, within=within)
    else:
        assert choose_round(run, None, None, smallest=True, within=within).round == expected


@pytest.mark.parametrize(
    ("accuracies", "nearest"),
    [((0.9, 0.899, 0.898), 1), ((0.8267, 0.8250, 0.8252, 0.7), 2), ((0.9, 0.89961, 0.8996, 0.5), 1), ((0.98, 0.2), 1)],
)
def test_the_margin_that_is_named_takes_the_nearest_ticket(accuracies, nearest, make_run):
    run = with_accuracies(make_run, *accuracies)
    with pytest.raises(SettingError, match=rf"round {nearest}'s, has .* with .* alive: give --within ") as caught:
        choose_round(run, None, None, smallest=True)
    margin = re.findall(r"--within ([0-9.]+)", str(caught.value))[0]
    assert choose_round(run, None, None, smallest=True, within=float(margin)).round == nearest


# By the test part rounds 1 and 2 would win, and round 2 be the best.
TEST, VALID = (0.80, 0.85, 0.90, 0.60, 0.70), (0.70, 0.75, 0.65, 0.71, 0.60)


def words_of(page: Path) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<style>.*?</style>|<[^>]*>", " ", page.read_text(), flags=re.DOTALL))


def test_the_validation_part_chooses_and_the_test_part_reports(make_run, capsys):
    folder = make_run(accuracies=TEST, valid=VALID)
    run = read_run(folder)
    assert (best_ticket(run.records), smallest_winner(run.records)) == (run.records[1], run.records[3])
    assert list(telling_rounds(run.records)) == [0, 3]
    assert choose_round(run, None, None, smallest=True).round == 3
    assert choose_round(run, None, None, smallest=True, within=5).round == 3
    assert choose_round(run, None, None, smallest=True, within=10).round == 4
    assert report([str(folder)]) == 0
    said = words_of(folder / "report.html")
    assert "Best ticket 85.00 % test accuracy in round 1" in said
    assert "60.00 % test accuracy in round 3" in said
    assert "whose validation accuracy is at least the full network" in said
    assert "chosen by validation accuracy and reported by test accuracy" in said


def test_tickets_that_win_on_the_validation_part_are_kept(make_run):
    run = read_run(make_run(accuracies=TEST, valid=VALID))
    ticket_path(run.folder, 0).parent.mkdir()
    for record in run.records:
        ticket_path(run.folder, record.round).touch()
    drop_tickets(run.folder, run.records, run.full, "winners", run.metric)
    assert kept_rounds(run.folder) == [1, 3, 4]


@pytest.mark.slow
def test_a_comparison_chooses_by_the_mean_of_the_validation_part(make_run, tmp_path):
    for seed in (0, 1):
        make_run(name=f"runs/{seed}", seed=seed, accuracies=TEST, valid=[one + 0.01 * seed for one in VALID])
    (group,) = gather([tmp_path / "runs"]).groups
    best, winner = best_point(curve(group)), winning_point(curve(group))
    assert best and winner
    assert (best.round, winner.round) == (1, 3)
    assert report([str(tmp_path / "runs")]) == 0
    (row,) = csv.DictReader((tmp_path / "runs/comparison/groups.csv").read_text().splitlines())
    assert (row["best_round"], row["winner_round"]) == ("1", "3")
    assert [float(row[f"{name}_acc"]) for name in ("best", "winner")] == pytest.approx([0.85, 0.60])


F1 = ((0.60, 0.50), (0.55, 0.70), (0.60, 0.40), (0.50, 0.80), (0.62, 0.30))


@pytest.mark.parametrize("name", ["test_f1", "valid_f1"])
def test_macro_f1_judges_a_run_that_asks_for_it(make_run, name):
    folder = make_run(accuracies=TEST, valid=VALID, f1=F1, settings={"metric": name})
    run = read_run(folder)
    assert smallest_winner(run.records, run.metric) == best_ticket(run.records, run.metric) == run.records[4]
    assert report([str(folder)]) == 0
    said = words_of(folder / "report.html")
    for words in ("Full network 50.00 % test macro F1", "30.00 % test macro F1 in round 4", "valid f1", "test f1"):
        assert words in said
    assert (folder / "figures/f1.svg").exists()


def test_a_run_without_macro_f1_is_judged_by_accuracy_and_its_page_says_so(make_run):
    folder = make_run(accuracies=TEST, valid=VALID, settings={"metric": "test_f1"})
    run = read_run(folder)
    assert (run.metric.name, smallest_winner(run.records, run.metric)) == ("test accuracy", run.records[3])
    assert report([str(folder)]) == 0
    assert "The run has no test macro F1 on record, so test accuracy is reported." in words_of(folder / "report.html")


def test_exact_matches_are_chosen_by_letters_right_and_the_page_says_so(make_run):
    exact = (0.5, 0.6, 0.4, 0.5, 0.1)
    folder = make_run(changes={"task": "sequence to sequence"}, exact=exact, valid=VALID)
    run = read_run(folder)
    assert smallest_winner(run.records, run.metric) == run.records[3]
    assert report([str(folder)]) == 0
    said = words_of(folder / "report.html")
    assert "Exact match is not measured on the validation part." in said
    assert "50.00 % exact match in round 3" in said
    assert "valid acc" in said


def test_without_validation_no_ticket_wins(make_run):
    folder = make_run(valid=[float("nan")] * 5)
    run = read_run(folder)
    assert smallest_winner(run.records, run.metric) is best_ticket(run.records, run.metric) is None
    assert report([str(folder)]) == 0
    assert "Round 0 has no validation numbers, so no winning ticket can be chosen." in words_of(folder / "report.html")
    with pytest.raises(SettingError, match="give --round or --max-sparsity"):
        choose_round(run, None, None, smallest=True)


def test_runs_that_are_judged_by_other_numbers_are_not_compared(make_run, tmp_path):
    for name, metric in (("a", None), ("b", "test_acc"), ("c", "test_f1")):
        make_run(name=f"runs/{name}", seed=ord(name), f1=F1, settings={"metric": metric})
    study = gather([tmp_path / "runs"])
    assert [run.folder.name for run in study.runs] == ["a", "b"]
    assert "metric is test macro F1, but test accuracy" in study.left_out[0]


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("name", METRIC_MODES)
def test_both_parts_of_a_metric_have_the_direction_that_the_settings_know(task, name):
    metric = Description.from_json({"task": task, "config": {"metric": name}}).metric_for()
    assert metric.test.better == metric.valid.better == METRIC_MODES[name]
    assert metric.test.is_share == metric.valid.is_share
    assert metric.gain(1, 0) == (1 if METRIC_MODES[name] == "max" else -1)
    value = 0.25
    record = Record(
        1,
        0.5,
        5,
        10,
        1,
        0.1,
        value,
        value,
        value,
        value,
        1.0,
        2.0,
        value,
        None,
        value,
        value,
        logged={name: value},
    )
    assert metric.read(record) == (1.0 if name == "test_perplexity" and task != "custom" else value)
    assert json.dumps(metric.judge(record))
