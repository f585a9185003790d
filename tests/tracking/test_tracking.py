"""Trackers in this process: steps of the whole run, resuming in one place, failures that do not stop a run."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest
from pytorch_lightning.loggers import CSVLogger, Logger
from reading_back import read_csv

from lt_lightning.config.trackers import CsvSettings
from lt_lightning.errors import SettingError
from lt_lightning.experiment.tracker_record import find_unfinished, mark_done, write_trackers
from lt_lightning.models import Learner
from lt_lightning.trackers import guard as guarding
from lt_lightning.trackers.base import RoundValues, RunFacts, find_folder
from lt_lightning.trackers.csv_file import CsvTracker
from lt_lightning.trackers.marks import Marks
from lt_lightning.trackers.tracking import Tracking

Play = Callable[..., Path]


class Keeping(Logger):
    """A user's logger that keeps what it gets; it fails between two of its calls."""

    made: ClassVar[list[Keeping]] = []
    failing = range(0)

    def __init__(self, version: str = "first") -> None:
        super().__init__()
        self.version_, self.calls, self.points, self.settings, self.ends = version, 0, [], {}, []
        self.made.append(self)

    name = "keeping"

    @property
    def version(self) -> str:
        return self.version_

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        self.calls += 1
        if self.calls in self.failing:
            raise ConnectionError("the server is gone")
        self.points.append((step, dict(metrics)))

    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        self.settings |= params

    def finalize(self, status: str) -> None:
        self.ends.append(status)


KEEPING = "trainer.logger={_target_: test_tracking.Keeping}"


@pytest.fixture(autouse=True)
def made(monkeypatch: pytest.MonkeyPatch) -> list[Keeping]:
    monkeypatch.setattr(Keeping, "made", [])
    monkeypatch.setattr(Keeping, "failing", range(0))
    return Keeping.made


def numbers(run: Path) -> list[list[str]]:
    return [line.split(",")[:10] for line in (run / "results.csv").read_text().splitlines()]


@pytest.fixture(scope="module")
def plain(play_small: Play, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return play_small(tmp_path_factory.mktemp("plain") / "run")


def test_a_logger_of_ones_own_is_one_for_the_whole_run_and_gets_what_it_failed_to_take_later(
    play_small, plain, made, monkeypatch, caplog, tmp_path
):
    monkeypatch.setattr(Keeping, "failing", range(3, 12))
    monkeypatch.setattr(guarding, "_PAUSE", 0.0)
    with caplog.at_level(logging.WARNING):
        run = play_small(tmp_path / "run", KEEPING)
    (warning,) = [one.getMessage() for one in caplog.records if one.levelno >= logging.WARNING]
    assert "the server is gone" in warning
    (keeping,) = made
    assert numbers(run) == numbers(plain)
    keeping.points.sort(key=lambda point: point[0])
    losses = [(step, values["round"]) for step, values in keeping.points if "train_loss" in values]
    assert losses == [(14 * (epoch + 1) - 1, epoch // 3) for epoch in range(9)]
    tickets = [(step, values["ticket/test_acc"]) for step, values in keeping.points if "ticket/round" in values]
    assert tickets == [(42 * (row + 1), float(line[9])) for row, line in enumerate(numbers(run)[1:])]
    assert keeping.settings["optimizer.lr"] == 0.02
    assert keeping.ends == ["success"]


def test_a_resumed_run_goes_on_in_the_same_place(play_small, made, monkeypatch, tmp_path):
    step, steps = Learner.training_step, []

    def stop(self: Learner, batch: Any, number: int) -> Any:
        steps.append(number)
        if len(steps) == 42 + 28 + 5:  # in the third epoch of round 1
            raise KeyboardInterrupt
        return step(self, batch, number)

    monkeypatch.setattr(Learner, "training_step", stop)
    more = (KEEPING, "trainer.log_every_n_steps=1", "logger=csv")
    with pytest.raises(SystemExit):  # Lightning's answer to Ctrl-C
        play_small(tmp_path / "run", *more)
    run = play_small(tmp_path / "run", *more, resuming=True)
    first, second = made
    assert (first.version, second.version) == ("first", "first")
    points = [*first.points, *second.points]
    for key in ("train_loss", "ticket/round", "valid_acc"):
        at = [step for step, values in points if key in values]
        assert at == sorted(set(at)), key
    rows = read_csv(run / "csv" / "metrics.csv")
    assert [int(row["step"]) for row in rows if row["train_loss"]] == [14 * (epoch + 1) - 1 for epoch in range(9)]
    assert [row["ticket/test_acc"] for row in rows if row["ticket/round"]] == [line[9] for line in numbers(run)[1:]]


def test_a_tracker_that_cannot_begin_stops_the_run_before_it_trains(play_small, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingError, match=r"^logger\.tensorboard: .*file"):
        play_small(tmp_path / "run", "logger=[csv,tensorboard]", f"logger.tensorboard.save_dir={tmp_path / 'file'}")
    assert list((tmp_path / "run").iterdir()) == []


def test_lightnings_own_csv_logger_is_one_version(play_small, tmp_path):
    target = f"{CSVLogger.__module__}.{CSVLogger.__name__}"
    play_small(
        tmp_path / "run", f"trainer.logger={{_target_: {target}, save_dir: {tmp_path}}}", "pruning.rounds=1", epochs=1
    )
    (version,) = (tmp_path / "lightning_logs").iterdir()
    rows = read_csv(version / "metrics.csv")
    assert [row["round"] for row in rows if row["train_loss"]] == ["0", "1"]
    assert next(float(row["ticket/density"]) for row in rows if row["ticket/density"]) == 1.0


def test_a_run_that_stopped_between_rounds_keeps_the_row_of_the_last_one(tmp_path):
    facts = RunFacts(tmp_path, "x", "x", (), "x", None, (), None, None, {}, "ticket/test_acc", {})
    ticket = RoundValues(0, 42, {"ticket/round": 0, "ticket/density": 1.0}, {})
    for known in ({}, {"folder": ""}):
        tracker = CsvTracker(CsvSettings())
        tracker.open(replace(facts, known=known))
        tracker.log_round(ticket)
        if known:
            tracker.rewind(42, 1)
        else:
            tracker.logger.log_metrics({"train_loss": 2.0}, 50)  # of round 1, before its first epoch is on disk
            tracker.logger.save()
    tracker.logger.log_metrics({"train_loss": 2.0}, 50)
    tracker.logger.log_metrics({"train_loss": 1.0, "valid_loss": 1.0}, 60)
    tracker.close("finished")
    rows = read_csv(tmp_path / "csv" / "metrics.csv")
    assert [(row["step"], row["ticket/round"]) for row in rows] == [("42", "0"), ("50", ""), ("60", "")]


def test_a_complete_run_that_is_sent_once_more_has_the_same_csv_file(tmp_path):
    facts = RunFacts(tmp_path, "x", "x", (), "x", None, (), None, None, {}, "ticket/test_acc", {})
    alive = {"ticket/alive": 8, "ticket/density": 1.0}
    rounds = [RoundValues(one, 42, {"ticket/round": one, **alive}, {}) for one in (0, 1)]
    for known in ({}, {"folder": ""}):
        tracker = CsvTracker(CsvSettings())
        tracker.open(replace(facts, known=known))
        for one in rounds:
            tracker.log_round(one)
        tracker.close("finished")
        text = (tmp_path / "csv" / "metrics.csv").read_text()
        assert text == "step,round,ticket/round,ticket/alive,ticket/density\n42,0,0,8,1.0\n42,1,1,8,1.0\n"


def test_each_run_has_a_folder_of_its_own_elsewhere_and_finds_it_again(tmp_path):
    facts = RunFacts(tmp_path / "run", "x", "pilot", (), "x", None, (), None, None, {}, "ticket/test_acc", {})
    logs, others = str(tmp_path / "logs"), str(tmp_path / "others")
    first, second = (find_folder(facts, "csv", logs) for _ in range(2))
    assert (first, second) == ((tmp_path / "logs/x/pilot", False), (tmp_path / "logs/x/pilot-2", False))
    known = replace(facts, known={"folder": str(second[0])})
    assert find_folder(known, "csv", logs) == (second[0], True)
    assert find_folder(known, "csv", others) == (tmp_path / "others/x/pilot", False)
    assert find_folder(known, "csv", None) == (tmp_path / "run/csv", False)
    (tmp_path / "logs").rename(tmp_path / "moved")
    assert find_folder(known, "csv", str(tmp_path / "moved")) == (tmp_path / "moved/x/pilot-2", True)


def test_a_complete_run_is_sent_to_a_tracker_that_was_not_ended_or_is_elsewhere_now(
    play_small, plain, configure, monkeypatch, caplog, tmp_path
):
    run, elsewhere = tmp_path / "run", ("logger=csv", f"logger.csv.save_dir={tmp_path / 'logs'}")
    shutil.copytree(plain, run)
    with monkeypatch.context() as patch:
        patch.setattr("lt_lightning.experiment.experiment.finish_tracking", lambda *_: None)  # as after a kill
        play_small(run, "logger=csv", resuming=True)
    assert find_unfinished(run, configure("logger=csv")) == ["logger.csv"]
    play_small(run, *elsewhere, resuming=True)
    assert find_unfinished(run, configure(*elsewhere)) == []
    assert find_unfinished(run, configure("logger=csv")) == ["logger.csv"]
    assert find_unfinished(run, configure()) == []
    for path in (run / "csv", tmp_path / "logs" / "custom" / "run"):
        rows = read_csv(path / "metrics.csv")
        assert [row["ticket/test_acc"] for row in rows] == [line[9] for line in numbers(plain)[1:]]
    (line,) = [one for one in caplog.messages if one.startswith("logger.csv: the run of before is not there; a new")]
    assert str(tmp_path / "logs") in line


def test_another_project_or_entity_or_folder_of_the_user_is_another_place(configure, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    chosen = ["logger=[csv,wandb,mlflow,trackio]", "logger.csv.save_dir=logs"]
    chosen.append("logger.mlflow.tracking_uri=http://me:pw@x")
    places = configure(*chosen).logger.places(Path.cwd())
    assert "pw" not in str(places)
    write_trackers(tmp_path, {name: {"where": place} for name, place in places.items()})
    mark_done(tmp_path, list(places))
    assert find_unfinished(tmp_path, configure(*chosen)) == []
    for more, names in {
        "logger.project=p": ["logger.wandb", "logger.mlflow", "logger.trackio"],
        "logger.wandb.project=p": ["logger.wandb"],
        "logger.wandb.entity=e": ["logger.wandb"],
        "logger.mlflow.experiment_name=e": ["logger.mlflow"],
        "logger.trackio.project=p": ["logger.trackio"],
    }.items():
        assert find_unfinished(tmp_path, configure(*chosen, more)) == names
    (tmp_path / "sub").mkdir()
    monkeypatch.chdir(tmp_path / "sub")
    assert find_unfinished(tmp_path, configure(*chosen)) == ["logger.csv"]


def test_marks_leave_out_what_was_logged(tmp_path):
    marks = Marks(tmp_path / "marks.json", fresh=True)
    marks.set({"a": 1.0, "b": 2.0}, 5)
    again = Marks(tmp_path / "marks.json", fresh=False)
    assert again.new({"a": 1.0, "c": 3.0}, 5) == {"c": 3.0}
    assert again.new({"a": 1.0}, 6) == {"a": 1.0}
    assert Marks(tmp_path / "marks.json", fresh=True).new({"a": 1.0}, 0) == {"a": 1.0}
    (tmp_path / "marks.json").write_text("{")
    assert Marks(tmp_path / "marks.json", fresh=False).new({"a": 1.0}, 0) == {"a": 1.0}


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # between MLflow and SQLAlchemy
def test_jobs_of_a_sweep_share_one_parent_run_and_have_places_of_their_own(play_small, monkeypatch, tmp_path):
    pytest.importorskip("mlflow")
    from mlflow.tracking import MlflowClient

    sweep = tmp_path / "2030-01-01"
    sweep.mkdir()
    (sweep / "sweep.json").write_text("{}")
    uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    more = ["logger=[csv,mlflow]", f"logger.mlflow.tracking_uri={uri}", "logger.name=pilot", "logger.csv.save_dir=logs"]
    monkeypatch.chdir(tmp_path)
    for job in ("0", "1"):
        play_small(sweep / job, *more, "pruning.rounds=0", epochs=1)
    for job in ("0", "1"):
        tickets = [row for row in read_csv(tmp_path / f"logs/custom/pilot-{job}/metrics.csv") if row["ticket/round"]]
        assert [row["ticket/test_acc"] for row in tickets] == [numbers(sweep / job)[1][9]]
    client = MlflowClient(uri)
    (experiment,) = client.search_experiments(filter_string="name = 'custom'")
    runs = client.search_runs([experiment.experiment_id])
    (parent,) = [run for run in runs if "lt_lightning.sweep" in run.data.tags]
    jobs = [run for run in runs if run is not parent]
    assert {run.data.tags["mlflow.parentRunId"] for run in jobs} == {parent.info.run_id}
    assert sorted(str(run.info.run_name) for run in jobs) == ["pilot-0", "pilot-1"]
    assert (parent.info.run_name, parent.info.status) == ("2030-01-01", "FINISHED")
    assert json.loads((sweep / "state" / "mlflow.json").read_text())["run_id"] == parent.info.run_id


def test_older_figures_are_not_sent_with_a_run_without_its_report(play_small, tmp_path, monkeypatch):
    sent = []
    monkeypatch.setattr(Tracking, "add_files", lambda tracking, files: sent.extend(one.path.name for one in files))
    run = tmp_path / "run"
    (run / "figures").mkdir(parents=True)
    (run / "figures/accuracy.png").touch()
    play_small(run, "logger=csv", "pruning.rounds=0", "trainer.max_epochs=1")
    assert sorted(sent) == ["epochs.csv", "layers.csv", "results.csv", "run.json"]
