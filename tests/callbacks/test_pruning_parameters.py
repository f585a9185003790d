"""`PruningCallback` with parameters, optimizers and initialisers of all kinds, and several of it."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from pruning_helpers import (
    Batches,
    Classifier,
    Witness,
    close,
    copy,
    equal,
    fit,
    loop,
    make_trainer,
    masked,
    prune,
    revived,
    sgd,
    state,
)
from pytorch_lightning.callbacks import BackboneFinetuning
from torch import Tensor, nn, optim

from lt_lightning.callbacks import PruningCallback
from lt_lightning.lottery import LotteryError, Mask

pytestmark = pytest.mark.filterwarnings("ignore:Checkpoint directory .* exists and is not empty")


class Finetuned(pl.LightningModule):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.backbone, self.head = nn.Linear(5, 8), nn.Linear(8, 3)

    def training_step(self, batch: tuple[Tensor, Tensor], index: int) -> Tensor:
        return nn.functional.cross_entropy(self.head(self.backbone(batch[0])), batch[1])

    def configure_optimizers(self) -> optim.Optimizer:
        return optim.SGD([param for param in self.parameters() if param.requires_grad], 0.1)


def test_parameters_that_a_callback_unfreezes_join_the_mask():
    module, pruning = Finetuned(), PruningCallback(amount=0.5)
    for _ in range(3):
        thaw = BackboneFinetuning(
            1, backbone_initial_lr=0.1, initial_denom_lr=1, verbose=False, lambda_func=lambda _: 1
        )
        fit(module, pruning, thaw)
        assert {name.split(".")[0] for name in pruning.mask} == {"backbone", "head"}
    assert pruning.mask.counts == {"backbone.weight": 10, "backbone.bias": 2, "head.weight": 6, "head.bias": 1}
    assert not revived(module, pruning.mask)


def test_parameters_that_train_since_a_later_round_are_pruned_from_then_on():
    module, pruning = Finetuned(), PruningCallback(amount=0.5)
    module.backbone.requires_grad_(False)
    fit(module, pruning)
    assert list(pruning.mask) == ["head.weight", "head.bias"]
    module.backbone.requires_grad_(True)
    module.register_parameter("scale", nn.Parameter(torch.ones(4)))
    trained = {name: param.detach().clone() for name, param in module.named_parameters()}
    fit(module, pruning)
    ones = {name: torch.ones_like(value, dtype=torch.bool) for name, value in trained.items()}
    assert pruning.mask == Mask({name: prune(trained, ones, 0.5)[name] for name in pruning.mask})
    assert pruning.mask.total == sum(value.numel() for value in trained.values())


class Autoencoder(pl.LightningModule):
    def __init__(self, tie: Callable[[nn.Linear, nn.Linear], None]) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.encoder, self.decoder = nn.Linear(5, 5), nn.Linear(5, 5)
        tie(self.encoder, self.decoder)

    def training_step(self, batch: tuple[Tensor, Tensor], index: int) -> Tensor:
        return nn.functional.mse_loss(self.decoder(self.encoder(batch[0]).tanh()), batch[0])

    def configure_optimizers(self) -> optim.Optimizer:
        return optim.SGD(self.parameters(), 0.05)


def share(encoder: nn.Linear, decoder: nn.Linear) -> None:
    decoder.weight = encoder.weight


def transpose(encoder: nn.Linear, decoder: nn.Linear) -> None:
    decoder.weight = nn.Parameter(encoder.weight.t())


def data(encoder: nn.Linear, decoder: nn.Linear) -> None:
    decoder.weight.data = encoder.weight.data.t()


def expand(encoder: nn.Linear, decoder: nn.Linear) -> None:
    decoder.weight = nn.Parameter(torch.randn(1, 5).expand(5, 5))


def interleave(encoder: nn.Linear, decoder: nn.Linear) -> None:
    both = torch.randn(5, 10)
    encoder.weight, decoder.weight = nn.Parameter(both[:, ::2]), nn.Parameter(both[:, 1::2])


@pytest.mark.parametrize("pattern", ["encoder.weight", "decoder.weight"])
def test_patterns_see_every_name_of_a_shared_parameter(pattern):
    module, pruning = Autoencoder(share), PruningCallback(amount=0.5, include=[pattern])
    for _ in range(2):
        fit(module, pruning)
    assert pruning.mask.counts == {"encoder.weight": 13}
    other = PruningCallback(amount=0.5, exclude=[pattern])
    fit(Autoencoder(share), other)
    assert list(other.mask) == ["encoder.bias", "decoder.bias"]


@pytest.mark.parametrize(("tie", "words", "settings"), [
    (transpose, "'decoder.weight'", {}),
    (data, "'decoder.weight'", {}),
    (data, "'decoder.weight'", {"include": ["encoder.weight", "*bias"], "exclude": ["decoder.weight"]}),
    (expand, "expand", {}),
])  # fmt: skip
def test_parameters_that_share_memory_are_refused_before_training(tie, words, settings):
    module = Autoencoder(tie)
    left = state(module)
    with pytest.raises(LotteryError, match=rf"include: .*{words}.*exclude"):
        fit(module, PruningCallback(**settings))
    assert equal(state(module), left)


def test_parameters_that_interleave_without_touching_are_pruned():
    module, pruning = Autoencoder(interleave), PruningCallback(amount=0.5)
    for _ in range(2):
        fit(module, pruning)
    assert not revived(module, pruning.mask)
    assert all((module.get_parameter(name) != 0).sum() == alive for name, alive in pruning.mask.counts.items())


class Spectral(nn.Module):
    def __init__(self, dtype: torch.dtype) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(5, 8, dtype=dtype))

    def forward(self, inputs: Tensor) -> Tensor:
        return (inputs.to(self.weight.dtype) @ self.weight).abs().float()


@pytest.mark.parametrize("dtype", [torch.complex64, torch.complex128])
@pytest.mark.parametrize("criterion", ["magnitude", "random"])
def test_complex_parameters_are_pruned_as_any_other(dtype, criterion):
    def build() -> Classifier:
        return Classifier(lambda params: optim.SGD(params, 0.05, momentum=0.9), lambda: Spectral(dtype))

    module, pruning = build(), PruningCallback(amount=0.5, criterion=criterion)
    for _ in range(3):
        fit(module, pruning)
    assert pruning.mask.counts == {"body.weight": 10, "head.weight": 6, "head.bias": 1}
    assert not revived(module, pruning.mask)
    if criterion == "magnitude":
        ended, mask = loop(build(), 3)
        assert pruning.mask == Mask(mask)
        assert close(state(module), ended[-1])


class Wrapper:
    """Hands everything on to an optimizer; Lightning asks for no more."""

    def __init__(self, base: optim.Optimizer) -> None:
        self.base = base

    @property
    def param_groups(self) -> Any:
        return self.base.param_groups

    @property
    def defaults(self) -> Any:
        return self.base.defaults

    @property
    def state(self) -> Any:
        return self.base.state

    def state_dict(self) -> Any:
        return self.base.state_dict()

    def load_state_dict(self, state: Any) -> None:
        self.base.load_state_dict(state)

    def zero_grad(self, set_to_none: bool = True) -> None:
        self.base.zero_grad(set_to_none)

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        return self.base.step(closure)


class Closed(Wrapper):
    def __setattr__(self, name: str, value: Any) -> None:
        if name == "step":
            raise AttributeError(name)
        super().__setattr__(name, value)


@pytest.mark.parametrize("manual", [False, True])
def test_a_wrapper_that_is_no_torch_optimizer_trains_as_what_it_wraps(manual):
    class Manual(Classifier):
        def training_step(self, batch: tuple[Tensor, Tensor], index: int) -> Any:
            loss = super().training_step(batch, index)
            if not manual or self._trainer is None:
                return loss
            optimizer = self.optimizers()
            optimizer.zero_grad()
            self.manual_backward(loss)
            optimizer.step()
            return None

    kept: list[Wrapper] = []

    def wrap(params: list[nn.Parameter]) -> Any:
        kept.append(Wrapper(optim.SGD(params, 0.1, momentum=0.9, weight_decay=0.1)))
        return kept[-1]

    module, pruning = Manual(wrap), PruningCallback(amount=0.5)
    module.automatic_optimization = not manual
    for _ in range(3):
        fit(module, pruning)
    assert pruning.round == 2
    assert not revived(module, pruning.mask)
    assert "step" not in vars(kept[-1]), "its own method is back"
    ended, mask = loop(Classifier(lambda params: optim.SGD(params, 0.1, momentum=0.9, weight_decay=0.1)), 3)
    assert pruning.mask == Mask(mask)
    assert close(state(module), ended[-1])


def test_an_optimizer_without_a_way_in_is_refused_before_training():
    module = Classifier(lambda params: Closed(optim.SGD(params, 0.1)))
    left = state(module)
    with pytest.raises(LotteryError, match=r"^optimizer: Closed has no hooks"):
        fit(module, PruningCallback())
    assert equal(state(module), left)


@pytest.mark.slow
@pytest.mark.parametrize("strategy", ["ddp_fork", "ddp_spawn"])
def test_processes_that_end_with_the_fit_are_refused_before_training(strategy):
    code = f"""
import warnings; warnings.simplefilter("ignore")
from pruning_helpers import Batches, Classifier, make_trainer
from lt_lightning.callbacks import PruningCallback
class Plain(Classifier):
    def __init__(self):
        super().__init__(None)
    def configure_optimizers(self):
        raise RuntimeError("it trains")
if __name__ == "__main__":
    make_trainer(PruningCallback(), strategy={strategy!r}, devices=1).fit(Plain(), Batches())
"""
    path = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])}
    script = Path(os.environ.get("TMPDIR", "/tmp")) / f"fit_{strategy}_{os.getpid()}.py"
    script.write_text(code)
    try:
        ended = subprocess.run([sys.executable, script], capture_output=True, text=True, env=path, timeout=300)
    finally:
        script.unlink()
    assert ended.returncode != 0
    last = ended.stderr.strip().splitlines()[-1]
    assert "LotteryError: strategy: DDPStrategy trains in processes that end with the fit" in last


def test_callbacks_with_other_patterns_prune_each_its_part_by_its_own_amount_and_rewind():
    module = Classifier(sgd, lambda: nn.Linear(5, 8))
    inside = PruningCallback(amount=0.5, rewind="init", include=["body.*"])
    last = PruningCallback(amount=0.25, rewind="last", include=["head.*"])
    assert inside.state_key != last.state_key
    ends, starts, masks = [], [], []
    for _ in range(3):
        witness = Witness()
        fit(module, inside, last, witness)
        starts.append(witness.start)
        ends.append(copy(module))
        masks.append({**inside.mask, **last.mask})
    expected = {name: torch.ones_like(alive) for name, alive in masks[0].items()}
    for round in (1, 2):
        names = {0.5: [*inside.mask], 0.25: [*last.mask]}
        expected = {
            name: alive
            for amount, part in names.items()
            for name, alive in prune(ends[round - 1], {name: expected[name] for name in part}, amount).items()
        }
        assert Mask(expected) == Mask(masks[round])
        first = {name: (starts[0] if name.startswith("body") else ends[0])[name] for name in starts[0]}
        assert equal(starts[round], masked(first, masks[round]))


def test_callbacks_whose_patterns_overlap_are_refused_before_training():
    with pytest.raises(LotteryError, match=r"include: two callbacks prune the parameter 'body\.0\.weight'"):
        fit(Classifier(), PruningCallback(include=["body.*"]), PruningCallback(include=["*.weight"]))


def test_a_checkpoint_of_version_0_4_is_found_under_a_key_without_patterns(tmp_path):
    pruning, module = PruningCallback(amount=0.5, include=["head.*"]), Classifier()
    fit(module, pruning)
    trainer = make_trainer(pruning, max_epochs=1, max_steps=2)
    trainer.fit(module, Batches())
    # As a checkpoint in the middle of round 1 was.
    saved = {**pruning.state_dict(), "training": True}
    saved.pop("steps")
    new = PruningCallback(amount=0.5, include=["head.*"])
    checkpoint, other = {"callbacks": {PruningCallback().state_key: saved}}, Classifier()
    for stage, round in (("validate", -1), ("fit", 1)):  # an evaluation restores nothing
        trainer = make_trainer(new)
        new.setup(trainer, other, stage)
        new.on_load_checkpoint(trainer, other, checkpoint)
        assert new.round == round
        new.teardown(trainer, other, stage)
    assert new.mask == pruning.mask


def test_an_initialiser_that_fails_half_way_leaves_the_weights_and_the_round_as_they_were():
    calls = []

    def initialize(module: nn.Module) -> None:
        calls.append(1)
        nn.init.normal_(module.head.weight)
        if len(calls) > 1:
            raise KeyError("half-way")
        for param in module.parameters():
            nn.init.normal_(param)

    module, pruning = Classifier(), PruningCallback(amount=0.5, rewind="random", initialize=initialize)
    fit(module, pruning)
    left, mask = state(module), pruning.mask
    with pytest.raises(KeyError):
        fit(module, pruning)
    assert (pruning.round, pruning.mask) == (0, mask)
    assert equal(state(module), left)


def test_an_initialiser_that_skips_loaded_weights_is_refused_before_training():
    def initialize(module: nn.Module) -> None:
        for part in module.modules():
            if isinstance(part, nn.Linear | nn.BatchNorm1d) and not getattr(part.weight, "is_loaded", False):
                part.reset_parameters()

    module = Classifier()
    module.body[0].weight.is_loaded = True
    left = state(module)
    with pytest.raises(LotteryError, match=r"^initialize: it does not draw 'body\.0\.weight'.*redraw"):
        fit(module, PruningCallback(rewind="random", initialize=initialize))
    assert equal(state(module), left)
    fit(module, PruningCallback(rewind="random", initialize=initialize, redraw=["body.1.*", "head.*"]))
