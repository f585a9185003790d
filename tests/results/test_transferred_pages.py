"""What is said of runs that began with a ticket: nothing of a full network that they never had."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lt_lightning.export.__main__ import main as export
from lt_lightning.report.comparison.grouping import group_runs
from lt_lightning.report.comparison.report import draw_comparison
from lt_lightning.report.comparison.study import gather
from lt_lightning.report.comparison.tables import groups_table
from lt_lightning.report.run import draw_report
from lt_lightning.runs.notes import transfer_line
from lt_lightning.runs.reading import read_run
from lt_lightning.runs.recorded import Origin, parse

MakeRun = Callable[..., Path]
FALSE = ("full network", "Full network", "winning ticket", "Winning ticket", "winner,")


def origin(seed: int = 0, **changes: Any) -> dict[str, Any]:
    return {
        "file": f"tickets/{seed}.safetensors",
        "seal": f"{seed:064}",
        "corpus": "AG News", "experiment": "study", "run": "0", "round": 4, "rewind": "init", "seed": seed,
        "sparsity": 0.98, "test_acc": 0.9, "weights": "first", "fresh": ["fc.weight", "fc.bias"],
        "words": {"carried": 1234, "living": 5678, "here": 50002}, "alive": 21, "total": 1000, **changes,
    }  # fmt: skip


@pytest.fixture
def transfer(make_run: MakeRun) -> MakeRun:
    def transfer(rounds: int = 1, seed: int = 0, rewind: str = "init", file: str = "", **about: Any) -> Path:
        settings = {"pruning.rewind": rewind, "pruning.ticket": file or f"tickets/{seed}.safetensors"}
        name = f"runs/{rewind}-{seed}-{file.replace('/', '_')}-{rounds}"
        changes = {"ticket": origin(seed, **about)}
        return make_run(rounds, name=name, seed=seed, settings=settings, changes=changes, confusion=True)

    return transfer


@pytest.mark.parametrize("rounds", [1, 4])
def test_the_page_of_a_run_says_what_it_began_with(transfer: MakeRun, rounds: int) -> None:
    page = draw_report(transfer(rounds)).read_text(encoding="utf-8")
    assert [word for word in FALSE if word in page] == []
    assert "given ticket" in page
    assert "The run began with a ticket of AG News, round 4." in page
    line = "1,234 of its 5,678 living words are words here (of 50,002); the first weights of its run; fc.* drawn afresh"
    assert f"ticket of AG News, round 4: {line}; 2.10 % alive" in page
    assert ("smallest as good" in page) == (rounds > 1)


def test_what_does_not_carry_over_is_named_as_it_is() -> None:
    vectors = origin(fresh=["embedding.weight"], carried=["convs.0.weight", "convs.0.bias", "fc.weight", "fc.bias"])
    assert transfer_line(parse(Origin, vectors)) == (
        "ticket of AG News, round 4: the first weights of its run; embedding.* drawn afresh; 2.10 % alive"
    )
    biases = origin(fresh=["convs.0.bias", "fc.bias"], carried=["embedding.weight", "convs.0.weight", "fc.weight"])
    assert "; convs.0.bias, fc.bias drawn afresh; " in transfer_line(parse(Origin, biases))


@pytest.mark.slow
@pytest.mark.parametrize("rounds", [1, 3])
def test_a_comparison_of_transfers_says_nothing_of_full_networks(transfer: MakeRun, rounds: int) -> None:
    for seed in (0, 1):
        for rewind in ("init", "random"):
            folder = transfer(rounds, seed, rewind).parent
    study = gather([folder])
    assert [(group.label, group.seeds) for group in study.groups] == [
        ("rewind init", ("0", "1")),
        ("rewind random", ("0", "1")),
    ]
    assert study.left_out == ()
    assert [pair.label for pair in study.pairs] == ["rewind init − random"]
    page = draw_comparison([folder], folder.parent / "page")[0].read_text(encoding="utf-8")
    assert [word for word in FALSE if word in page] == []
    assert "given tickets" in page


def test_beside_runs_of_full_networks_round_nought_is_called_what_it_is(transfer: MakeRun, make_run: MakeRun) -> None:
    folder = transfer(1).parent
    make_run(3, name="runs/whole", seed=0, settings={"pruning.ticket": None})
    study = gather([folder])
    assert study.words.fulls == "networks of round 0"
    assert list(groups_table(study)["group"]) == ["ticket none", "ticket round 4 of AG News, 2.00 % (study, init)"]


def test_where_a_ticket_lies_makes_no_other_group_but_what_it_was_found_on_does(transfer: MakeRun) -> None:
    runs = [read_run(transfer(1, seed)) for seed in (0, 1, 2)]
    assert [group.seeds for group in group_runs(runs)[0]] == [("0", "1", "2")]
    others = [read_run(transfer(1, seed, file=f"b/{seed}", round=2, seal=f"b{seed}")) for seed in (0, 1)]
    groups, left_out = group_runs([*runs, *others])
    assert {group.label: group.seeds for group in groups} == {
        "ticket round 2 of AG News, 2.00 % (study, init)": ("0", "1"),
        "ticket round 4 of AG News, 2.00 % (study, init)": ("0", "1", "2"),
    }
    assert left_out == []


def test_several_tickets_for_one_seed_are_told_apart_by_their_files(transfer: MakeRun) -> None:
    runs = [read_run(transfer(1, 7, file=f"t/{number}", seal=str(number))) for number in (1, 2)]
    groups, left_out = group_runs(runs)
    assert [(group.label, group.seeds) for group in groups] == [
        ("ticket t/1: round 4 of AG News, 2.00 % (study, init)", ("7",)),
        ("ticket t/2: round 4 of AG News, 2.00 % (study, init)", ("7",)),
    ]
    assert left_out == []


def test_a_seed_with_two_tickets_leaves_other_groups_whole(transfer: MakeRun) -> None:
    twice = [read_run(transfer(1, 7, file=f"t/{number}", seal=str(number))) for number in (1, 2)]
    others = [read_run(transfer(1, seed, file=f"b/{seed}", round=2, seal=f"b{seed}")) for seed in (0, 1)]
    assert [group.seeds for group in group_runs([*twice, *others])[0]] == [("0", "1"), ("7",), ("7",)]


def test_tickets_of_another_density_are_another_group(transfer: MakeRun) -> None:
    runs = [read_run(transfer(1, seed, sparsity=0.5 + 0.1 * seed)) for seed in (0, 1)]
    labels = [group.label for group in group_runs(runs)[0]]
    assert labels == [f"ticket round 4 of AG News, {density} % (study, init)" for density in ("40.00", "50.00")]


def test_one_ticket_for_all_seeds_is_one_group(transfer: MakeRun) -> None:
    runs = [read_run(transfer(1, seed, file="t/same", seal="s")) for seed in (0, 1)]
    assert [group.seeds for group in group_runs(runs)[0]] == [("0", "1")]


def test_export_names_no_winner_where_no_full_network_is_known(transfer, capsys):
    run = transfer(4)
    assert export([str(run), "--smallest-winning"]) == 2
    said = capsys.readouterr().err
    assert said == (
        f"--smallest-winning: {run} began with a ticket, so the whole network's result is unknown; give --round "
        "or --max-sparsity\n"
    )
