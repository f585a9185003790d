"""Runs are found, grouped by the settings that differ, and read as one table."""

import csv
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lt_lightning.errors import SettingError
from lt_lightning.report.comparison.grouping import comparable, group_runs
from lt_lightning.runs import load_runs
from lt_lightning.runs.reading import Run, find_runs, read_run

MakeRun = Callable[..., Path]


def runs_of(make_run: MakeRun, *settings: dict[str, Any], seeds: tuple[int, ...] = (0,)) -> list[Run]:
    return [
        read_run(make_run(1, name=f"{position}-{seed}", seed=seed, settings=values))
        for position, values in enumerate(settings)
        for seed in seeds
    ]


def labels(runs: list[Run]) -> list[str]:
    return [group.label for group in group_runs(runs)[0]]


def test_runs_are_found_however_deep_in_the_order_of_their_numbers(make_run: MakeRun, tmp_path: Path) -> None:
    for name in ("sweep/10", "sweep/9", "alone", "deep/er/2", "deep/er/1"):
        make_run(1, name=name)
    found = [str(run.relative_to(tmp_path)) for run in find_runs(tmp_path)]
    assert found == ["alone", "deep/er/1", "deep/er/2", "sweep/9", "sweep/10"]
    assert find_runs(tmp_path / "alone") == [tmp_path / "alone"]
    assert find_runs(tmp_path / "nothing") == []


def test_links_are_followed_but_not_in_circles(make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run(1, name="elsewhere/run")
    study = tmp_path / "study"
    study.mkdir()
    (study / "linked").symlink_to(run)
    (study / "circle").symlink_to(study)
    assert find_runs(study) == [study / "linked"]


def test_settings_that_differ_name_the_groups(make_run: MakeRun) -> None:
    runs = runs_of(make_run, {"pruning.rewind": "random"}, {"pruning.rewind": "init"}, seeds=(1, 0))
    groups, left_out = group_runs(runs)
    assert [(group.label, group.seeds) for group in groups] == [
        ("rewind init", ("0", "1")),
        ("rewind random", ("0", "1")),
    ]
    assert left_out == []


SAME = {"seed": 1, "name": "x", "pruning.rounds": 9, "data.path": "a", "data.num_workers": 3}
SAME |= {"trainer.logger": {"_target_": "a.Logger", "save_dir": "logs"}, "trainer.accelerator": "gpu"}
PATIENCES = [{"early_stopping": {"patience": 3}}, {"early_stopping": {"patience": None}}, {}]
REWINDS = ["init", "epoch:1", "step:9", "step:10", "last", "none", "random"]
NAMED = [{}, {"model.name": "bilstm", "optimizer.name": "sgd"}]


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ([{}, SAME], ["all runs"]), ([{"embedding.path": "a"}, {"embedding.path": "b"}], ["path a", "path b"]),
        (PATIENCES[1:], ["all runs"]), (PATIENCES, ["patience null", "patience 3"]),
        (NAMED, ["model.name bilstm, optimizer.name sgd", "model.name multi_cnn, optimizer.name adam"]),
        ([{"pruning.rewind": one} for one in reversed(REWINDS)], [f"rewind {one}" for one in REWINDS]),
        ([{"optimizer.lr": lr} for lr in (0.5, 1e-05, 0.05)], ["lr 1e-05", "lr 0.05", "lr 0.5"]),
        ([{"model.name": "1"}, {"model.name": 1}], ["name 1", "name 1 (2)"]),
        ([{"model.name": "x" * 99 + end} for end in "ab"], [f"name {'x' * 55}…", f"name {'x' * 55}… (2)"]),
    ],
    ids=["where", "vectors", "null", "missing", "full names", "order of rewinds", "of numbers", "of types", "long"],
)  # fmt: skip
def test_groups_are_named_by_the_settings_that_differ(make_run: MakeRun, settings: Any, expected: list[str]) -> None:
    assert labels(runs_of(make_run, *settings)) == expected


def test_other_numbers_of_processes_make_another_experiment(make_run: MakeRun) -> None:
    """Each process takes a batch of its own, so that a step sees more rows."""
    runs = [make_run(2, name=f"{n}", changes={"processes": n}, seed=n) for n in (1, 4)]
    groups, _ = group_runs([read_run(run) for run in runs])
    assert [group.label for group in groups] == ["processes 1", "processes 4"]


def test_the_data_of_most_runs_is_compared_whichever_is_named_first(make_run, description):
    odd = make_run(2, name="odd", changes={"corpus": description["corpus"] | {"name": "IMDB"}})
    usual = [make_run(2, name=f"{seed}", seed=seed) for seed in (0, 1)]
    kept, left_out = comparable([read_run(run) for run in (odd, *usual)])
    assert [run.folder for run in kept] == usual
    assert left_out == [f"{odd}: corpus.name is IMDB, but AG News in {usual[0]}; compare runs of the same data"]


def test_a_seed_that_comes_again_is_left_out_by_name(make_run: MakeRun) -> None:
    short, long = (read_run(make_run(rounds, name=f"{rounds} rounds")) for rounds in (2, 3))
    (group,), left_out = group_runs([long, short])
    assert group.runs == (long,)
    (line,) = left_out
    assert line.startswith(f"{short.folder}: seed 7 again")
    assert str(long.folder) in line
    early, late = (
        read_run(make_run(1, name=hour, changes={"started": f"2026-11-21T{hour}:00:00+00:00"})) for hour in ("08", "09")
    )
    assert group_runs([late, early])[0][0].runs == (late,)


@pytest.mark.parametrize(
    ("path", "value"), [("name", "IMDB"), ("class_names", ["a", "b"]), ("fingerprint", {"train": "other"})]
)
def test_runs_of_other_data_are_left_out_with_both_values(make_run, description, path, value):
    first = read_run(make_run(1, name="first"))
    other = read_run(make_run(1, name="other", changes={"corpus": description["corpus"] | {path: value}}))
    kept, (line,) = comparable([first, other])
    assert kept == [first]
    assert line.startswith(f"{other.folder}: corpus.{path} is ")
    assert str(first.folder) in line


def test_runs_that_split_the_same_rows_otherwise_are_compared(make_run, description):
    first, corpus = read_run(make_run(1, name="first")), description["corpus"]
    marks = {"fingerprint": {**(corpus.get("fingerprint") or {}), "groups": "0f"}}
    whole = read_run(make_run(1, name="whole", changes={"corpus": corpus | marks}))
    assert comparable([first, whole]) == ([first, whole], [])


def test_a_run_older_than_schedules_is_one_with_a_constant_rate(make_run: MakeRun, description: dict[str, Any]) -> None:
    config = description["config"]
    older = {key: value for key, value in config.items() if key != "scheduler"}
    changed = config | {"scheduler": {"name": "cosine", "warmup": 0.0, "final": 0.0}}
    runs = [
        read_run(make_run(1, name=f"run_{seed}", changes={"config": one}, seed=seed))
        for seed, one in enumerate((config, older, changed))
    ]
    groups, _ = group_runs(runs)
    assert sorted(len(group.runs) for group in groups) == [1, 2]


def test_a_run_older_than_masks_and_schedules_of_pruning_is_one_with_their_defaults(make_run, description) -> None:
    config = description["config"]
    now = {
        "mask": "pruned",
        "pattern": "unstructured",
        "schedule": "rounds",
        "keep": [],
        "renew": [],
        "score_batches": 40,
    }
    changes = [config["pruning"], config["pruning"] | now, config["pruning"] | now | {"mask": "shuffle"}]
    runs = [
        read_run(make_run(1, name=f"run_{seed}", changes={"config": config | {"pruning": pruning}}, seed=seed))
        for seed, pruning in enumerate(changes)
    ]
    assert sorted(len(group.runs) for group in group_runs(runs)[0]) == [1, 2]


@pytest.mark.parametrize("config", [None, 3, [], {}, {"a": {}}, {"": {"": [{"\ud800": None}]}}, "\ud800"])
def test_a_configuration_of_any_shape_is_grouped(make_run: MakeRun, config: Any) -> None:
    runs = [read_run(make_run(1, name="odd", changes={"config": config})), read_run(make_run(1, name="plain"))]
    groups, _ = group_runs(runs)
    assert len(groups) == 2
    json.dumps([group.label for group in groups]).encode()
    assert all(group.label.encode() for group in groups)


def test_a_row_is_a_run_and_round_with_the_values_of_its_files(make_run, tmp_path, description):
    make_run(3, name="sweep/10", seed=1, settings={"pruning.rewind": "random"})
    make_run(2, name="sweep/9", seed=2, changes={"corpus": description["corpus"] | {"name": "IMDB"}})
    table = load_runs(tmp_path)
    about = ["run", "corpus", "rewind", "seed", "round"]
    assert table[about].values.tolist() == [
        *(["sweep/9", "IMDB", "init", 2, round_] for round_ in range(2)),
        *(["sweep/10", "AG News", "random", 1, round_] for round_ in range(3)),
    ]
    for name, rows in table.groupby("run"):
        with (tmp_path / str(name) / "results.csv").open(encoding="utf-8") as file:
            own = list(csv.DictReader(file))
        for column in own[0]:
            assert rows[column].tolist() == [float(row[column]) for row in own], column
        assert rows["density"].tolist() == [int(row["alive"]) / int(row["total"]) for row in own]


def test_a_run_that_cannot_be_read_is_left_out_with_a_warning(make_run: MakeRun, tmp_path: Path) -> None:
    make_run(2, name="whole")
    (make_run(2, name="torn") / "run.json").write_text("{")
    with pytest.warns(UserWarning, match=r"left out: .*torn.run\.json: cannot be read"):
        assert set(load_runs(tmp_path)["run"]) == {"whole"}


@pytest.mark.parametrize("config", [None, 3, [], {"pruning": {"rewind": ["\ud800"]}}])
def test_a_description_of_any_shape_has_a_row(make_run: MakeRun, tmp_path: Path, config: Any) -> None:
    make_run(1, changes={"config": config, "seed": None, "corpus": "\ud800"})
    load_runs(tmp_path).to_csv().encode()


def test_no_runs_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="no runs in it"):
        load_runs(tmp_path)


def test_pandas_waits_for_a_table() -> None:
    code = "import sys; from lt_lightning.runs import load_runs; import lt_lightning.report.__main__; " + (
        "print({'pandas', 'jinja2', 'matplotlib', 'scipy'} & {*sys.modules})"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "set()\n"
