"""A small run that can be played, cut off and gone on with, in this process."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from cutting import Play, StopError

from lt_lightning.config.schema import Config
from lt_lightning.data.corpus import load_corpus
from lt_lightning.experiment.resume.compare import check_same
from lt_lightning.models import Learner
from lt_lightning.runs.rounds import find_standing
from trials.kills import SMALL


@pytest.fixture(scope="module")
def play(play_small: Play) -> Play:
    return play_small


@pytest.fixture(scope="module")
def whole(play: Play, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that was left alone: rounds 0 to 2 of three epochs each."""
    return play(tmp_path_factory.mktemp("run"))


@pytest.fixture
def cut(play: Play, steps: list[int]) -> Play:
    """Run settings until before a training step, `cut(run, *overrides, at=step)`, and count steps anew afterwards."""

    def cut(run: Path, *overrides: str, at: int, resuming: bool = False) -> Path:
        steps[:] = [0, at]
        with pytest.raises(StopError):
            play(run, *overrides, resuming=resuming)
        steps[:] = [0, sys.maxsize]
        return run

    return cut


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


@pytest.fixture
def check(corpus: Path, configure: Callable[..., Config]) -> Callable[..., None]:
    """Compare a run with the settings that it is to go on with: `check(run, *overrides, path=corpus)`."""

    def check(run: Path, *overrides: str, path: Path = corpus) -> None:
        config = configure("data=files", f"data.path={path}", *SMALL, *overrides)
        check_same(run, config, dict(load_corpus(config.data).fingerprints), find_standing(run))

    return check
