"""What the tests of `PruningCallback` share: a module that knows nothing of this package, batches, and witnesses."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn, optim

Weights = dict[str, Tensor]


class Batches:
    """A fixed list of batches; no DataLoader, and so none of Lightning's advice on workers."""

    def __init__(self, count: int = 4, seed: int = 0) -> None:
        generator = torch.Generator().manual_seed(seed)
        self._batches = [
            (torch.randn(6, 5, generator=generator) + 0.5, torch.randint(3, (6,), generator=generator))
            for _ in range(count)
        ]

    def __len__(self) -> int:
        return len(self._batches)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        return iter(self._batches)


class Classifier(pl.LightningModule):
    """Plain Lightning code: some layers, cross-entropy, any optimizer."""

    def __init__(
        self,
        optimizer: Callable[[list[nn.Parameter]], optim.Optimizer] = lambda params: optim.SGD(params, 0.1),
        layers: Callable[[], nn.Module] | None = None,
    ) -> None:
        super().__init__()
        torch.manual_seed(7)
        self.body = nn.Sequential(nn.Linear(5, 8), nn.BatchNorm1d(8), nn.Tanh()) if layers is None else layers()
        self.head = nn.Linear(8, 3)
        self._optimizer = optimizer

    def forward(self, inputs: Tensor) -> Tensor:
        return self.head(self.body(inputs))

    def training_step(self, batch: tuple[Tensor, Tensor], index: int) -> Tensor:
        return nn.functional.cross_entropy(self(batch[0]), batch[1])

    def configure_optimizers(self) -> optim.Optimizer:
        return self._optimizer(list(self.parameters()))


def make_trainer(*callbacks: pl.Callback, max_epochs: int = 2, **arguments: Any) -> pl.Trainer:
    """A quiet Trainer on one CPU."""
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    return pl.Trainer(
        **{**quiet, "enable_model_summary": False, "accelerator": "cpu", "devices": 1, "max_epochs": max_epochs}
        | arguments,
        callbacks=list(callbacks),
    )


def copy(module: nn.Module) -> Weights:
    """Parameters and buffers, as they are now."""
    return {name: tensor.detach().clone() for name, tensor in module.state_dict().items()}


def masked(weights: Mapping[str, Tensor], mask: Mapping[str, Tensor]) -> Weights:
    """`weights` with zeros where `mask` says."""
    return {
        name: torch.where(mask[name], tensor, torch.zeros_like(tensor)) if name in mask else tensor
        for name, tensor in weights.items()
    }


def equal(left: Mapping[str, Tensor], right: Mapping[str, Tensor]) -> bool:
    """Whether two sets of weights are the same, bit for bit but for the sign of zero."""
    return left.keys() == right.keys() and all(torch.equal(left[name], right[name]) for name in left)


class Witness(pl.Callback):
    """Copies the weights of one fit; put it after the PruningCallback.

    Attributes:
        start: as training starts.
        steps: after each optimizer step.
        epochs: after each epoch.
        end: when training has ended.
    """

    def __init__(self) -> None:
        self.start: Weights = {}
        self.steps: list[Weights] = []
        self.epochs: list[Weights] = []
        self.end: Weights = {}

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.start = copy(pl_module)

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        if trainer.global_step > len(self.steps):
            self.steps.append(copy(pl_module))

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.epochs.append(copy(pl_module))

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.end = copy(pl_module)
