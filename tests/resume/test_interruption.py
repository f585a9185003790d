"""A run that was cut off goes on, and ends with the numbers of one that was left alone."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from cutting import EPOCHS, STEPS, Play, StopError

from lt_lightning.experiment.round_checkpoint import kept_checkpoints
from trials.kills import outcome

pytestmark = pytest.mark.filterwarnings("ignore:.*LeafSpec")


@pytest.mark.parametrize(
    ("place", "kept"),
    [
        (0, 0),
        (STEPS - 1, 0),
        (STEPS, STEPS),
        (2 * STEPS + 3, 2 * STEPS),
        (EPOCHS * STEPS, EPOCHS * STEPS),
        ((EPOCHS + 2) * STEPS + 5, (EPOCHS + 2) * STEPS),
    ],
)
def test_a_run_that_is_cut_off_repeats_less_than_an_epoch_and_changes_nothing(
    whole: Path, play: Play, tmp_path: Path, steps: list[int], place: int, kept: int
) -> None:
    steps[1] = place
    with pytest.raises(StopError):
        play(tmp_path / "run")
    steps[:] = [0, sys.maxsize]
    play(tmp_path / "run", resuming=True)
    assert steps[0] == 3 * EPOCHS * STEPS - kept
    assert outcome(tmp_path / "run") == outcome(whole)
    assert not kept_checkpoints(tmp_path / "run" / "state")


SETTINGS = {
    "early_stopping": ["early_stopping.patience=1", "test_on=best", "optimizer.lr=0.05", "trainer.max_epochs=8"],
    "min_epochs": ["early_stopping.patience=1", "trainer.min_epochs=6", "optimizer.lr=0.05", "trainer.max_epochs=8"],
    "max_steps": ["trainer.max_steps=40"],
    "clipping": ["trainer.gradient_clip_val=0.1", "trainer.accumulate_grad_batches=3", "optimizer=adamw"],
    "validates_rarely": ["trainer.check_val_every_n_epoch=2", "test_on=best"],
    "recurrent": ["model=birnn", "model.hidden=5", "pruning.rewind=last"],
    "bf16": ["trainer.precision=bf16-mixed", "pruning.rewind=step:20"],
    "double_precision": ["trainer.precision=64-true", "pruning.rewind=none"],
    "workers": ["data.num_workers=1", "trainer.max_epochs=2"],
    "cosine": [
        "optimizer=custom", "optimizer._target_=torch.optim.RMSprop", "scheduler=cosine", "scheduler.warmup=0.2",
    ],
    "onecycle": ["scheduler=onecycle", "trainer.max_steps=40", "trainer.accumulate_grad_batches=2", "optimizer=sgd"],
    "exponential": [
        "scheduler=custom", "scheduler._target_=torch.optim.lr_scheduler.ExponentialLR", "+scheduler.gamma=0.5",
    ],
    "plateau": [
        "scheduler=custom", "scheduler._target_=torch.optim.lr_scheduler.ReduceLROnPlateau", "+scheduler.patience=0",
        "+scheduler.threshold=0.5", "trainer.max_epochs=6",
    ],
}  # fmt: skip


QUICK = ("early_stopping", "workers", "cosine")


@pytest.mark.parametrize(
    "settings", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in SETTINGS]
)
def test_under_any_settings_a_run_that_is_cut_off_changes_nothing(
    play: Play, tmp_path: Path, steps: list[int], settings: str
) -> None:
    overrides = ["pruning.rounds=1", *SETTINGS[settings]]
    play(tmp_path / "whole", *overrides)
    in_all = steps[0]
    for numerator in (1, 3):  # somewhere in round 0 and in round 1
        run = tmp_path / f"run_{numerator}"
        steps[:] = [0, in_all * numerator // 4]
        with pytest.raises(StopError):
            play(run, *overrides)
        steps[:] = [0, sys.maxsize]
        play(run, *overrides, resuming=True)
        assert outcome(run) == outcome(tmp_path / "whole")


def test_more_rounds_go_on_to_what_a_longer_run_gives(whole: Path, play: Play, tmp_path: Path) -> None:
    play(tmp_path / "run", "pruning.rounds=1")
    play(tmp_path / "run", "pruning.rounds=2", resuming=True)
    assert outcome(tmp_path / "run") == outcome(whole)


@pytest.mark.slow
@pytest.mark.parametrize("overrides", [["data.num_workers=2"], ["trainer.log_every_n_steps=1"]])
def test_workers_and_the_log_interval_change_nothing(
    whole: Path, play: Play, tmp_path: Path, overrides: list[str]
) -> None:
    assert outcome(play(tmp_path / "run", *overrides)) == outcome(whole)
