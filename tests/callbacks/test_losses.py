"""Criteria that ask for `gradients`: their values, and what computing them leaves alone."""

import threading
from collections.abc import Mapping
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from pruning_helpers import Batches, Classifier, copy, make_trainer
from torch import Tensor, nn

from lt_lightning.callbacks import PruningCallback
from lt_lightning.lottery import Lottery, LotteryError, Mask, Settings


class Uneven(Batches):
    def __init__(self) -> None:
        super().__init__(count=3)
        inputs, targets = self._batches[-1]
        self._batches[-1] = (inputs[:2], targets[:2])


class Logging(Classifier):
    """Drops units, logs, and counts its steps in a buffer, as third-party modules do."""

    def __init__(self) -> None:
        super().__init__(layers=lambda: nn.Sequential(nn.Linear(5, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Tanh()))
        self.unused = nn.Parameter(torch.ones(2))
        self.register_buffer("steps", torch.zeros(()))

    def training_step(self, batch: tuple[Tensor, Tensor]) -> Any:
        self.steps += 1
        loss = super().training_step(batch, 0)
        self.log("loss", loss, batch_size=len(batch[0]))
        return {"loss": loss}


class Data(pl.LightningDataModule):
    def train_dataloader(self) -> Uneven:
        return Uneven()


class Loading(Logging):
    def train_dataloader(self) -> Uneven:
        return Uneven()


def by_hand(module: nn.Module, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The gradient of the mean loss over all rows, in one batch and evaluation mode."""
    twin = Logging()
    twin.load_state_dict(weights)
    twin.eval()
    inputs, targets = (torch.cat(parts) for parts in zip(*Uneven(), strict=True))
    nn.functional.cross_entropy(twin(inputs), targets).backward()
    return {
        name: torch.zeros_like(p) if p.grad is None else p.grad
        for name, p in twin.named_parameters()
    }  # fmt: skip


@pytest.mark.parametrize("way", ["loader", "module", "datamodule"])
def test_gradients_are_those_of_the_mean_loss_over_all_rows_and_computing_them_changes_nothing(way: str) -> None:
    seen: list[dict[str, Tensor]] = []

    def snip(parameters: Mapping[str, Tensor], gradients: Mapping[str, Tensor]) -> dict[str, Tensor]:
        seen.append(dict(gradients))
        return {name: (p * gradients[name]).abs() for name, p in parameters.items()}

    module = Loading() if way == "module" else Logging()
    data = {"loader": {"train_dataloaders": Uneven()}, "module": {}, "datamodule": {"datamodule": Data()}}[way]
    pruning = PruningCallback(amount=0.4, criterion=snip, scope="global", rewind="none")
    make_trainer(pruning).fit(module, **data)
    assert seen == []
    left = copy(module)

    class Watch(pl.Callback):
        def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
            self.random = torch.get_rng_state()
            self.modes = [one.training for one in pl_module.modules()]
            self.grads = [p.grad for p in pl_module.parameters()]

    before, after = Watch(), Watch()
    trainer = make_trainer(before, pruning, after, max_epochs=1)
    trainer.fit(module, **data)
    expected = by_hand(module, left)
    assert list(seen[0]) == list(expected)
    for name, gradient in expected.items():
        torch.testing.assert_close(seen[0][name], gradient)
    scores = {name: (left[name] * seen[0][name]).abs() for name in expected}
    lowest = torch.cat([score.flatten() for score in scores.values()]).sort(stable=True).indices
    kept = torch.ones(len(lowest), dtype=torch.bool)
    kept[lowest[: round(0.4 * len(lowest))]] = False
    assert torch.equal(torch.cat([alive.flatten() for alive in pruning.mask.values()]), kept)
    assert torch.equal(before.random, after.random)
    assert (before.modes, before.grads) == (after.modes, after.grads)
    assert module.steps == left["steps"] + 3  # of training alone


def test_gradients_of_a_part_have_its_names_and_no_more_than_the_first_batches_count() -> None:
    seen: list[Mapping[str, Tensor]] = []

    def criterion(gradients: Mapping[str, Tensor], parameters: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        seen.append(gradients)
        return {name: gradients[name].abs() for name in parameters}

    module, pruning = Classifier(), PruningCallback(criterion=criterion, submodule="head", score_batches=1)
    make_trainer(pruning).fit(module, Batches())
    left = copy(module)
    make_trainer(pruning).fit(module, Batches())
    twin = Classifier()
    twin.load_state_dict(left)
    twin.eval().training_step(next(iter(Batches())), 0).backward()
    torch.testing.assert_close(dict(seen[0]), {"weight": twin.head.weight.grad, "bias": twin.head.bias.grad})


class Manual(Classifier):
    def __init__(self) -> None:
        super().__init__()
        self.automatic_optimization = False

    def training_step(self, batch: tuple[Tensor, Tensor], index: int) -> None:
        optimizer: Any = self.optimizers()
        optimizer.zero_grad()
        self.manual_backward(super().training_step(batch, index))
        optimizer.step()


class Uncopyable(Classifier):
    def __init__(self) -> None:
        super().__init__()
        self.lock = threading.Lock()


@pytest.mark.parametrize(
    ("build", "words"),
    [(Manual, "Manual optimizes manually"), (Uncopyable, r"Uncopyable cannot be copied \(TypeError: cannot pickle")],
)
def test_a_module_without_gradients_is_refused_and_the_round_does_not_begin(build, words: str) -> None:
    pruning, module = PruningCallback(criterion=lambda parameters, gradients: dict(gradients)), build()
    make_trainer(pruning).fit(module, Batches())
    before = copy(module)
    with pytest.raises(LotteryError, match=f"^criterion: .*{words}"):
        make_trainer(pruning).fit(module, Batches())
    assert pruning.round == 0
    assert all(torch.equal(value, before[name]) for name, value in copy(module).items())


def test_a_loop_of_ones_own_gives_the_gradients() -> None:
    module = nn.Linear(3, 2)
    lottery = Lottery(Settings(amount=0.5, criterion=lambda gradients, parameters: dict(gradients), rewind="none"))
    lottery.begin_round(module)
    lottery.end_round(module)
    gradients = {"weight": torch.tensor([[6.0, 1, 5], [2, 4, 3]]), "bias": torch.tensor([1.0, 0])}
    lottery.begin_round(module, lambda part: {"gradients": lambda: gradients} if part is module else {})
    assert lottery.mask == Mask(
        {"weight": torch.tensor([[True, False, True], [False, True, False]]), "bias": torch.tensor([True, False])}
    )
