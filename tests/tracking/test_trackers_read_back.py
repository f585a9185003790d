"""A run that was killed in a round and resumed is one run in every tracker, read back by the tracker's own reader."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from reading_back import (
    Points,
    mlflow_points,
    read_csv,
    read_events,
    read_wandb,
    scalars,
    trackio_points,
    wandb_points,
)

from trials.kills import small_run, write_corpus

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::DeprecationWarning")]  # of MLflow's libraries

KILLER = """
import os, pathlib, signal, time
import pytorch_lightning as pl

class Killer(pl.Callback):
    def __init__(self, flag):
        self.flag = pathlib.Path(flag)

    def on_train_epoch_end(self, trainer, pl_module):
        pl_module.log("recall@10", 0.5)  # MLflow refuses the name

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        if trainer.global_step == 30 and self.flag.exists():
            time.sleep(1)  # Trackio writes twice a second, and these epochs are shorter
        if trainer.global_step == 33 and self.flag.exists():
            if int(self.flag.read_text()) == 0:
                self.flag.unlink()
                os.kill(os.getpid(), signal.SIGKILL)
            self.flag.write_text("0")
"""
STARTS = """
import json, os, runpy, shutil, sys
from lt_lightning.runtime.fast_import import load_lightning

load_lightning()
import lt_lightning.experiment.experiment, lt_lightning.trackers.mlflow, lt_lightning.trackers.wandb

for number, arguments in enumerate(json.loads(sys.argv[1])):
    if not (process := os.fork()):
        sys.argv = ["lt_lightning.train", *arguments]
        runpy.run_module("lt_lightning.train", run_name="__main__", alter_sys=True)
    code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    shutil.copy("run/results.csv", f"start_{number}_{code}.csv")
"""
"""Imports the libraries once, and starts the commands one after the other, each in a process of its own."""
STEPS = 42
"""Optimizer steps a round: 14 batches, three epochs."""
ALL = ("csv", "tensorboard", "mlflow", "wandb", "trackio")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which a run was killed after step 33 of round 1, in its third epoch, and resumed."""
    for one in ALL[1:]:
        if find_spec(one) is None:
            pytest.skip(f"needs {one}")
    folder = tmp_path_factory.mktemp("tracked")
    write_corpus(folder / "corpus")
    (folder / "killer.py").write_text(KILLER)
    (folder / "flag").write_text("1")
    callback = "callbacks.killer={_target_: killer.Killer, flag: flag}"
    chosen = [
        f"logger=[{','.join(ALL)}]",
        "logger.offline=true",
        "logger.trackio.save_dir=trackio",
        "logger.tickets=all",
    ]
    more = [
        "trainer.log_every_n_steps=1",
        "logger.tags=[pilot]",
        f"+{callback}",
        "hydra.run.dir=run",
        "trainer=cpu",
        "report=true",
    ]
    starts = [["data=files", "data.path=corpus", *small_run(*chosen, *more)], ["resume=run", "trust=true"]]
    # As in a program that uses W&B itself: its service would know the killed run as one in use.
    token = f"3-{os.getpid()}-unix-{folder / 'socket'}"
    done = subprocess.run(
        [sys.executable, "-c", STARTS, json.dumps(starts)], cwd=folder, capture_output=True, text=True, timeout=300,
        check=False, env={**os.environ, "PYTHONPATH": str(folder), "WANDB_SERVICE": token},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    killed, resumed = sorted(folder.glob("start_*.csv"))
    assert (killed.name, resumed.name) == ("start_0_-9.csv", "start_1_0.csv")
    assert len(killed.read_text().splitlines()) == 2  # round 0 alone
    return folder


@pytest.fixture(scope="module")
def results(place: Path) -> list[dict[str, str]]:
    return read_csv(place / "run" / "results.csv")


def check_training(points: Points, results: list[dict[str, str]], place: Path) -> None:
    """Check that each epoch's loss is there once, at steps that go on over the rounds, as `epochs.csv` has it."""
    with (place / "run" / "epochs.csv").open() as file:
        losses = [float(row["train_loss"]) for row in csv.DictReader(file)]
    steps = [step for step, _ in points["train_loss"]]
    assert [value for _, value in points["train_loss"]] == pytest.approx(losses, rel=1e-6)
    assert steps == [14 * (epoch + 1) - 1 for epoch in range(9)]
    for name in ("round", "density"):
        at = [step for step, _ in points[name]]
        assert at == sorted(at)
    assert [step for step, _ in points["valid_loss"]] == steps
    by_step = dict(points["round"])
    assert all(value == step // STEPS for step, value in by_step.items())
    for step, value in points["density"]:
        assert value == pytest.approx(1 - float(results[step // STEPS]["sparsity"]))


def check_tickets(points: Points, results: list[dict[str, str]]) -> None:
    """Check the values of tickets against rounds, once each."""
    for column in ("test_acc", "valid_loss", "alive"):
        assert [value for _, value in points[f"ticket/{column}"]] == pytest.approx(
            [float(row[column]) for row in results]
        )
        assert [step for step, _ in points[f"ticket/{column}"]] == [0, 1, 2]
    curve = [(round(10_000 * (1 - float(row["sparsity"]))), float(row["test_acc"])) for row in results]
    assert points["by_density/test_acc"] == [(step, pytest.approx(value)) for step, value in curve]
    assert points["layers/fc.weight"][0] == (0, 1.0)


def test_numbers_are_those_of_a_run_without_trackers(place, play_small, tmp_path):
    plain = play_small(tmp_path / "plain")

    def columns(run: Path) -> list[list[str]]:
        return [line.split(",")[:10] for line in (run / "results.csv").read_text().splitlines()]

    assert columns(place / "run") == columns(plain)


def test_csv(place, results):
    rows = read_csv(place / "run" / "csv" / "metrics.csv")
    steps = [int(row["step"]) for row in rows]
    assert steps == sorted(steps)
    names = rows[0].keys()
    points = {
        name: [(int(row["step"]), float(row[name])) for row in rows if row[name] and not row["ticket/round"]]
        for name in names
    }
    check_training({**points, "round": points["round"]}, results, place)
    tickets = [row for row in rows if row["ticket/round"]]
    assert [row["ticket/test_acc"] for row in tickets] == [row["test_acc"] for row in results]


def test_tensorboard(place, results):
    points = scalars(place / "run" / "tensorboard")
    check_training(points, results, place)
    check_tickets(points, results)
    events = read_events(place / "run" / "tensorboard")
    assert "figures/accuracy" in events.Tags()["images"]
    assert "_hparams_/session_start_info" in events.summary_metadata


def test_mlflow(place, results):
    from mlflow.tracking import MlflowClient

    uri = f"sqlite:///{place / 'outputs' / 'mlflow.db'}"
    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name("custom")
    assert experiment is not None
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.info.status == "FINISHED"
    assert (run.data.params["optimizer.lr"], run.data.params["pruning.rounds"]) == ("0.02", "2")
    assert run.data.tags["pilot"] == "true"
    points = mlflow_points(uri, run.info.run_id)
    check_training(points, results, place)
    check_tickets(points, results)
    assert points["recall_x40_10"] == [(14 * (epoch + 1) - 1, 0.5) for epoch in range(9)]
    assert {one.path for one in client.list_artifacts(run.info.run_id)} >= {"report.html", "results.csv", "tickets"}
    tickets = [one.path for one in client.list_artifacts(run.info.run_id, "tickets")]
    assert tickets == [f"tickets/round_0{number}.safetensors" for number in range(3)]


def test_wandb(place, results):
    found = read_wandb(place / "run" / "wandb")
    assert len({run.run_id for run in found["runs"]}) == 1
    assert found["config"]["optimizer.lr"] == 0.02
    assert list(found["runs"][0].tags) == ["pilot"]
    losses = wandb_points(found["history"])["train_loss"]
    with (place / "run" / "epochs.csv").open() as file:
        of_epochs = {14 * (at + 1) - 1: float(row["train_loss"]) for at, row in enumerate(csv.DictReader(file))}
    assert all(value == pytest.approx(of_epochs[step]) for step, value in losses)
    steps = [step for step, _ in losses]
    assert steps == sorted(set(steps))
    assert steps[-4:] == [83, 97, 111, 125]  # W&B writes behind: a kill loses what was logged shortly before
    for row in found["history"]:
        if "train_loss" in row:
            assert row["round"] == row["trainer/global_step"] // STEPS
    curve = wandb_points(found["history"], "ticket/density")["ticket/test_acc"]
    expected = [(1 - float(row["sparsity"]), float(row["test_acc"])) for row in results]
    assert curve == [(pytest.approx(density), pytest.approx(value)) for density, value in expected]
    axes = {one.glob_name: one.step_metric for one in found["metrics"] if one.glob_name}
    assert axes == {"*": "trainer/global_step", "ticket/*": "ticket/density", "layers/*": "ticket/round"}
    assert {"report.html", "results.csv", "tickets/round_02.safetensors"} <= set(found["files"])
    assert found["exit"][-1] == 0


def test_trackio(place, results):
    rows = trackio_points(place / "trackio", "custom")
    losses = [(row["step"], row["train_loss"], row["round"], row["density"]) for row in rows if "train_loss" in row]
    with (place / "run" / "epochs.csv").open() as file:
        of_epochs = {14 * (at + 1) - 1: float(row["train_loss"]) for at, row in enumerate(csv.DictReader(file))}
    steps = [step for step, *_ in losses]
    assert steps == sorted(set(steps))
    assert len(steps) >= 8  # the kill came right behind an epoch, and Trackio writes from a queue
    for step, loss, number, density in losses:
        assert loss == pytest.approx(of_epochs[step])
        assert (number, density) == (step // STEPS, pytest.approx(1 - float(results[step // STEPS]["sparsity"])))
    tickets = [(row["step"], row["ticket/test_acc"]) for row in rows if "ticket/round" in row]
    assert tickets == [(STEPS * (at + 1), pytest.approx(float(row["test_acc"]))) for at, row in enumerate(results)]


def test_what_finds_the_run_again_is_in_its_state(place):
    known = json.loads((place / "run" / "state" / "trackers.json").read_text())
    assert set(known) == {f"logger.{name}" for name in ALL}
    assert all(one["done"] for one in known.values())
