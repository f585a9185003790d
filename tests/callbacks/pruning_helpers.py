"""What the tests of `PruningCallback` share: a module that knows nothing of this package, batches, and witnesses."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn, optim

from lt_lightning.lottery import Mask

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
    quiet = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False}
    return pl.Trainer(
        **{**quiet, "enable_model_summary": False, "accelerator": "cpu", "devices": 1, "max_epochs": max_epochs}
        | arguments,
        callbacks=list(callbacks),
    )


def copy(module: nn.Module) -> Weights:
    return {name: tensor.detach().clone() for name, tensor in module.state_dict().items()}


def masked(weights: Mapping[str, Tensor], mask: Mapping[str, Tensor]) -> Weights:
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


EPOCHS = 2


def sgd(params: list[nn.Parameter]) -> optim.Optimizer:
    return optim.SGD(params, 0.1)


def fit(module: pl.LightningModule, *callbacks: pl.Callback, **trainer: Any) -> None:
    make_trainer(*callbacks, max_epochs=EPOCHS, **trainer).fit(module, Batches())


def state(module: nn.Module) -> Weights:
    """All parameters and buffers, whatever `state_dict` says."""
    return {
        name: value.detach().clone()
        for named in (module.named_parameters(), module.named_buffers())
        for name, value in named
    }


def prune(weights: Weights, mask: Weights, amount: float) -> Weights:
    """Sort the living entries of each tensor by magnitude, and drop the first round(amount × alive)."""
    pruned = {}
    for name, alive in mask.items():
        flat = weights[name].abs().reshape(-1)
        living = sorted((float(flat[i]), i) for i in range(len(flat)) if alive.reshape(-1)[i])
        pruned[name] = alive.clone()
        for _, i in living[: round(amount * len(living))]:
            pruned[name].view(-1)[i] = False
    return pruned


def loop(
    module: Classifier,
    rounds: int,
    amount: float = 0.5,
    *,
    before_step: Callable[[nn.Module], None] = lambda module: None,
    after_step: Callable[[nn.Module, Weights], None] = lambda module, mask: None,
) -> tuple[list[Weights], Weights]:
    """A lottery by hand: prune, rewind to the first weights, only then make the optimizer, train.

    Returns:
        The state that each round ended with, and the last mask.
    """
    first, ended = state(module), []
    mask = {name: torch.ones_like(param, dtype=torch.bool) for name, param in module.named_parameters()}
    for round in range(rounds):
        if round:
            mask = prune(ended[-1], mask, amount)
            put(module, masked(first, mask))
        (optimizer,) = [module.configure_optimizers()]
        module.train()
        for _ in range(EPOCHS):
            for index, batch in enumerate(Batches()):
                before_step(module)
                put(module, masked(state(module), mask))
                optimizer.zero_grad()
                module.training_step(batch, index).backward()
                for name, param in module.named_parameters():
                    param.grad.masked_fill_(~mask[name], 0)
                optimizer.step()
                put(module, masked(state(module), mask))
                after_step(module, mask)
        ended.append(state(module))
    return ended, mask


def put(module: nn.Module, weights: Weights) -> None:
    with torch.no_grad():
        for named in (module.named_parameters(), module.named_buffers()):
            for name, value in named:
                value.copy_(weights[name])


def close(left: Weights, right: Weights) -> bool:
    return left.keys() == right.keys() and all(torch.allclose(left[name], right[name], atol=1e-6) for name in left)


def revived(module: nn.Module, mask: Mask) -> list[str]:
    return [name for name, alive in mask.items() if module.get_parameter(name).detach()[~alive].ne(0).any()]


class Lookahead(optim.Optimizer):
    """SGD that pulls the weights towards a slow copy of them, which it makes as it is made."""

    def __init__(self, params: list[nn.Parameter]) -> None:
        super().__init__(params, {"lr": 0.1})
        self.steps = 0
        for param in params:
            self.state[param]["slow"] = param.detach().clone()

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        with torch.enable_grad():
            loss = None if closure is None else closure()
        self.steps += 1
        for param, kept in self.state.items():
            param.sub_(param.grad, alpha=0.1)
            if self.steps % 3 == 0:
                kept["slow"].add_(param - kept["slow"], alpha=0.5)
                param.copy_(kept["slow"])
        return loss


class StopError(Exception):
    """Cuts a fit off."""
