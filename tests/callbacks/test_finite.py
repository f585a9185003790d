"""A loss that is NaN or infinite stops the run where it happened."""

import math

import pytest
import pytorch_lightning as pl
import torch
from pruning_helpers import Batches, Classifier, equal, make_trainer
from torch import Tensor

from lt_lightning.callbacks import FiniteLossCallback
from lt_lightning.callbacks.finite_loss import note_first_bad
from lt_lightning.errors import SettingError

pytestmark = pytest.mark.filterwarnings("ignore:.*does not have many workers")


class Diverging(Classifier):
    def __init__(self, bad: dict[int, float]) -> None:
        super().__init__()
        self.bad = bad
        self.before: dict[str, Tensor] = {}

    def training_step(self, batch: tuple[Tensor, Tensor], index: int) -> Tensor:
        self.before = {name: tensor.clone() for name, tensor in self.named_parameters()}
        return super().training_step(batch, index) * self.bad.get(self.trainer.global_step + 1, 1.0)


class Measured(Classifier):
    def __init__(self, loss: float) -> None:
        super().__init__()
        self.loss = loss

    def validation_step(self, batch: tuple[Tensor, Tensor], index: int) -> None:
        self.log("valid_loss", self.loss, batch_size=6)

    def test_step(self, batch: tuple[Tensor, Tensor], index: int) -> None:
        self.log("test_loss", self.loss, batch_size=6)


class EpochsSeen(pl.Callback):
    def __init__(self) -> None:
        self.epochs: list[int] = []

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.epochs.append(trainer.current_epoch + 1)


@pytest.mark.parametrize("look_every", [None, 1, 3, 50])
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_training_loss_that_is_not_finite_is_named_by_its_step(look_every: int | None, value: float) -> None:
    seen, module = EpochsSeen(), Diverging({6: value, 7: math.nan})
    trainer = make_trainer(FiniteLossCallback(2, look_every), seen, max_epochs=3)
    said = rf"^round 2, epoch 2, step 6: the training loss is {value}; lower optimizer\.lr.*the rounds before are kept$"
    with pytest.raises(SettingError, match=said):
        trainer.fit(module, Batches())
    assert seen.epochs == [1]
    assert look_every in (3, 50) or equal(dict(module.named_parameters()), module.before)  # those before the bad loss


def test_steps_are_counted_as_the_optimizer_takes_them() -> None:
    trainer = make_trainer(FiniteLossCallback(0), max_epochs=2, accumulate_grad_batches=2)
    with pytest.raises(SettingError, match=r"^round 0, epoch 2, step 3: .*gradient_clip_val=1\)$"):
        trainer.fit(Diverging({3: math.inf}), Batches())


def test_a_validation_loss_that_is_not_finite_stops_before_early_stopping_ends_the_round_quietly() -> None:
    stopping = pl.callbacks.EarlyStopping("valid_loss")
    trainer = make_trainer(FiniteLossCallback(1), stopping, max_epochs=3, num_sanity_val_steps=1)
    with pytest.raises(SettingError, match=r"^round 1, epoch 1, step 4: the validation loss is nan; "):
        trainer.fit(Measured(math.nan), Batches(), Batches(2))


def test_a_test_loss_that_is_not_finite_stops() -> None:
    with pytest.raises(SettingError, match=r"the test loss is inf; "):
        make_trainer(FiniteLossCallback(1)).test(Measured(math.inf), Batches(), verbose=False)


@pytest.mark.parametrize("look_every", [None, 3])
def test_finite_losses_pass_and_a_module_may_log_none(look_every: int | None) -> None:
    callback = FiniteLossCallback(0, look_every)
    for _ in range(2):
        trainer = make_trainer(callback, max_epochs=2)
        trainer.fit(Classifier(), Batches())
        assert trainer.global_step == 8


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_a_late_step_is_noted_exactly_in_any_precision(dtype: torch.dtype) -> None:
    first = note_first_bad(None, torch.tensor(1.0, dtype=dtype), 10_000_000)
    first = note_first_bad(first, torch.tensor(math.nan, dtype=dtype), 10_000_001)
    first = note_first_bad(first, torch.tensor(math.inf, dtype=dtype), 10_000_002)
    assert first[0] == 10_000_001
    assert first[1].isnan()
