"""Runs are found, and grouped by the settings that make them different experiments."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lt_lightning.report.comparison.grouping import comparable, group_runs
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


def test_where_and_how_long_makes_no_other_experiment(make_run: MakeRun) -> None:
    same = {"seed": 1, "name": "x", "pruning.rounds": 9, "data.path": "a", "data.num_workers": 3}
    same["trainer.logger"] = {"_target_": "a.Logger", "save_dir": "logs"}
    runs = runs_of(make_run, {}, {**same, "trainer.accelerator": "gpu"}, seeds=(0,))
    assert labels(runs) == ["all runs"]


def test_other_word_vectors_make_another_experiment(make_run: MakeRun) -> None:
    runs = runs_of(make_run, {"embedding.path": "a"}, {"embedding.path": "b"})
    assert labels(runs) == ["path a", "path b"]


def test_other_numbers_of_processes_make_another_experiment(make_run: MakeRun) -> None:
    """Each process takes a batch of its own, so that a step sees more rows."""
    runs = [make_run(2, name=f"{n}", changes={"processes": n}, seed=n) for n in (1, 4)]
    groups, _ = group_runs([read_run(run) for run in runs])
    assert [group.label for group in groups] == ["processes 1", "processes 4"]


def test_the_data_of_most_runs_is_compared_whichever_is_named_first(
    make_run: MakeRun, description: dict[str, Any]
) -> None:
    odd = make_run(2, name="odd", changes={"corpus": description["corpus"] | {"name": "IMDB"}})
    usual = [make_run(2, name=f"{seed}", seed=seed) for seed in (0, 1)]
    kept, left_out = comparable([read_run(run) for run in (odd, *usual)])
    assert [run.folder for run in kept] == usual
    assert left_out == [f"{odd}: corpus.name is IMDB, but AG News in {usual[0]}; compare runs of the same data"]


def test_a_setting_that_is_missing_is_null(make_run: MakeRun) -> None:
    runs = runs_of(make_run, {"early_stopping": {"patience": 3}}, {"early_stopping": {"patience": None}}, {})
    assert labels(runs[1:]) == ["all runs"]
    assert labels(runs) == ["patience null", "patience 3"]


def test_keys_with_one_last_part_are_named_in_full(make_run: MakeRun) -> None:
    runs = runs_of(make_run, {}, {"model.name": "bilstm", "optimizer.name": "sgd"})
    assert labels(runs) == ["model.name bilstm, optimizer.name sgd", "model.name multi_cnn, optimizer.name adam"]


def test_rewinds_have_their_order(make_run: MakeRun) -> None:
    rewinds = ("random", "none", "last", "step:10", "step:9", "epoch:1", "init")
    runs = runs_of(make_run, *({"pruning.rewind": rewind} for rewind in rewinds))
    assert labels(runs) == [
        f"rewind {rewind}" for rewind in ("init", "epoch:1", "step:9", "step:10", "last", "none", "random")
    ]


def test_numbers_are_in_the_order_of_their_size(make_run: MakeRun) -> None:
    runs = runs_of(make_run, *({"optimizer.lr": lr} for lr in (0.5, 1e-05, 0.05)))
    assert labels(runs) == ["lr 1e-05", "lr 0.05", "lr 0.5"]


def test_values_that_are_written_alike_are_told_apart(make_run: MakeRun) -> None:
    assert labels(runs_of(make_run, {"model.name": "1"}, {"model.name": 1})) == ["name 1", "name 1 (2)"]


def test_long_values_are_cut_in_labels_and_still_told_apart(make_run: MakeRun) -> None:
    first, second = labels(runs_of(make_run, *({"model.name": "x" * 99 + end} for end in "ab")))
    assert first == f"name {'x' * 55}…"
    assert second == f"{first} (2)"


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
def test_runs_of_other_data_are_left_out_with_both_values(
    make_run: MakeRun, description: dict[str, Any], path: str, value: Any
) -> None:
    first = read_run(make_run(1, name="first"))
    other = read_run(make_run(1, name="other", changes={"corpus": description["corpus"] | {path: value}}))
    kept, (line,) = comparable([first, other])
    assert kept == [first]
    assert line.startswith(f"{other.folder}: corpus.{path} is ")
    assert str(first.folder) in line


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


@pytest.mark.parametrize("config", [None, 3, [], {}, {"a": {}}, {"": {"": [{"\ud800": None}]}}, "\ud800"])
def test_a_configuration_of_any_shape_is_grouped(make_run: MakeRun, config: Any) -> None:
    runs = [read_run(make_run(1, name="odd", changes={"config": config})), read_run(make_run(1, name="plain"))]
    groups, _ = group_runs(runs)
    assert len(groups) == 2
    json.dumps([group.label for group in groups]).encode()
    assert all(group.label.encode() for group in groups)
