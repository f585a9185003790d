"""A whole experiment on a small corpus: what it leaves behind, and that it is the same each time."""

import csv
import dataclasses
import json
import math
import os
import re
import subprocess
import sys
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open

from lt_lightning.config.schema import Config
from lt_lightning.data.corpus import load_corpus
from lt_lightning.errors import SettingError
from lt_lightning.experiment.experiment import run_experiment
from lt_lightning.experiment.trainer import Unprofiled, make_trainer
from lt_lightning.runs.csv_files import read_records
from lt_lightning.runs.records import ConfusionRecord, EpochRecord, LayerRecord, Record
from lt_lightning.runs.round_ticket import RoundTicket
from trials.forking import run_train
from trials.kills import THEMES, write_corpus

SMALL = ["model.filters=4", "embedding.dim=6", "data.batch_size=16", "trainer=cpu", "optimizer.lr=0.02"]

Play = Callable[..., Path]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("data") / "corpus", train=120)


@pytest.fixture(scope="module")
def play(run_settings: Play, corpus: Path) -> Play:
    return partial(run_settings, ["data=files", f"data.path={corpus}", *SMALL])


@pytest.fixture(scope="module")
def run(play: Play) -> Path:
    return play("pruning.rounds=3", "trainer.max_epochs=2", "seed=5", report=True)


def without_seconds(run: Path) -> list[Record]:
    return [dataclasses.replace(record, seconds=0.0) for record in read_records(run / "results.csv", Record)]


def tickets(run: Path) -> list[RoundTicket]:
    return [RoundTicket.load(path) for path in sorted((run / "tickets").iterdir())]


def test_a_run_leaves_the_files_of_the_design(run: Path) -> None:
    names = {str(path.relative_to(run)) for path in run.rglob("*") if path.is_file()}
    pictures = ("accuracy", "layers", "learning", "confusion")
    figures = {f"figures/{name}.{ending}" for name in pictures for ending in ("png", "svg")}
    tables = {"results.csv", "layers.csv", "epochs.csv", "masks.csv", "confusion.csv"}
    assert names == figures | tables | {"run.json", "report.html"} | {
        f"tickets/round_{round:02}.safetensors" for round in range(4)
    } | {"state/rewind.safetensors"} | {f"state/round_{round:02}.json" for round in range(4)}


def test_results_have_the_designs_columns_and_sparsities(run: Path) -> None:
    with (run / "results.csv").open() as file:
        rows = list(csv.DictReader(file))
    columns = "round,sparsity,alive,total,epochs,train_loss,valid_loss,valid_acc,test_loss,test_acc,seconds"
    assert list(rows[0]) == [*columns.split(","), "valid_f1", "test_f1", "steps"]
    assert [float(row["sparsity"]) for row in rows] == pytest.approx([0, 0.2, 0.36, 0.488], abs=0.01)
    assert [int(row["epochs"]) for row in rows] == [2, 2, 2, 2]


def test_layers_lose_their_share_one_by_one_and_add_up(run: Path) -> None:
    records = read_records(run / "results.csv", Record)
    layers = read_records(run / "layers.csv", LayerRecord)
    alive: dict[str, int] = {}
    for record in records:
        here = [layer for layer in layers if layer.round == record.round]
        for layer in here:
            before = alive.get(layer.parameter)
            assert layer.alive == (layer.total if before is None else before - round(0.2 * before))
            alive[layer.parameter] = layer.alive
        assert sum(layer.alive for layer in here) == record.alive
        assert sum(layer.total for layer in here) == record.total


def test_tickets_are_zero_where_their_masks_say_and_each_lies_inside_the_last(run: Path) -> None:
    records = read_records(run / "results.csv", Record)
    whole = tickets(run)
    for ticket, record in zip(whole, records, strict=True):
        for name, alive in ticket.mask.items():
            assert ticket.weights[name].shape == alive.shape
            assert not ticket.weights[name][~alive].any()
        assert ticket.mask.alive == record.alive
    for smaller, larger in zip(whole[1:], whole, strict=False):
        assert smaller.mask.is_subset_of(larger.mask)
        assert smaller.mask.alive < larger.mask.alive


def test_a_ticket_is_plain_safetensors(run: Path) -> None:
    with safe_open(run / "tickets/round_02.safetensors", framework="np") as file:
        names = set(file.keys())
        assert {"values/embedding.weight", "mask/embedding.weight"} <= names
        assert file.get_tensor("mask/fc.bias").dtype == "uint8"
        assert json.loads(file.metadata()["lt_lightning"])["about"]["round"] == 2


def test_the_description_says_what_ran(run: Path, corpus: Path) -> None:
    description = json.loads((run / "run.json").read_text())
    assert description["corpus"]["rows"] == {"train": 84, "valid": 36, "test": 60}
    assert description["corpus"]["class_names"] == sorted(THEMES)
    assert description["corpus"]["source"] == str(corpus)
    assert description["config"]["pruning"]["rounds"] == 3
    assert description["versions"]["torch"] == torch.__version__
    assert description["network"] == "MultiCNN"
    assert description["seed"] == 5
    assert description["started"] <= description["finished"]


def test_the_confusions_of_a_round_are_of_all_test_rows_and_their_diagonal_is_its_accuracy(run: Path) -> None:
    confusion = read_records(run / "confusion.csv", ConfusionRecord)
    for record in read_records(run / "results.csv", Record):
        of_round = [row for row in confusion if row.round == record.round]
        assert sum(row.count for row in of_round) == 60
        right = sum(row.count for row in of_round if row.label == row.predicted)
        assert right / 60 == pytest.approx(record.test_acc, abs=1e-6)


def test_epochs_end_where_the_round_does(run: Path) -> None:
    epochs = read_records(run / "epochs.csv", EpochRecord)
    assert [(epoch.round, epoch.epoch) for epoch in epochs] == [(r, e) for r in range(4) for e in (1, 2)]
    last = {epoch.round: epoch for epoch in epochs}
    for record in read_records(run / "results.csv", Record):
        assert last[record.round].valid_loss == record.valid_loss
        assert last[record.round].train_loss == record.train_loss


@pytest.mark.slow
def test_the_network_learns(play: Play) -> None:
    run = play("pruning.rounds=0", "trainer.max_epochs=10")
    assert read_records(run / "results.csv", Record)[0].test_acc > 0.6  # chance is a third


@pytest.mark.slow
@pytest.mark.parametrize("rewind", ["init", "random", "last", "epoch:1", "step:3", "none"])
def test_the_same_seed_gives_the_same_results(play: Play, rewind: str) -> None:
    settings = ["pruning.rounds=2", "trainer.max_epochs=2", f"pruning.rewind={rewind}", "seed=5"]
    first, second = play(*settings), play(*settings)
    assert without_seconds(first) == without_seconds(second)
    assert (first / "layers.csv").read_bytes() == (second / "layers.csv").read_bytes()
    for ticket in (first / "tickets").iterdir():
        assert ticket.read_bytes() == (second / "tickets" / ticket.name).read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", ["adam", "adamw"])
def test_the_fast_kernels_give_the_numbers_of_the_reference_to_rounding(play: Play, optimizer: str) -> None:
    common = ["pruning.rounds=6", "pruning.amount=0.5", "trainer.max_epochs=2", "trainer.precision=64-true"]
    common += [f"optimizer={optimizer}", "model.dropout=0.0"]
    fast, reference = play(*common), play(*common, "model.kernel=reference", "optimizer.kernel=reference")
    for ours, theirs in zip(without_seconds(fast), without_seconds(reference), strict=True):
        for key, value in vars(ours).items():
            assert value == (value and pytest.approx(getattr(theirs, key), rel=0, abs=1e-9)), key
    for mine, other in zip(tickets(fast), tickets(reference), strict=True):
        assert mine.mask == other.mask
        for name, weight in mine.weights.items():
            torch.testing.assert_close(weight, other.weights[name], rtol=0, atol=1e-9)


def test_another_seed_gives_other_results(play: Play, run: Path) -> None:
    other = play("pruning.rounds=0", "trainer.max_epochs=2", "seed=6")
    assert without_seconds(other)[0] != without_seconds(run)[0]


def test_rounds_before_a_difference_are_the_same(play: Play, run: Path) -> None:
    # Only what is random differs between runs of one seed: round 0 knows nothing of the rewinding point.
    other = play("pruning.rounds=1", "trainer.max_epochs=2", "seed=5", "pruning.rewind=random")
    assert without_seconds(other)[0] == without_seconds(run)[0]
    assert tickets(other)[1].mask == tickets(run)[1].mask
    assert without_seconds(other)[1] != without_seconds(run)[1]


@pytest.mark.slow
def test_best_tests_the_weights_of_the_lowest_validation_loss(play: Play) -> None:
    run = play("pruning.rounds=1", "trainer.max_epochs=8", "optimizer.lr=0.7", "test_on=best")
    epochs = read_records(run / "epochs.csv", EpochRecord)
    for record in read_records(run / "results.csv", Record):
        losses = [epoch.valid_loss for epoch in epochs if epoch.round == record.round]
        assert record.valid_loss == min(losses) < losses[-1]  # such steps overshoot: the last epoch is not the best


@pytest.mark.slow
def test_a_round_stops_early_when_validation_gets_no_better(play: Play) -> None:
    run = play("pruning.rounds=0", "trainer.max_epochs=40", "optimizer.lr=0.2", "early_stopping.patience=2")
    losses = [epoch.valid_loss for epoch in read_records(run / "epochs.csv", EpochRecord)]
    assert len(losses) == read_records(run / "results.csv", Record)[0].epochs < 40
    assert losses.index(min(losses)) == len(losses) - 3


def test_an_epoch_cut_short_has_no_validation_to_report(play: Play) -> None:
    run = play("pruning.rounds=0", "trainer.max_epochs=3", "trainer.max_steps=8")  # six batches an epoch
    first, second = read_records(run / "epochs.csv", EpochRecord)
    assert first.valid_loss > 0
    assert math.isnan(second.valid_loss)
    assert math.isnan(read_records(run / "results.csv", Record)[0].valid_acc)


def test_excluded_parameters_are_never_pruned(play: Play) -> None:
    run = play("pruning.rounds=1", "trainer.max_epochs=1", "pruning.exclude=[embedding.*,*.bias]")
    names = {layer.parameter for layer in read_records(run / "layers.csv", LayerRecord)}
    assert names == {"convs.0.weight", "convs.1.weight", "convs.2.weight", "fc.weight"}


@pytest.mark.slow
def test_a_pipe_gets_one_line_a_round_without_control_characters(corpus: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "lt_lightning.train", "data=files", f"data.path={corpus}", *SMALL]
    command += ["pruning.rounds=1", "trainer.max_epochs=1", "name=piped"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f]", result.stdout + result.stderr)
    assert re.findall(r"^round (\d)/1 ", result.stdout, re.M) == ["0", "1"]
    assert not result.stderr
    (log,) = (tmp_path / "outputs" / "piped").glob("*/train.log")
    assert len(re.findall(r"round \d/1 ", log.read_text())) == 2


@pytest.mark.slow
def test_a_sweep_keeps_each_job_in_a_directory_of_its_own(corpus: Path, tmp_path: Path) -> None:
    small = ["data=files", f"data.path={corpus}", *SMALL, "pruning.rounds=1", "trainer.max_epochs=1", "name=swept"]
    run_train("-m", *small, "report=true,false", "seed=0,1", folder=tmp_path).check_returncode()
    (sweep,) = (tmp_path / "outputs/swept/sweeps").iterdir()
    configs = [json.loads((sweep / str(job) / "run.json").read_text())["config"] for job in range(4)]
    jobs = [(config["report"], config["seed"]) for config in configs]
    assert jobs == [(True, 0), (True, 1), (False, 0), (False, 1)]
    for job, (report, _) in enumerate(jobs):
        assert (sweep / str(job) / "report.html").exists() == (sweep / str(job) / "figures").exists() == report


@pytest.mark.slow
def test_nothing_is_profiled_unless_somebody_asks_for_it(configure: Callable[..., Config], tmp_path: Path) -> None:
    silent = make_trainer(configure("trainer=cpu").trainer, [], tmp_path).profiler
    assert isinstance(silent, Unprofiled)
    with silent.profile("one"), silent.profile("another"):
        pass
    simple: Any = make_trainer(configure("trainer=cpu", "trainer.profiler=simple").trainer, [], tmp_path).profiler
    with simple.profile("one"):
        pass
    assert len(simple.recorded_durations["one"]) == 1


def test_slurms_tools_on_the_machine_bring_no_advice(play, tmp_path, monkeypatch):
    srun = tmp_path / "srun"
    srun.write_text("#!/bin/sh\n", encoding="utf-8")
    srun.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message=".*srun.*")
        play("pruning.rounds=0", "trainer.max_epochs=1")


@pytest.mark.parametrize(("callback", "instead"), [
    ("LearningRateFinder", "optimizer.lr"),
    ("BatchSizeFinder", "data.batch_size"),
    ("ModelPruning, pruning_fn: l1_unstructured", "pruning.amount"),
])  # fmt: skip
def test_callbacks_that_fit_or_prune_by_themselves_are_refused_before_round_0(
    configure: Callable[..., Config], corpus: Path, tmp_path: Path, callback: str, instead: str
) -> None:
    callbacks = f"trainer.callbacks=[{{_target_: pytorch_lightning.callbacks.{callback}}}]"
    config = configure("data=files", f"data.path={corpus}", *SMALL, "pruning.rounds=1", callbacks)
    name = callback.split(",")[0]
    with pytest.raises(SettingError, match=rf"^trainer\.callbacks: {name} is not possible here: .*{instead}$"):
        run_experiment(config, load_corpus(config.data), tmp_path, [])
    assert not list(tmp_path.iterdir())
