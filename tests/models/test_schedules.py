"""Learning rates at each step, against torch's own schedulers, and in a fit."""

import warnings
from collections.abc import Callable
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from torch import nn, optim
from torch.optim import lr_scheduler
from torch.utils.data import DataLoader, TensorDataset

from lt_lightning.config.schema import Config
from lt_lightning.errors import SettingError
from lt_lightning.models import Learner
from lt_lightning.models.build import build_scheduler
from lt_lightning.models.schedules import cosine, linear_warmup, onecycle

pytestmark = pytest.mark.filterwarnings("ignore:.*does not have many workers")

LR = 0.3
EXPONENTIAL = ("scheduler=custom", "scheduler._target_=torch.optim.lr_scheduler.ExponentialLR", "+scheduler.gamma=0.5")


def fresh_optimizer() -> optim.Optimizer:
    return optim.SGD([nn.Parameter(torch.zeros(1))], lr=LR)


def rates(scheduler: lr_scheduler.LRScheduler, steps: int) -> list[float]:
    seen = []
    for _ in range(steps):
        seen.append(scheduler.optimizer.param_groups[0]["lr"])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # SequentialLR steps its parts with an epoch, which torch warns about
            scheduler.optimizer.step()
            scheduler.step()
    return seen


def behind_a_rise(optimizer: optim.Optimizer, steps: int, fall: lr_scheduler.LRScheduler) -> lr_scheduler.LRScheduler:
    rise = lr_scheduler.LinearLR(optimizer, 1 / (steps + 1), total_iters=steps)
    return lr_scheduler.SequentialLR(optimizer, [rise, fall], [steps])


@pytest.mark.slow
@pytest.mark.parametrize("rise", [0, 1, 7])
@pytest.mark.parametrize("final", [0.0, 0.2])
@pytest.mark.parametrize("name", ["linear_warmup", "cosine"])
def test_a_rise_and_a_fall_are_those_of_torch(configure: Callable[..., Config], name: str, rise: int, final: float):
    total = 20
    settings = configure(f"scheduler={name}", f"scheduler.warmup={rise / total}", f"scheduler.final={final}").scheduler
    ours = rates(build_scheduler(settings, fresh_optimizer(), total)["scheduler"], total)
    optimizer = fresh_optimizer()
    if name == "cosine":
        fall: Any = lr_scheduler.CosineAnnealingLR(optimizer, total - rise, eta_min=final * LR)
    else:
        fall = lr_scheduler.LinearLR(optimizer, 1.0, final, total - rise)
    theirs = rates(behind_a_rise(optimizer, rise, fall) if rise else fall, total)
    assert ours == pytest.approx(theirs, abs=1e-12)
    assert ours[rise] == LR


@pytest.mark.slow
@pytest.mark.parametrize(("total", "warmup"), [(1, 0.3), (20, 0.3), (7, 0.0), (33, 0.9)])
def test_one_cycle_is_that_of_torch(configure: Callable[..., Config], total: int, warmup: float):
    settings = configure("scheduler=onecycle", f"scheduler.warmup={warmup}", "scheduler.div_factor=10").scheduler
    ours = rates(build_scheduler(settings, fresh_optimizer(), total)["scheduler"], total)
    shape = {"pct_start": warmup, "div_factor": 10, "final_div_factor": 1e4, "cycle_momentum": False}
    theirs = rates(lr_scheduler.OneCycleLR(fresh_optimizer(), LR, total_steps=total, **shape), total)
    assert ours == pytest.approx(theirs, abs=1e-12)


@pytest.mark.parametrize("total", [1, 2, 10, 1000])
@pytest.mark.parametrize("warmup", [0.0, 0.001, 0.1, 0.5, 0.99])
def test_rates_are_shares_up_to_the_last_step_and_behind_it(total: int, warmup: float):
    # torch's OneCycleLR divides by zero where the rise is one step long, as in 10 steps with a warmup of 0.1.
    for step in range(total + 3):
        for share in (
            linear_warmup(step, total=total, warmup=warmup, final=0.0),
            cosine(step, total=total, warmup=warmup, final=0.0),
            onecycle(step, total=total, warmup=warmup, div_factor=25.0, final_div_factor=1e4),
        ):
            assert 0 <= share <= 1


def fit_rates(scheduler: Any, **arguments: Any) -> list[float]:
    """Return the rate of each optimizer step of a fit on 10 batches an epoch."""
    seen: list[float] = []

    class Watched(optim.SGD):
        def step(self, closure: Any = None) -> Any:
            seen.append(self.param_groups[0]["lr"])
            return super().step(closure)

    def make(optimizer: optim.Optimizer, steps: int) -> Any:
        return build_scheduler(scheduler, optimizer, steps)

    class Plain(Learner):
        def training_step(self, batch: Any, batch_idx: int) -> torch.Tensor:
            return self.network(batch[0]).sum()

        def validation_step(self, batch: Any, batch_idx: int) -> None:
            self.valid_loss.add(torch.tensor(1.0), 1)

        def on_train_epoch_end(self) -> None:
            pass

        def on_validation_epoch_end(self) -> None:
            self.log("valid_loss", self.valid_loss.compute())

    learner = Plain(nn.Linear(1, 1), 2, lambda parameters: Watched(parameters, lr=LR), scheduler=make)
    rows = DataLoader(TensorDataset(torch.ones(10, 1)), 1)
    trainer = pl.Trainer(
        accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, num_sanity_val_steps=0, **{"max_epochs": 2, **arguments},
    )  # fmt: skip
    trainer.fit(learner, rows, rows)
    return seen


@pytest.mark.slow
@pytest.mark.parametrize(("arguments", "steps"), [
    ({}, 20), ({"accumulate_grad_batches": 3}, 8), ({"limit_train_batches": 4}, 8),
    ({"limit_train_batches": 0.5, "accumulate_grad_batches": 2}, 6), ({"max_steps": 13}, 13),
])  # fmt: skip
def test_a_schedule_is_over_the_steps_of_the_fit(configure: Callable[..., Config], arguments: Any, steps: int):
    settings = configure("scheduler=cosine", "scheduler.warmup=0.25").scheduler
    expected = [LR * cosine(step, total=steps, warmup=0.25, final=0.0) for step in range(steps)]
    assert fit_rates(settings, **arguments) == pytest.approx(expected, abs=1e-12)


@pytest.mark.slow
def test_a_custom_schedule_steps_at_each_epoch_or_at_each_step(configure: Callable[..., Config]):
    by_epoch, by_step = (configure(*EXPONENTIAL, *more).scheduler for more in ((), ("scheduler.interval=step",)))
    assert fit_rates(by_epoch, max_epochs=3) == pytest.approx([LR] * 10 + [LR / 2] * 10 + [LR / 4] * 10)
    assert fit_rates(by_step, max_epochs=1) == pytest.approx([LR / 2**step for step in range(10)])


@pytest.mark.slow
def test_a_plateau_is_one_of_the_validation_loss(configure: Callable[..., Config]):
    target = "scheduler._target_=torch.optim.lr_scheduler.ReduceLROnPlateau"
    settings = configure("scheduler=custom", target, "+scheduler.patience=0").scheduler
    assert fit_rates(settings, max_epochs=3) == pytest.approx([LR] * 20 + [LR / 10] * 10)


@pytest.mark.slow
@pytest.mark.parametrize(("overrides", "said"), [
    (("scheduler=custom",), "scheduler._target_: there is no value"),
    ((*EXPONENTIAL[:2], "+scheduler.gama=0.5"), "scheduler: torch.optim.lr_scheduler.ExponentialLR takes no argum"),
    (EXPONENTIAL[:2], "scheduler: torch.optim.lr_scheduler.ExponentialLR needs gamma; add what is missing"),
    (("scheduler=custom", "scheduler._target_=builtins.dict"), "scheduler._target_: builtins.dict makes a dict"),
    ((*EXPONENTIAL, "scheduler.interval=batch"), "scheduler.interval: batch is none of step, epoch"),
    (("scheduler=cosin",), "scheduler: there is no 'cosin'; did you mean cosine?"),
    (("scheduler=cosine", "scheduler.warmup=1"), "scheduler.warmup: 1.0 is not between 0 (included) and 1"),
    (("scheduler=cosine", "scheduler.final=2"), "scheduler.final: 2.0 is not between 0 and 1"),
    (("scheduler=onecycle", "scheduler.div_factor=0.5"), "scheduler.div_factor: 0.5 is not a finite number"),
    (("scheduler=onecycle", "+scheduler.final=0.5"), "scheduler.final: scheduler=onecycle does not read it; it re"),
    (("scheduler.warmup=0.1",), "scheduler.warmup: scheduler=none does not read it; it reads none"),
])  # fmt: skip
def test_what_a_schedule_cannot_be_is_one_line(configure: Callable[..., Config], overrides: tuple[str, ...], said: str):
    with pytest.raises(SettingError) as error:
        build_scheduler(configure(*overrides).scheduler, fresh_optimizer(), 10)
    assert str(error.value).startswith(said)
    assert "\n" not in str(error.value)
