"""`PruningCallback` among code that copies or writes weights, against a loop without Lightning."""

import copy as copying
from collections.abc import Callable
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from pruning_helpers import (
    EPOCHS,
    Batches,
    Classifier,
    Lookahead,
    Weights,
    Witness,
    close,
    copy,
    equal,
    fit,
    loop,
    make_trainer,
    masked,
    prune,
    put,
    revived,
    sgd,
    state,
)
from pytorch_lightning.callbacks import StochasticWeightAveraging, WeightAveraging
from torch import Tensor, nn

from lt_lightning.callbacks import PruningCallback
from lt_lightning.lottery import Mask, Start

pytestmark = pytest.mark.filterwarnings("ignore:Checkpoint directory .* exists and is not empty")


def test_an_optimizer_that_copies_the_weights_copies_the_rewound_ones():
    module, pruning = Classifier(Lookahead), PruningCallback(amount=0.5)
    for _ in range(3):
        fit(module, pruning)
    ended, mask = loop(Classifier(Lookahead), 3)
    assert pruning.mask == Mask(mask)
    assert close(state(module), ended[-1])


class Average(pl.Callback):
    """A mean of all weights since `setup`, in a form of one's own."""

    def __init__(self, form: Callable[[Weights], Any]) -> None:
        self.form = form

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        self.kept = self.form(state(pl_module)) if self.form is not copying.deepcopy else copying.deepcopy(pl_module)
        self.count = 1

    @property
    def values(self) -> Weights:
        return state(self.kept) if isinstance(self.kept, nn.Module) else dict(self.kept)

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        self.count += 1
        for name, value in state(pl_module).items():
            kept = (
                dict(self.kept.named_parameters()) | dict(self.kept.named_buffers())
                if isinstance(self.kept, nn.Module)
                else dict(self.kept)
            )
            kept[name].detach().add_(((value - kept[name]) / self.count).to(value.dtype))


@pytest.mark.parametrize("comes_first", [True, False])
@pytest.mark.parametrize(
    "form", [dict, lambda weights: list(weights.items()), copying.deepcopy], ids=["dict", "list", "module"]
)
def test_a_callback_that_copies_the_weights_in_setup_averages_the_rewound_ones(form, comes_first):
    module, pruning, average = Classifier(), PruningCallback(amount=0.5), Average(form)
    for _ in range(3):
        fit(module, *((pruning, average) if comes_first else (average, pruning)))
    mean: dict[str, Any] = {}

    def follow(module: nn.Module, mask: Weights) -> None:
        mean["count"] += 1
        for name, value in state(module).items():
            mean[name] += ((value - mean[name]) / mean["count"]).to(value.dtype)

    other = Classifier()
    first = state(other)
    ended, mask = loop(other, 2)
    mask = prune(ended[-1], mask, 0.5)
    again = Classifier()
    mean.update(masked(first, mask), count=1)
    put(again, masked(first, mask))
    optimizer = again.configure_optimizers()
    for batch in [batch for _ in range(EPOCHS) for batch in Batches()]:
        optimizer.zero_grad()
        again.training_step(batch, 0).backward()
        for name, param in again.named_parameters():
            param.grad.masked_fill_(~mask[name], 0)
        optimizer.step()
        follow(again, mask)
    mean.pop("count")
    floats = [name for name, value in first.items() if value.is_floating_point()]
    assert close({name: average.values[name] for name in floats}, {name: mean[name] for name in floats})


@pytest.mark.parametrize("comes_first", [True, False])
def test_lightnings_weight_averaging_ends_a_round_without_the_last_ones_weights(comes_first):
    ended = []
    for order in (True, comes_first):
        module, pruning = Classifier(), PruningCallback(amount=0.5)
        for _ in range(3):
            average = WeightAveraging(use_buffers=False)
            fit(module, *((pruning, average) if order else (average, pruning)))
            assert not revived(module, pruning.mask)
        ended.append(state(module))
    assert equal(*ended)


HOOKS = [
    "on_fit_start", "on_train_start", "on_train_epoch_start", "on_train_batch_start", "on_before_zero_grad",
    "on_before_backward", "on_after_backward", "on_before_optimizer_step", "on_train_batch_end", "on_validation_start",
    "on_validation_end", "on_train_epoch_end", "on_train_end", "on_fit_end",
]  # fmt: skip


def writer(hook: str, through_data: bool) -> type[Classifier]:
    """A module that adds to all its weights in a hook, and looks at them in its training step."""

    def write(self: Classifier, *_: Any) -> None:
        for param in self.parameters():
            with torch.no_grad():
                (param.data if through_data else param).add_(0.01)

    def training_step(self: Any, batch: tuple[Tensor, Tensor], index: int) -> Tensor:
        self.seen.append({name: param.detach().clone() for name, param in self.named_parameters()})
        return Classifier.training_step(self, batch, index)

    def validation_step(self: Any, batch: tuple[Tensor, Tensor], index: int) -> None:
        """Measure nothing."""

    methods = {hook: write, "seen": [], "training_step": training_step, "validation_step": validation_step}
    return type("Writer", (Classifier,), methods)


WRITERS = [(hook, True) for hook in HOOKS] + [
    # Between a loss and its gradient, torch itself refuses a write that it sees.
    (hook, False) for hook in HOOKS if hook not in ("on_before_zero_grad", "on_before_backward")
]  # fmt: skip


@pytest.mark.parametrize(("hook", "through_data"), WRITERS)
def test_pruned_entries_are_zero_whatever_hook_of_the_module_writes_them(hook, through_data):
    module, pruning, witness = writer(hook, through_data)(sgd), PruningCallback(amount=0.5), Witness()
    for _ in range(2):
        module.seen.clear()
        witness = Witness()
        make_trainer(pruning, witness, max_epochs=EPOCHS, num_sanity_val_steps=0).fit(module, Batches(), Batches(1))
    pruned = {name: ~alive for name, alive in pruning.mask.items()}
    for weights in (*module.seen, *witness.steps, *witness.epochs, copy(module)):
        assert all(not weights[name][where].any() for name, where in pruned.items())
    assert len(module.seen) == len(witness.steps) == EPOCHS * len(Batches())


def test_a_module_that_writes_before_each_step_trains_as_a_loop_that_masks_it():
    module, pruning = writer("on_train_batch_start", True)(sgd), PruningCallback(amount=0.5)
    for _ in range(3):
        make_trainer(pruning, max_epochs=EPOCHS, num_sanity_val_steps=0).fit(module, Batches(), Batches(1))

    def write(module: nn.Module) -> None:
        with torch.no_grad():
            for param in module.parameters():
                param.add_(0.01)

    ended, mask = loop(Classifier(sgd), 3, before_step=write)
    assert pruning.mask == Mask(mask)
    assert close(state(module), ended[-1])


class Buffered(Classifier):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("count", torch.zeros(1), persistent=False)

    def training_step(self, batch: tuple[Tensor, Tensor], index: int) -> Tensor:
        self.get_buffer("count").add_(1)
        return super().training_step(batch, index)


class WithoutArguments(Buffered):
    def state_dict(self) -> dict[str, Any]:
        return super().state_dict()


class Copies(Buffered):
    def state_dict(self, *arguments: Any, **named: Any) -> dict[str, Any]:
        return {name: value.clone() for name, value in super().state_dict(*arguments, **named).items()}


class LeavesOut(Buffered):
    def state_dict(self, *arguments: Any, **named: Any) -> dict[str, Any]:
        saved = super().state_dict(*arguments, **named)
        return {name: value for name, value in saved.items() if "body" not in name}


@pytest.mark.parametrize("kind", [Buffered, WithoutArguments, Copies, LeavesOut])
def test_parameters_and_buffers_rewind_whatever_state_dict_returns(kind):
    class Start(pl.Callback):
        def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
            started.append(state(pl_module))

    module, pruning, started = kind(), PruningCallback(amount=0.5), []
    for _ in range(3):
        fit(module, pruning, Start())
        assert equal(started[-1], masked(started[0], pruning.mask))
    assert module.get_buffer("count").item() == EPOCHS * len(Batches())


@pytest.mark.parametrize("comes_first", [True, False])
def test_last_weights_are_those_that_averaging_leaves(comes_first):
    module, pruning, ended, witness = Classifier(), PruningCallback(amount=0.5, rewind="last"), [], Witness()
    for _ in range(3):
        average, witness = StochasticWeightAveraging(0.01, swa_epoch_start=2, annealing_epochs=1), Witness()
        callbacks = (pruning, average, witness) if comes_first else (average, pruning, witness)
        make_trainer(*callbacks, max_epochs=4).fit(module, Batches())
        ended.append(copy(module))
    assert equal(witness.start, masked(ended[0], pruning.mask))


def test_a_start_is_there_before_the_optimizer_copies_the_weights():
    whole = Classifier(Lookahead)
    mask = Mask({"head.weight": torch.arange(24).reshape(3, 8) % 2 == 0})
    weights = {name: value + 1 for name, value in state(whole).items() if value.is_floating_point()}
    module, pruning = Classifier(Lookahead), PruningCallback(start=Start(mask, weights))
    fit(module, pruning)
    other = Classifier(Lookahead)
    put(other, {**state(other), **masked(weights, mask)})
    ones = {name: torch.ones_like(value, dtype=torch.bool) for name, value in other.named_parameters()}
    optimizer = other.configure_optimizers()
    for batch in [batch for _ in range(EPOCHS) for batch in Batches()]:
        optimizer.zero_grad()
        other.training_step(batch, 0).backward()
        other.head.weight.grad.masked_fill_(~mask["head.weight"], 0)
        optimizer.step()
    assert pruning.mask == Mask({**ones, **mask})
    assert close(state(module), state(other))
