"""Runs of one round each, which differ in their density, are compared as one curve."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lt_lightning.report.__main__ import main
from lt_lightning.report.comparison.comparison import full_networks
from lt_lightning.report.comparison.pairing import same_start
from lt_lightning.report.comparison.study import gather
from lt_lightning.report.comparison.tables import densities_table, runs_table
from lt_lightning.runs.branch import Branch
from lt_lightning.runs.csv_files import read_records, write_records
from lt_lightning.runs.reading import read_run
from lt_lightning.runs.records import LayerRecord, Record

MakeRun = Callable[..., Path]
ACCURACY = {0.64: 0.75, 0.4096: 0.7}
"""Those of rounds 2 and 4 of the runs that `make_run` writes."""


@pytest.fixture
def make_single(make_run: MakeRun) -> MakeRun:
    """Writes a run of one round at a density: `make_single(schedule, density, seed, settings)`."""

    def make(schedule: str, density: float, seed: int = 7, **settings: Any) -> Path:
        settings = {f"pruning.{key}": value for key, value in settings.items()}
        run = make_run(
            1, name=f"{schedule}_{'_'.join(map(str, settings.values()))}/{density}_{seed}", seed=seed, confusion=True,
            accuracies=(ACCURACY[density] + seed / 1000,),
            settings={"pruning.schedule": schedule, "pruning.density": density, **settings},
        )  # fmt: skip
        for table, kind in {"results": Record, "layers": LayerRecord}.items():
            rows: list[Any] = []
            for row in read_records(run / f"{table}.csv", kind):
                alive = round(density * row.total)
                rows.append(replace(row, alive=alive, **({"sparsity": 1 - density} if kind is Record else {})))
            write_records(run / f"{table}.csv", rows)
        return run

    return make


def test_densities_make_a_curve_that_begins_at_the_full_network_of_the_same_seed(make_run, make_single):
    trunks = [make_run(5, name=f"imp_{seed}", seed=seed, confusion=True) for seed in (1, 2)]
    singles = [make_single("gradual", density, seed) for density in ACCURACY for seed in (1, 2)]
    study = gather([*singles, *trunks])
    assert study.left_out == ()
    assert [(group.label, group.seeds) for group in study.groups] == [
        ("schedule rounds", ("1", "2")), ("schedule gradual", ("1", "2")),
    ]  # fmt: skip
    points = study.curves["schedule gradual"]
    assert [(round(point.density, 2), point.is_own) for point in points] == [(1, False), (0.64, True), (0.41, True)]
    assert [point.test.mean for point in points] == pytest.approx([0.80, 0.7515, 0.7015])
    assert same_start(study.groups)
    assert (full_networks(study.groups).mean, full_networks(study.groups).n) == (0.80, 2)
    assert study.words.fulls == "full networks"
    (pair,) = study.pairs
    assert pair.label == "schedule rounds − schedule gradual"
    assert [one.value.mean for one in pair.differences] == pytest.approx([0.79 - 0.7515, 0.60 - 0.7015])
    assert [row["density"] for _, row in densities_table(study).iterrows()] == pytest.approx([0.64, 0.4096], rel=0.01)
    table = runs_table(study, Path())
    assert len(table) == len(study.runs) == 6
    assert table["full_acc"].tolist() == [0.80] * 6
    assert table["last_acc"].tolist() == pytest.approx([0.60, 0.60, 0.751, 0.701, 0.752, 0.702])


def test_means_are_of_one_density_where_a_seed_lacks_some(make_single):
    runs = [make_single("gradual", density, seed) for density, seed in ((0.64, 1), (0.4096, 1), (0.4096, 2))]
    (points,) = gather(runs).curves.values()
    assert [(round(point.density, 2), point.test.n) for point in points] == [(0.64, 1), (0.41, 2)]


def test_branches_of_runs_of_one_round_are_paired_with_their_trunks(make_run, make_single):
    full = make_run(5, name="imp")
    trunks = [make_single("at_init", density, criterion="snip") for density in ACCURACY]
    branches = []
    for trunk in trunks:
        record = replace(read_records(trunk / "results.csv", Record)[0], test_acc=0.5)
        branch = Branch(str(trunk), (0,), ("0" * 64,), "init", read_run(trunk).records[0])
        run = make_run(
            1,
            name=f"branches/{trunk.name}",
            settings={"pruning.schedule": "rounds"},
            changes={"branch": branch.to_json()},
        )
        write_records(run / "results.csv", [record])
        branches.append(run)
    study = gather([*trunks, *branches])
    assert study.left_out == ()
    assert [group.label for group in study.groups] == ["branch no", "branch yes"]
    (pair,) = study.pairs
    assert [one.value.mean for one in pair.differences] == pytest.approx([0.757 - 0.5, 0.707 - 0.5])
    study = gather([full, *trunks, *branches])
    assert study.left_out == ()
    assert "schedule rounds" in study.groups[0].label
    assert len([pair for pair in study.pairs if "branch yes" in pair.label]) == 1


def test_settings_that_a_schedule_does_not_read_make_no_group(make_single):
    runs = [
        make_single("set", 0.64, amount=0.2, criterion="magnitude", drop_fraction=0.3),
        make_single("set", 0.4096, amount=0.5, criterion="random", drop_fraction=0.3),
        make_single("at_init", 0.64, criterion="snip", scope="global"),
        make_single("at_init", 0.64, criterion="synflow", scope="global", iterations=100),
    ]
    study = gather(runs)
    assert [group.label for group in study.groups] == [
        "schedule at_init, criterion snip", "schedule at_init, criterion synflow", "schedule set",
    ]  # fmt: skip
    assert study.words.full == "pruned network"
    assert not any(group.is_branch for group in study.groups)
    assert [len(points) for points in study.curves.values()] == [1, 1, 2]


def test_a_density_that_comes_again_is_left_out_by_name(make_single):
    runs = [make_single("rigl", 0.64, every=every) for every in (10, 20)]
    assert [group.label for group in gather(runs).groups] == ["every 10", "every 20"]
    again = runs[0].rename(runs[0].parent / "again")
    copied = make_single("rigl", 0.64, every=10)
    (line,) = gather([again, copied]).left_out
    assert "seed 7 again" in line


def test_full_networks_of_other_settings_or_seeds_are_not_compared_with(make_run, make_single):
    others = [
        make_run(5, name="longer", settings={"trainer.max_epochs": 9}),
        make_run(5, name="other_seed", seed=8),
        make_run(5, name="pruned_before", changes={"ticket": {"sparsity": 0.5}}),
    ]
    study = gather([make_single("gradual", 0.64), *others])
    [gradual] = [group for group in study.groups if "gradual" in group.label]
    assert not gradual.is_branch
    assert not same_start(study.groups)


@pytest.mark.slow
def test_pages_show_no_full_network_where_there_is_none(make_single, tmp_path, capsys):
    one, other = (make_single("gradual", density) for density in ACCURACY)
    main([str(one)])
    page = (one / "report.html").read_text(encoding="utf-8")
    assert "Pruned network" in page
    assert "full network" not in page.lower().replace("trains the full network", "")
    main([str(one), str(other), "--output", str(tmp_path / "both")])
    page = (tmp_path / "both/report.html").read_text(encoding="utf-8")
    assert "full network" not in page.lower()
    assert all(line.startswith("note: ") for line in capsys.readouterr().err.splitlines())
