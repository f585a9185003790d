"""`PruningCallback` and Lightning's checkpoints: a round that was cut off goes on as if nothing had happened."""

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from pruning_helpers import Batches, Classifier, StopError, Weights, Witness, copy, equal, make_trainer, masked
from pytorch_lightning.callbacks import ModelCheckpoint
from torch import Tensor, nn, optim

from lt_lightning.callbacks import PruningCallback
from lt_lightning.lottery import Mask

pytestmark = pytest.mark.filterwarnings("ignore:Checkpoint directory .* exists and is not empty")


class Validated(Classifier):
    def __init__(self) -> None:
        super().__init__(lambda params: optim.Adam(params, 0.05))

    def validation_step(self, batch: tuple[Tensor, Tensor], index: int) -> None:
        self.log("valid_loss", self.training_step(batch, index))


class Resumable(Batches):
    """Batches that go on in the middle of an epoch, as Lightning lets stateful loaders do."""

    _next = 0

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        for index, batch in list(enumerate(super().__iter__()))[self._next :]:
            self._next = (index + 1) % len(self)
            yield batch

    def state_dict(self) -> dict[str, int]:
        return {"next": self._next}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self._next = state["next"]


class StopAt(pl.Callback):
    def __init__(self, step: int) -> None:
        self.step = step

    def on_before_optimizer_step(self, trainer: pl.Trainer, *_: Any) -> None:
        if trainer.global_step == self.step:
            raise StopError


def fit(module: nn.Module, *callbacks: pl.Callback, ckpt_path: Path | None = None) -> None:
    trainer = make_trainer(
        *callbacks,
        max_epochs=3,
        num_sanity_val_steps=0,
        enable_checkpointing=any(isinstance(callback, ModelCheckpoint) for callback in callbacks),
    )
    trainer.fit(module, Resumable(), Batches(1, seed=9), ckpt_path=ckpt_path)


def newest(folder: Path) -> Path:
    return max(folder.glob("*.ckpt"), key=lambda path: torch.load(path, weights_only=True)["global_step"])


def play(
    settings: dict[str, Any], cut: tuple[int, int] | None = None, saver: ModelCheckpoint | None = None
) -> tuple[list[Weights], list[Weights], list[Mask]]:
    """Play four rounds; `cut` is the round and the step where the process dies, to go on from the newest checkpoint.

    Returns:
        For each round the weights at its start (not known for one that was cut off), at its end, and its mask.
    """
    module, pruning = Validated(), PruningCallback(**settings)
    starts, ends, masks = [], [], []
    for round in range(4):
        witness = Witness()
        if saver is not None and cut is not None and cut[0] == round:
            with pytest.raises(StopError):
                fit(module, pruning, saver, StopAt(cut[1]))
            # Another process: nothing is left but the file.
            module, pruning = Validated(), PruningCallback(**settings)
            fit(module, pruning, saver, ckpt_path=newest(Path(saver.dirpath)))
        else:
            fit(module, pruning, witness)
        assert pruning.round == round
        starts.append(witness.start)
        ends.append(copy(module))
        masks.append(pruning.mask)
    return starts, ends, masks


@cache
def play_whole(**settings: Any) -> tuple[list[Weights], list[Weights], list[Mask]]:
    """Play four rounds that nothing cuts off."""
    return play(settings)


SAVING = {
    "end_of_epoch": {"save_on_train_epoch_end": True},
    "end_of_validation": {"save_on_train_epoch_end": False},
    "mid_epoch": {"every_n_train_steps": 3},
}


@pytest.mark.parametrize("rewind", ["init", "epoch:2", "step:3", "step:9", "last", "random"])
@pytest.mark.parametrize("cut", [(0, 10), (2, 5)], ids=["round_0", "round_2"])
@pytest.mark.parametrize("saving", SAVING)
def test_a_round_that_was_cut_off_goes_on_to_the_same_weights_and_masks(tmp_path, saving, cut, rewind):
    settings = {"rewind": rewind, "amount": 0.3, "seed": 3}
    whole = play_whole(**settings)
    cut_off = play(settings, cut, ModelCheckpoint(tmp_path, save_top_k=-1, **SAVING[saving]))
    assert cut_off[2] == whole[2]
    for round, (left, right) in enumerate(zip(cut_off[1], whole[1], strict=True)):
        assert equal(left, right), f"end of round {round}"
    for round, (left, right) in enumerate(zip(cut_off[0], whole[0], strict=True)):
        assert round == cut[0] or equal(left, right), f"start of round {round}"


@pytest.mark.parametrize("saving", ["end_of_epoch", "end_of_validation"])
@pytest.mark.parametrize("rewind", ["init", "epoch:3", "last"])
@pytest.mark.parametrize("round", [0, 1])
def test_a_round_whose_last_epoch_was_saved_is_over_when_it_is_taken_up(tmp_path, saving, rewind, round):
    class StopAtTheEnd(pl.Callback):
        def on_train_end(self, *_: Any) -> None:
            raise StopError

    whole = play_whole(rewind=rewind)
    saver = ModelCheckpoint(tmp_path, save_top_k=-1, **SAVING[saving])
    module, pruning = Validated(), PruningCallback(rewind=rewind)
    for _ in range(round):
        fit(module, pruning)
    with pytest.raises(StopError):
        fit(module, StopAtTheEnd(), pruning, saver)
    module, pruning, witness = Validated(), PruningCallback(rewind=rewind), Witness()
    fit(module, pruning, saver, ckpt_path=newest(tmp_path))
    assert pruning.round == round
    assert equal(copy(module), whole[1][round])
    fit(module, pruning, witness)
    assert pruning.round == round + 1
    assert equal(witness.start, whole[0][round + 1])


def test_a_checkpoint_is_plain_values_and_tensors_and_holds_the_lottery(tmp_path):
    module, pruning, witness = Validated(), PruningCallback(amount=0.5, scope="global", rewind="step:1"), Witness()
    fit(module, pruning, witness)
    fit(module, pruning, ModelCheckpoint(tmp_path, filename="one"))
    state = torch.load(tmp_path / "one.ckpt", weights_only=True)["callbacks"][PruningCallback().state_key]
    assert (state["round"], state["training"]) == (1, True)
    assert Mask(state["mask"]) == pruning.mask
    assert equal(state["rewind_weights"], witness.steps[0])


def test_the_weights_in_a_checkpoint_are_zero_where_its_mask_says(tmp_path):
    module, pruning = Validated(), PruningCallback(amount=0.5)
    fit(module, pruning)
    fit(module, pruning, ModelCheckpoint(tmp_path, every_n_train_steps=1, save_top_k=-1))
    paths = list(tmp_path.glob("*.ckpt"))
    assert len(paths) == 12
    for path in paths:
        saved = torch.load(path, weights_only=True)
        lottery = saved["callbacks"][PruningCallback().state_key]
        assert equal(saved["state_dict"], masked(saved["state_dict"], lottery["mask"]))


def test_a_checkpoint_without_optimizer_states_still_holds_the_round(tmp_path):
    module, pruning = Validated(), PruningCallback(amount=0.5)
    fit(module, pruning)
    fit(module, pruning, ModelCheckpoint(tmp_path, filename="light", save_weights_only=True))
    saved = torch.load(tmp_path / "light.ckpt", weights_only=True)
    assert "callbacks" not in saved  # Lightning's choice; the zeros are in the weights all the same
    assert equal(saved["state_dict"], masked(saved["state_dict"], pruning.mask))
