"""Runs that their search stops: what they record, and that all their processes stop together."""

import csv
import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from lt_lightning.experiment.stopping import Watch
from lt_lightning.runs.description import Description
from lt_lightning.runs.records import Record
from lt_lightning.search.storage import JOURNAL
from lt_lightning.search.study import StudyPlace, open_study
from lt_lightning.search.trial import FOLDER, STOPPED, TrialPlace
from trials.kills import small_run

optuna = pytest.importorskip("optuna", reason="needs the extra [optuna]")

ROUNDS = tuple(
    Record(round, 1 - 0.5**round, 1000 >> round, 1000, 1, 0.5, 1.0, valid, 9.0, 0.1, 1.0)
    for round, valid in enumerate((0.8, 0.3, 0.7, 0.6))
)


def open_trial(folder: Path, lower: float) -> tuple[Any, TrialPlace]:
    """Return a study with one trial that is hopeless below `lower`, and the trial's place."""
    place = StudyPlace(str(folder / JOURNAL), "s", "threshold", {"lower": lower})
    study, _ = open_study(place, "maximize", {})
    study.ask()
    return study, TrialPlace(place, 0, str(folder / "run"))


def watch(place: TrialPlace, *, is_writer: bool = True) -> Watch:
    config: Any = SimpleNamespace(objective=None)
    return Watch(config, place, is_writer, last=3)


def test_processes_that_cannot_communicate_yet_stop_after_the_next_round(tmp_path, monkeypatch) -> None:
    study, place = open_trial(tmp_path, lower=0.5)
    described = replace(Description.from_json({"config": {}}), processes=2)
    ranks = [watch(place, is_writer=rank == 0) for rank in (0, 1)]
    # Rounds 0 and 1 are over as the run resumes; round 1 was not told to the search.
    assert [one.is_hopeless(described, ROUNDS[:2]) for one in ranks] == [False, False]
    assert study.trials[0].intermediate_values == {}
    sent: list[list[bool]] = []
    monkeypatch.setattr("torch.distributed.is_initialized", lambda: True)
    monkeypatch.setattr("torch.distributed.broadcast_object_list", lambda values, src: sent.append(values))
    assert ranks[0].is_hopeless(described, ROUNDS[:3])
    monkeypatch.setattr(
        "torch.distributed.broadcast_object_list", lambda values, src: values.__setitem__(0, sent[0][0])
    )
    assert ranks[1].is_hopeless(described, ROUNDS[:3])
    # The pruner was asked after round 1 as well: round 2 alone is good enough.
    assert study.trials[0].intermediate_values == {0: 0.8, 1: 0.3, 2: 0.7}
    assert study.trials[0].user_attrs == {FOLDER: str(tmp_path / "run"), STOPPED: 2}
    assert [one.line for one in ranks] == ["stopped after round 2: trial 0 of its search is hopeless"] * 2


def test_a_run_is_not_stopped_after_its_last_round(tmp_path) -> None:
    study, place = open_trial(tmp_path, lower=0.5)
    for processes in (1, 2):
        described = replace(Description.from_json({"config": {}}), processes=processes)
        assert not watch(place).is_hopeless(described, ROUNDS)
    assert study.trials[0].intermediate_values == {0: 0.8, 1: 0.3, 2: 0.7, 3: 0.6}
    assert STOPPED not in study.trials[0].user_attrs


@pytest.mark.slow
def test_a_hopeless_run_keeps_its_rounds_and_records_that_it_was_stopped(run_settings, corpus, tmp_path) -> None:
    study, place = open_trial(tmp_path, lower=1.1)
    small = small_run("trainer.max_epochs=1")
    run = run_settings(("data=files", f"data.path={corpus}", *small), run=tmp_path / "run", trial=place)
    with (run / "results.csv").open() as file:
        rounds = list(csv.DictReader(file))
    described = json.loads((run / "run.json").read_text())
    assert (len(rounds), described["stopped"]) == (1, "stopped after round 0: trial 0 of its search is hopeless")
    assert described["finished"] is not None
    assert study.trials[0].user_attrs == {FOLDER: str(run), STOPPED: 0}
    assert study.trials[0].intermediate_values == {0: pytest.approx(float(rounds[0]["valid_acc"]))}
