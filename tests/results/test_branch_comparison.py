"""Reports of branches: density by density beside their trunks, and compared with the full network of these."""

import csv
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from lt_lightning.export.__main__ import choose_round
from lt_lightning.report.__main__ import main
from lt_lightning.report.comparison.areas import areas
from lt_lightning.report.comparison.comparison import curve, full_networks, shared_densities, winning_point
from lt_lightning.report.comparison.pairing import same_start
from lt_lightning.report.comparison.study import gather
from lt_lightning.report.comparison.tables import densities_table
from lt_lightning.report.run_page import shown_rounds
from lt_lightning.runs.branch import Branch
from lt_lightning.runs.csv_files import read_records, write_records
from lt_lightning.runs.reading import read_run
from lt_lightning.runs.records import ConfusionRecord, EpochRecord, LayerRecord, Record
from lt_lightning.runs.table import load_runs
from lt_lightning.runs.winners import smallest_winner

TRUNK = (0.80, 0.85, 0.79, 0.80, 0.60)
SHUFFLED = (0.0, 0.0, 0.70, 0.0, 0.40)

MakeBranch = Callable[..., Path]


@pytest.fixture
def make_branch(make_run: Callable[..., Path]) -> MakeBranch:
    """Writes a branch of a run: `make_branch(trunk, name, accuracies, rounds, settings)`; others as for `make_run`."""

    def make_branch(
        trunk: Path,
        name: str = "branch",
        accuracies: Sequence[float] = SHUFFLED,
        rounds: Sequence[int] = (2, 4),
        settings: dict[str, Any] | None = None,
        seed: int = 7,
    ) -> Path:
        settings = {"pruning.mask": "shuffle"} if settings is None else settings
        full = read_run(trunk).records[0]
        branch = Branch(str(trunk), tuple(rounds), tuple("0" * 64 for _ in rounds), "init", full)
        run = make_run(
            name=name, accuracies=accuracies, confusion=True, settings=settings, seed=seed,
            changes={"branch": branch.to_json()},
        )  # fmt: skip
        for table, kind in {
            "results": Record, "layers": LayerRecord, "epochs": EpochRecord, "confusion": ConfusionRecord,
        }.items():  # fmt: skip
            path = run / f"{table}.csv"
            write_records(path, [row for row in read_records(path, kind) if row.round in rounds])
        return run

    return make_branch


def make_trunk(make_run: Callable[..., Path], name: str = "trunk", seed: int = 7, shift: float = 0.0) -> Path:
    values = [one + shift for one in TRUNK]
    run = make_run(name=name, accuracies=values, confusion=True, settings={"pruning.mask": "pruned"}, seed=seed)
    # Of two runs the durations differ.
    records = [Record(**{**vars(one), "seconds": 10 + seed}) for one in read_records(run / "results.csv", Record)]
    write_records(run / "results.csv", records)
    return run


def test_arms_are_told_apart_by_the_setting_that_differs(make_run, make_branch):
    trunk = make_trunk(make_run)
    study = gather([trunk, make_branch(trunk)])
    assert [group.label for group in study.groups] == ["mask pruned", "mask shuffle"]
    assert same_start(study.groups)
    assert (full_networks(study.groups).mean, full_networks(study.groups).n) == (0.80, 1)
    points = curve(study.groups[1])
    assert [(point.round, point.is_own) for point in points] == [(0, False), (2, True), (4, True)]
    (pair,) = study.pairs
    assert pair.label == "mask pruned − shuffle"
    assert [one.round for one in pair.differences] == [2, 4]
    assert [one.value.mean for one in pair.differences] == pytest.approx([0.79 - 0.70, 0.60 - 0.40])
    # Its tickets are compared with its trunk's full network, and its area begins there.
    assert [one.value.mean for one in study.full["mask shuffle"]] == pytest.approx([0.70 - 0.80, 0.40 - 0.80])
    found = areas(study)
    assert found is not None
    assert found.densities == pytest.approx([1, 0.64, 0.41], abs=0.01)
    assert found.groups["mask shuffle"]["7"] == pytest.approx((0.75 + 0.55) / 2, abs=2e-3)
    assert found.pairs[pair.label] == pytest.approx([(0.045 + 0.145) / 2], abs=2e-3)


@pytest.mark.slow
def test_densities_stand_side_by_side_with_the_intervals_of_the_seeds(make_run, make_branch, tmp_path):
    for seed in (0, 1):
        trunk = make_trunk(make_run, f"runs/trunk_{seed}", seed, 0.02 * seed)
        make_branch(trunk, f"runs/branch_{seed}", [one + 0.02 * seed for one in SHUFFLED], seed=seed)
    study = gather([tmp_path / "runs"])
    assert [list(points) for points in shared_densities(study.curves)] == [["mask pruned", "mask shuffle"]] * 2
    table = densities_table(study)
    assert list(table["round"]) == [2, 4]
    assert list(table["n"]) == [2, 2]
    assert list(table["mask pruned_acc"]) == pytest.approx([0.80, 0.61])
    assert list(table["mask shuffle_acc"]) == pytest.approx([0.71, 0.41])
    difference = "difference: mask pruned − shuffle_acc"
    assert list(table[difference]) == pytest.approx([0.09, 0.20])
    half = 12.706 * 0.01  # Student's t with one degree of freedom, of two values 0.02 apart
    assert table["mask shuffle_acc_high"][0] - table["mask shuffle_acc"][0] == pytest.approx(half, rel=1e-3)
    assert table[f"{difference}_high"][0] == pytest.approx(0.09)  # both seeds differ by the same
    assert main([str(tmp_path / "runs")]) == 0
    (row, _) = csv.DictReader((tmp_path / "runs/comparison/densities.csv").read_text().splitlines())
    assert float(row["mask shuffle_acc"]) == pytest.approx(0.71)
    page = (tmp_path / "runs/report.html").read_text()
    assert "By density" in page
    assert "71.00 ± 12.71 %" in page


def test_a_branch_with_the_settings_of_its_trunk_is_another_arm(make_run, make_branch):
    trunk = make_trunk(make_run)
    again = make_branch(trunk, "again", [one - 0.04 for one in TRUNK], (0, 1, 2), {"pruning.mask": "pruned"})
    study = gather([again, trunk])
    assert study.left_out == ()
    assert [group.label for group in study.groups] == ["branch no", "branch yes"]
    (pair,) = study.pairs
    assert pair.label == "branch no − branch yes"
    assert [(one.round, one.density) for one in pair.differences][:2] == [(0, 1.0), (1, pytest.approx(0.8, abs=0.01))]
    assert [one.value.mean for one in pair.differences] == pytest.approx([0.04] * 3)
    own = curve(study.groups[1])
    assert [(point.round, point.is_own) for point in own] == [(0, False), (0, True), (1, True), (2, True)]
    winner = winning_point(own)
    assert winner is not None
    assert winner.round == 1  # the network that was trained again is no ticket


def test_orders_of_one_trunk_count_once_against_it(make_run, make_branch):
    trunk = make_trunk(make_run)
    settings = {"pruning.mask": "pruned"}
    runs = [
        make_branch(trunk, f"order_{order}", [0.7 + 0.1 * order] * 5, (2,), {**settings, "seed_order": order})
        for order in (1, 2)
    ]
    study = gather([trunk, *runs])
    assert [group.seeds for group in study.groups] == [("7",), ("7, order 1", "7, order 2")]
    (pair,) = study.pairs
    assert [(one.value.mean, one.value.n) for one in pair.differences] == [(pytest.approx(0.79 - 0.85), 1)]
    (full,) = study.full[study.groups[1].label]
    assert (full.value.mean, full.tested) == (pytest.approx(0.85 - 0.80), (pytest.approx(0.05),))


def test_other_training_is_compared_with_the_trunk(make_run, make_branch):
    trunk = make_trunk(make_run)
    fast = make_branch(trunk, "fast", settings={"pruning.mask": "pruned", "optimizer.lr": 0.1})
    study = gather([fast, trunk])
    assert [pair.label for pair in study.pairs] == ["lr 0.001 − lr 0.1"]
    assert same_start(study.groups)
    stranger = make_trunk(make_run, "stranger", seed=8)
    assert not same_start(gather([fast, stranger]).groups)


def test_winners_of_a_branch_are_as_good_as_the_trunks_full_network(make_run, make_branch):
    trunk = make_trunk(make_run)
    run = read_run(make_branch(trunk, accuracies=(0.0, 0.0, 0.81, 0.0, 0.80)))
    winner = smallest_winner(run.compared, run.metric)
    assert winner is not None
    assert winner.round == 4
    assert choose_round(run, None, None, smallest=True).round == 4
    assert choose_round(run, 2, None, smallest=False).round == 2
    with pytest.raises(Exception, match=r"--round: .* has no round 0; give one from 2, 4"):
        choose_round(run, 0, None, smallest=False)
    assert shown_rounds(run) == {4: "smallest winning ticket"}
    loser = read_run(make_branch(trunk, "loser"))
    assert smallest_winner(loser.compared, loser.metric) is None


def test_the_page_of_a_branch_says_what_it_is(make_run, make_branch):
    trunk = make_trunk(make_run)
    run = make_branch(trunk)
    assert main([str(run)]) == 0
    page = (run / "report.html").read_text()
    assert "A branch: the tickets of rounds 2, 4 of " in page
    assert "mask shuffle, rewind init" in page
    assert "round 4 (2 of 2)" in page
    assert "80.00 %, as the trunk of this branch measured it" in page
    rows = load_runs(run)
    assert list(rows["round"]) == [2, 4]


@pytest.mark.slow
def test_one_branch_alone_is_compared_with_its_trunks_full_network(make_run, make_branch, tmp_path):
    trunk = make_trunk(make_run)
    make_branch(trunk, "runs/a")
    make_branch(trunk, "runs/b", [0, 0, 0.5, 0, 0.3], settings={"pruning.mask": "random"})
    assert main([str(tmp_path / "runs")]) == 0
    (first, second) = csv.DictReader((tmp_path / "runs/comparison/groups.csv").read_text().splitlines())
    assert (first["full_acc"], second["full_acc"]) == ("0.8", "0.8")
    assert [row["n"] for row in csv.DictReader((tmp_path / "runs/comparison/densities.csv").read_text().splitlines())]
    runs = (tmp_path / "runs/runs.csv").read_text()
    assert json.dumps("full")[1:-1] in runs


def test_shuffled_weights_are_a_control(make_run, make_branch):
    trunk = make_trunk(make_run)
    runs = [
        make_branch(trunk, one, settings={"pruning.mask": "pruned", "pruning.rewind": one})
        for one in ("shuffle", "random")
    ]
    assert [pair.label for pair in gather([trunk, *runs]).pairs] == ["rewind init − shuffle", "rewind init − random"]
