"""A run that was cut off goes on, and ends with the numbers of one that was left alone."""

from hashlib import sha256
from pathlib import Path

import pytest
import torch
from cutting import EPOCHS, STEPS, Play

from lt_lightning.experiment.round_checkpoint import drop_checkpoints, find_checkpoint, kept_checkpoints
from lt_lightning.runs.rounds import find_standing
from trials.kills import outcome


@pytest.mark.slow
@pytest.mark.parametrize(("place", "kept"), [
    (0, 0), (STEPS - 1, 0), (STEPS, STEPS), (2 * STEPS + 3, 2 * STEPS), (EPOCHS * STEPS, EPOCHS * STEPS),
    ((EPOCHS + 2) * STEPS + 5, (EPOCHS + 2) * STEPS),
])  # fmt: skip
def test_a_run_that_is_cut_off_repeats_less_than_an_epoch_and_changes_nothing(
    whole: Path, play: Play, cut: Play, tmp_path: Path, steps: list[int], place: int, kept: int
) -> None:
    cut(tmp_path / "run", at=place)
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
    "double_precision": ["trainer.precision=64-true", "pruning.rewind=none", "pruning.renew=[fc.*]"],
    "movement": ["pruning.criterion=movement"],
    "magnitude_increase": ["pruning.criterion=magnitude_increase", "pruning.rewind=last"],
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
    # RigL's sums of gradients reach over the end of an epoch.
    "rigl": ["pruning.schedule=rigl", "pruning.density=0.2", "pruning.every=7", "pruning.grow_batches=5"],
    "set": ["pruning.schedule=set", "pruning.density=0.2", "pruning.every=4", "pruning.scope=erk", "optimizer=sgd"],
    "gradual": ["pruning.schedule=gradual", "pruning.density=0.1", "pruning.every=3", "pruning.criterion=movement"],
    "at_init": ["pruning.schedule=at_init", "pruning.density=0.1", "pruning.criterion=snip", "pruning.scope=global"],
    "rows": ["pruning.criterion=movement", "pruning.pattern=rows", "pruning.mask=shuffle"],
    "shuffle": ["pruning.rewind=shuffle", "pruning.keep=[fc.*]", "pruning.criterion=taylor"],
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("settings", SETTINGS)
def test_under_any_settings_a_run_that_is_cut_off_changes_nothing(play, tmp_path, steps, cut, settings):
    overrides = ["pruning.rounds=1", *SETTINGS[settings]]
    play(tmp_path / "whole", *overrides)
    in_all, run = steps[0], tmp_path / "run"
    cut(run, *overrides, at=in_all // 4)  # somewhere in round 0
    cut(run, *overrides, at=in_all // 2, resuming=True)  # half of all steps later: in round 1, if there is one
    play(run, *overrides, resuming=True)
    assert outcome(run) == outcome(tmp_path / "whole")


@pytest.mark.slow
def test_more_rounds_go_on_to_what_a_longer_run_gives(whole: Path, play: Play, tmp_path: Path) -> None:
    play(tmp_path / "run", "pruning.rounds=1")
    play(tmp_path / "run", "pruning.rounds=2", resuming=True)
    assert outcome(tmp_path / "run") == outcome(whole)


@pytest.mark.parametrize("criterion", ["movement", pytest.param("magnitude_increase", marks=pytest.mark.slow)])
def test_more_rounds_know_what_the_criterion_needs_of_earlier_ones(play: Play, tmp_path: Path, criterion: str) -> None:
    settings = [f"pruning.criterion={criterion}", "pruning.rewind=last"]
    whole = play(tmp_path / "whole", *settings, "pruning.rounds=2")
    run = play(tmp_path / "run", *settings, "pruning.rounds=1")
    play(run, *settings, "pruning.rounds=2", resuming=True)
    assert outcome(run) == outcome(whole)
    assert [path.name for path in sorted((run / "state").glob("memory*"))] == [
        f"memory_{number:02}.safetensors" for number in range(3)
    ]
    (run / "state/memory_01.safetensors").write_bytes(b"")
    standing = find_standing(run)
    assert (len(standing.rounds), [line.partition(":")[0] for line in standing.damages]) == (
        1, [str(run / "state/memory_01.safetensors")]
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("overrides", [["data.num_workers=2"], ["trainer.log_every_n_steps=1"]])
def test_workers_and_the_log_interval_change_nothing(whole, play, tmp_path, overrides):
    assert outcome(play(tmp_path / "run", *overrides)) == outcome(whole)


@pytest.mark.parametrize("round", [0, 1])
@pytest.mark.parametrize("rewind", ["init", "epoch:1"])
def test_weights_to_rewind_to_are_in_a_file_of_their_own_and_in_no_checkpoint(
    play: Play, cut: Play, tmp_path: Path, round: int, rewind: str
) -> None:
    run, settings = tmp_path / "run", (f"pruning.rewind={rewind}", "pruning.rounds=1")
    cut(run, *settings, at=(round * EPOCHS + 1) * STEPS + 3)  # in the second epoch of the round
    (kept,) = kept_checkpoints(run / "state")
    content = torch.load(kept, weights_only=True)
    (state,) = (state for key, state in content["callbacks"].items() if "PruningCallback" in key)
    assert (state["round"], "rewind_weights" in state) == (round, False)
    assert (run / "state/rewind.safetensors").exists()
    play(run, *settings, resuming=True)
    assert outcome(run) == outcome(play(tmp_path / "whole", *settings))


def test_a_checkpoint_whose_weights_to_rewind_to_are_gone_is_named_and_the_round_begins_anew(
    whole: Path, play: Play, cut: Play, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = tmp_path / "run"
    cut(run, at=STEPS + 3)
    (kept,) = kept_checkpoints(run / "state")
    (run / "state/rewind.safetensors").unlink()
    play(run, resuming=True)
    assert [line for line in caplog.messages if "the round starts anew" in line] == [
        f"{run}/state/rewind.safetensors: no such file, and {kept.name} refers to it; the round starts anew"
    ]
    assert outcome(run) == outcome(whole)


def write(folder: Path, round: int, epoch: int, content: bytes) -> Path:
    path = folder / f"round_{round:02}_epoch_{epoch:03}_{sha256(content).hexdigest()}.ckpt"
    path.write_bytes(content)
    return path


def test_the_newest_epoch_of_the_round_is_found(tmp_path: Path) -> None:
    older, newer = write(tmp_path, 1, 9, b"nine"), write(tmp_path, 1, 10, b"ten")
    write(tmp_path, 0, 12, b"before")
    write(tmp_path, 2, 11, b"after")
    assert find_checkpoint(tmp_path, 1) == (newer, 10, [])
    assert find_checkpoint(tmp_path, 3) == (None, 0, [])
    newer.unlink()
    assert find_checkpoint(tmp_path, 1) == (older, 9, [])
    drop_checkpoints(tmp_path, keep=1)
    assert [*tmp_path.iterdir()] == [older]


def test_a_changed_checkpoint_is_named_and_the_one_before_is_found(tmp_path: Path) -> None:
    older, newer = write(tmp_path, 1, 1, b"one"), write(tmp_path, 1, 2, b"two")
    for content in (b"", b"tw", b"twp", b"two "):
        newer.write_bytes(content)
        found, epochs, (damage,) = find_checkpoint(tmp_path, 1)
        assert (found, epochs) == (older, 1)
        assert damage == f"{newer}: cut off or changed since it was written: its checksum does not fit its name"
