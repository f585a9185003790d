"""The statistics of the committed studies are those that an independent check found."""

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
from pandas import DataFrame
from scipy import stats

from lt_lightning.report.comparison.study import Study, gather
from lt_lightning.report.comparison.tables import (
    against_full_table,
    areas_table,
    groups_table,
    paired_table,
    rounds_table,
)
from lt_lightning.report.testing import holm
from lt_lightning.runs.csv_files import read_records
from lt_lightning.runs.records import Record

RESULTS = Path(__file__).parents[2] / "docs/results"


@cache
def study(name: str) -> Study:
    return gather([RESULTS / name])


@cache
def table(make: Callable[[Study], DataFrame], name: str) -> DataFrame:
    return make(study(name))


def row(make: Callable[[Study], DataFrame], name: str, **values: object) -> dict[str, object]:
    (found,) = [one for one in table(make, name).to_dict("records") if all(one[key] == values[key] for key in values)]
    return {str(key): value for key, value in found.items()}


def points(found: dict[str, object], name: str = "difference_acc") -> list[float]:
    return [round(100 * float(str(found[f"{name}{end}"])), 2) for end in ("", "_low", "_high")]


def test_of_48_tests_15_are_below_5_per_cent_and_6_survive_holm_all_on_pydocs() -> None:
    names = ("agnews", "imdb", "pydocs", "lstm")
    found = [(name, one) for name in names for one in table(paired_table, name)["p"] if one is not None]
    adjusted = [one for one in holm([p for _, p in found]) if one is not None]
    assert len(found) == 48
    assert sum(p < 0.05 for _, p in found) == 15
    assert [name for (name, _), p in zip(found, adjusted, strict=True) if p < 0.05] == ["pydocs"] * 6


def test_the_family_is_a_comparisons_own_table() -> None:
    # With the 18 tests of PyDocs alone, the same 6 survive.
    for name, size, survivors in (("agnews", 12, 0), ("imdb", 12, 0), ("pydocs", 18, 6), ("lstm", 6, 0)):
        ps = [p for p in table(paired_table, name)["p_holm"] if p is not None]
        assert (len(ps), sum(p < 0.05 for p in ps)) == (size, survivors)
    control = row(paired_table, "agnews", pair="rewind init − random", round=3)
    assert control["p_holm"] == pytest.approx(0.11, abs=0.005)
    assert control["verdict"] == "second better, not after Holm's correction"
    late = row(paired_table, "lstm", pair="rewind last − init", round=1)
    assert late["p_holm"] == pytest.approx(0.13, abs=0.005)
    assert late["verdict"] == "first better, not after Holm's correction"


def test_tickets_are_paired_with_the_full_networks_of_their_seeds() -> None:
    tenth = row(against_full_table, "agnews", group="rewind init", round=2)
    assert points(tenth) == [-0.10, -0.28, 0.08]
    assert tenth["verdict"] == "equivalent within 0.5"
    third = row(against_full_table, "imdb", group="rewind init", round=1)
    assert points(third) == [-0.31, -1.68, 1.06]
    assert third["verdict"] == "undecided"


def test_each_seed_has_a_winner_that_its_validation_part_chose() -> None:
    for rewind, gain in (("init", 0.17), ("last", -0.14)):
        found = row(groups_table, "pydocs", group=f"rewind {rewind}")
        assert (found["winners"], points(found, "difference_winners_acc")[0]) == ("5 of 5", gain)


def test_collapse_is_counted_by_seed() -> None:
    found = {
        rewind: row(rounds_table, "agnews", group=f"rewind {rewind}", round=4) for rewind in ("init", "last", "random")
    }
    # 0.296 0.659 0.312, 0.840 0.601 0.250 and 0.674 0.848 0.858, of full networks of 0.89 and a chance of 0.25.
    assert [one["collapsed"] for one in found.values()] == ["2 of 3", "1 of 3", "0 of 3"]
    assert found["init"]["test_acc_median"] == pytest.approx(0.312, abs=5e-4)
    assert set(table(rounds_table, "agnews")["collapsed"]) == {"0 of 3", "1 of 3", "2 of 3"}


def test_areas_are_the_trapezoids_of_each_seed() -> None:
    # PyDocs halves its weights 6 times: equal steps, so that the ends count half.
    def area(rewind: str, seed: int) -> float:
        values = [one.test_acc for one in read_records(RESULTS / f"pydocs/{rewind}_{seed}/results.csv", Record)]
        return (values[0] / 2 + sum(values[1:-1]) + values[-1] / 2) / 6

    own = {rewind: [area(rewind, seed) for seed in range(5)] for rewind in ("init", "last", "random")}
    for rewind, values in own.items():
        found = row(areas_table, "pydocs", group=f"rewind {rewind}")
        assert found["area_acc"] == pytest.approx(sum(values) / 5, abs=2e-6)
        assert found["densities"] == 7
    ps = {}
    for first, second in (("init", "random"), ("last", "random"), ("last", "init")):
        found = row(areas_table, "pydocs", pair=f"rewind {first} − {second}")
        ps[found["p_holm"]] = stats.ttest_rel(own[first], own[second]).pvalue
        assert found["p"] == pytest.approx(ps[found["p_holm"]], rel=1e-3)
    assert [*ps] == pytest.approx(holm([*ps.values()]), rel=1e-3)
