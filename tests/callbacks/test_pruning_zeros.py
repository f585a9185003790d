"""`PruningCallback` with any LightningModule: pruned entries are exactly zero after every optimizer step."""

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from pruning_helpers import Batches, Classifier, StopError, Witness, make_trainer
from torch import Tensor, nn, optim

from lt_lightning.callbacks import PruningCallback
from lt_lightning.lottery import LotteryError

OPTIMIZERS: dict[str, Callable[[list[nn.Parameter]], optim.Optimizer]] = {
    "adam": lambda params: optim.Adam(params, 0.01),
    "adamw": lambda params: optim.AdamW(params, 0.01, weight_decay=0.5),
    "sgd_momentum": lambda params: optim.SGD(params, 0.1, momentum=0.9),
    "sgd_nesterov": lambda params: optim.SGD(params, 0.1, momentum=0.9, nesterov=True, weight_decay=0.1),
    "rmsprop": lambda params: optim.RMSprop(params, 0.01, momentum=0.9),
    "adagrad": lambda params: optim.Adagrad(params, 0.1),
    "lbfgs": lambda params: optim.LBFGS(params, 0.1, max_iter=2),
}
if hasattr(optim, "Muon"):
    OPTIMIZERS["muon"] = lambda params: optim.Muon([param for param in params if param.ndim == 2], 0.1)


ACCUMULATED = {"accumulate_grad_batches": 3}


class ZerosAfterEachStep(pl.Callback):
    def __init__(self, pruning: PruningCallback) -> None:
        self.pruning, self.steps = pruning, 0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        assert self.pruning.mask.alive < self.pruning.mask.total
        self.look(pl_module)
        self.handles = [
            optimizer.register_step_post_hook(lambda *_: self.look(pl_module, steps=1))
            for optimizer in trainer.optimizers
        ]

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        for handle in self.handles:
            handle.remove()

    def look(self, module: nn.Module, steps: int = 0) -> None:
        self.steps += steps
        for name, alive in self.pruning.mask.items():
            weight = module.get_parameter(name).detach()
            assert weight[~alive.cpu()].eq(0).all(), f"{name} after {self.steps} steps"


def play(module: pl.LightningModule, *, rounds: int = 2, steps: int | None = None, **trainer: Any) -> PruningCallback:
    """A round of the whole network and `rounds` that are watched; `steps` optimizer steps are expected in each."""
    pruning = PruningCallback(amount=0.4, rewind="last")
    make_trainer(pruning, **trainer).fit(module, Batches())
    for _ in range(rounds):
        zeros, witness = ZerosAfterEachStep(pruning), Witness()
        make_trainer(pruning, zeros, witness, **trainer).fit(module, Batches())
        assert zeros.steps == (8 if steps is None else steps)
        trained = [(witness.end[name] != witness.start[name])[alive].any() for name, alive in pruning.mask.items()]
        assert any(trained), "the living entries train on"
    return pruning


@pytest.mark.slow
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_pruned_entries_stay_zero_under(name):
    play(Classifier(OPTIMIZERS[name]))


@pytest.mark.parametrize("name", ["adamw", "sgd_momentum"])
@pytest.mark.parametrize("algorithm", ["norm", "value", None])
@pytest.mark.parametrize(
    "more", [{}, {"accumulate_grad_batches": 3}, {"accumulate_grad_batches": 3, "precision": "bf16-mixed"}]
)
def test_pruned_entries_stay_zero_under_clipping_accumulation_and_mixed_precision(name, algorithm, more):
    clipping = {} if algorithm is None else {"gradient_clip_val": 0.01, "gradient_clip_algorithm": algorithm}
    play(Classifier(OPTIMIZERS[name]), steps=2 * 2 if more else None, **clipping, **more)  # 4 batches: 3 and 1


@pytest.mark.parametrize("name", ["adamw", "sgd_momentum"])
@pytest.mark.parametrize("precision", ["bf16-mixed", "bf16-true", "64-true"])
def test_pruned_entries_stay_zero_in_precision(name, precision):
    module = Classifier(OPTIMIZERS[name])
    play(module, precision=precision)
    assert module.head.weight.dtype == {"bf16-true": torch.bfloat16, "64-true": torch.float64}.get(
        precision, torch.float32
    )


def test_a_round_of_adam_in_half_precision_that_divides_nothing_by_nothing_is_refused():
    """1e-8, Adam's ε, is 0 as a float16; a living entry without gradients becomes 0 / 0."""
    module = Classifier(OPTIMIZERS["adam"], layers=lambda: nn.Linear(5, 8))
    with pytest.raises(LotteryError, match=r"round 0 left in 'body\.weight' are not finite"):
        make_trainer(PruningCallback(), precision="16-true").fit(module, Batches())


class Manual(Classifier):
    """Manual optimization: two optimizers, each of which steps twice a batch, and clipping by hand."""

    def __init__(self, optimizer: Callable) -> None:
        super().__init__(optimizer)
        self.automatic_optimization = False

    def training_step(self, batch: tuple[Tensor, Tensor], index: int) -> None:
        for _ in range(2):
            for optimizer in self.optimizers():
                optimizer.zero_grad()
                self.manual_backward(super().training_step(batch, index))
                optimizer.step()

    def configure_optimizers(self) -> list[optim.Optimizer]:
        return [self._optimizer(list(self.body.parameters())), self._optimizer(list(self.head.parameters()))]


@pytest.mark.parametrize("name", ["adamw", "sgd_momentum", "muon"])
def test_pruned_entries_stay_zero_under_manual_optimization(name):
    if name not in OPTIMIZERS:
        pytest.skip("this torch has no Muon")
    play(Manual(OPTIMIZERS[name]), steps=4 * 8)


class Gradients(pl.Callback):
    def __init__(self) -> None:
        self.seen: list[dict[str, Tensor]] = []

    def on_before_optimizer_step(self, trainer: pl.Trainer, pl_module: pl.LightningModule, optimizer: Any) -> None:
        self.seen.append({name: param.grad.clone() for name, param in pl_module.named_parameters()})


def clipped_step(raw: dict[str, Tensor], mask: dict[str, Tensor], limit: float) -> dict[str, Tensor]:
    """By hand: of the gradients of the living, scaled down to a norm of `limit`, a step of SGD with lr 0.1."""
    living = {
        name: [
            value if alive else 0.0
            for value, alive in zip(raw[name].flatten().tolist(), mask[name].flatten().tolist(), strict=True)
        ]
        for name in mask
    }
    norm = sum(value**2 for values in living.values() for value in values) ** 0.5
    assert norm > limit
    return {
        name: torch.tensor([-0.1 * value * limit / norm for value in values]).view(mask[name].shape)
        for name, values in living.items()
    }


def test_clipping_does_not_count_pruned_gradients():
    module, pruning = Classifier(), PruningCallback(amount=0.6)
    make_trainer(pruning).fit(module, Batches())
    before, witness = Gradients(), Witness()
    make_trainer(before, pruning, witness, max_epochs=1, gradient_clip_val=0.05).fit(module, Batches())
    weights = [witness.start, *witness.steps]
    for raw, old, new in zip(before.seen, weights, weights[1:], strict=False):
        for name, step in clipped_step(raw, dict(pruning.mask), 0.05).items():
            assert torch.allclose(new[name] - old[name], step, rtol=1e-3, atol=1e-7), name


def test_clipping_by_hand_does_not_count_pruned_gradients():
    class OneStep(Manual):
        def training_step(self, batch: tuple[Tensor, Tensor], index: int) -> None:
            optimizer = self.optimizers()
            optimizer.zero_grad()
            self.manual_backward(Classifier.training_step(self, batch, index))
            self.raw = {name: param.grad.clone() for name, param in self.named_parameters()}
            self.clip_gradients(optimizer, 0.05, "norm")
            optimizer.step()

        def configure_optimizers(self) -> optim.Optimizer:
            return Classifier.configure_optimizers(self)

    module, pruning = OneStep(lambda params: optim.SGD(params, 0.1)), PruningCallback(amount=0.6)
    make_trainer(pruning).fit(module, Batches())
    witness = Witness()
    make_trainer(pruning, witness, max_epochs=1).fit(module, Batches(count=1))
    for name, step in clipped_step(module.raw, dict(pruning.mask), 0.05).items():
        assert torch.allclose(witness.end[name] - witness.start[name], step, rtol=1e-3, atol=1e-7), name


class Noise(pl.Callback):
    """Adds to gradients in a way that leaves no trace."""

    def on_after_backward(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        for param in pl_module.parameters():
            param.grad.data.add_(0.1)


class NoiseBeforeTheStep(pl.Callback):
    def on_before_optimizer_step(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        Noise().on_after_backward(trainer, pl_module)


class NoisyModule(Classifier):
    def on_after_backward(self) -> None:
        Noise().on_after_backward(self.trainer, self)


@pytest.mark.parametrize("optimizer", ["adamw", "sgd_momentum"])
@pytest.mark.parametrize(
    ("kind", "noise"), [(Classifier, Noise), (Classifier, NoiseBeforeTheStep), (NoisyModule, None)]
)
def test_what_others_add_to_gradients_does_not_move_the_pruned(kind, noise, optimizer):
    module, others = kind(OPTIMIZERS[optimizer]), [] if noise is None else [noise()]
    pruning = PruningCallback(amount=0.4)
    make_trainer(*others, pruning).fit(module, Batches())
    zeros = ZerosAfterEachStep(pruning)
    trainer = make_trainer(*others, pruning, zeros)
    trainer.fit(module, Batches())
    assert zeros.steps == 8
    for name, alive in pruning.mask.items():
        state = trainer.optimizers[0].state[module.get_parameter(name)]
        moments = [one for one in state.values() if isinstance(one, Tensor) and one.shape == alive.shape]
        assert moments and not any(one[~alive].any() for one in moments)


class Sparse(pl.LightningModule):
    """An embedding with sparse gradients, the mean of whose rows is classified."""

    def __init__(self, optimizer: Callable[[list[nn.Parameter]], optim.Optimizer]) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.embedding, self._optimizer = nn.Embedding(12, 3, sparse=True), optimizer

    def training_step(self, batch: tuple[Tensor, Tensor], index: int) -> Tensor:
        ids = (batch[0].abs() * 5).long().clamp(max=11)
        return nn.functional.cross_entropy(self.embedding(ids).mean(1), batch[1])

    def configure_optimizers(self) -> optim.Optimizer:
        return self._optimizer(list(self.parameters()))


@pytest.mark.filterwarnings("ignore:Sparse invariant checks")  # of torch's own optimizers
@pytest.mark.parametrize("optimizer", [
    lambda params: optim.SGD(params, 0.5), lambda params: optim.SGD(params, 0.5, momentum=0.9),
    lambda params: optim.SparseAdam(params, 0.05), lambda params: optim.Adagrad(params, 0.1),
], ids=["sgd", "sgd_momentum", "sparse_adam", "adagrad"])  # fmt: skip
def test_pruned_entries_of_a_sparse_embedding_stay_zero(optimizer):
    play(Sparse(optimizer))


@pytest.mark.parametrize("name", [name for name in OPTIMIZERS if name != "lbfgs"])
def test_an_optimizer_used_in_every_fit_does_not_move_the_pruned_by_what_it_remembers(name):
    kept: list[optim.Optimizer] = []

    def once(params: list[nn.Parameter]) -> optim.Optimizer:
        kept.extend([] if kept else [OPTIMIZERS[name](params)])
        return kept[0]

    play(Classifier(once))
    assert len(kept) == 1


@pytest.mark.parametrize("fails", [False, True])
def test_after_a_fit_that_ended_or_failed_the_optimizer_is_let_go(fails):
    class Stop(pl.Callback):
        def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
            if fails and trainer.global_step == 3:
                raise StopError

    kept: list[optim.Optimizer] = []

    def own(params: list[nn.Parameter]) -> optim.Optimizer:
        kept.append(optim.Adafactor(params, 0.1))
        return kept[-1]

    pruning, module = PruningCallback(), Classifier(own)
    make_trainer(pruning).fit(module, Batches())
    with pytest.raises(StopError) if fails else nullcontext():
        make_trainer(pruning, Stop()).fit(module, Batches())
    assert not kept[-1]._optimizer_step_post_hooks
    for param in module.parameters():
        param.grad = torch.ones_like(param)
    kept[-1].step()  # in code of one's own, outside any round
    assert all(param.ne(0).all() for param in module.parameters())


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["32-true", "16-mixed", "bf16-true"])
def test_pruned_entries_stay_zero_on_a_gpu_and_masks_live_there(precision):
    class Devices(pl.Callback):
        def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
            assert {alive.device for alive in pruning.mask.values()} == {pl_module.device}

    pruning, module = PruningCallback(amount=0.4), Classifier(OPTIMIZERS["adamw"])
    for _ in range(3):
        make_trainer(pruning, Devices(), accelerator="gpu", precision=precision).fit(module, Batches())
        for name, alive in pruning.mask.items():
            assert module.get_parameter(name).detach().cpu()[~alive.cpu()].eq(0).all()
    assert pruning.round == 2
