"""A small run that can be played, cut off and gone on with, in this process."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from cutting import Play, StopError

from lt_lightning.config.schema import Config
from lt_lightning.data.corpus import load_corpus
from lt_lightning.experiment.experiment import run_experiment
from lt_lightning.models import Learner
from trials.kills import small_run, write_corpus


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "corpus"
    write_corpus(folder)
    return folder


@pytest.fixture(scope="module")
def play(corpus: Path, configure: Callable[..., Config]) -> Iterator[Play]:
    """Plays a run in this process, without its figures."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("lt_lightning.experiment.experiment.draw_report", lambda run: run)

        def play(run: Path, *overrides: str, resuming: bool = False) -> Path:
            config = configure("data=files", f"data.path={corpus}", *small_run(*overrides))
            run.mkdir(exist_ok=True)
            run_experiment(config, load_corpus(config.data), run, list(overrides), resuming=resuming)
            return run

        yield play


@pytest.fixture(scope="module")
def whole(play: Play, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was left alone: rounds 0 to 2 of three epochs each."""
    return play(tmp_path_factory.mktemp("run"))


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Counts training steps; a second number says before which of them to stop."""
    counted = [0, sys.maxsize]
    original = Learner.training_step

    def step(self: Learner, batch: Any, batch_idx: int) -> torch.Tensor:
        if counted[0] == counted[1]:
            raise StopError
        counted[0] += 1
        return original(self, batch, batch_idx)

    monkeypatch.setattr(Learner, "training_step", step)
    return counted
