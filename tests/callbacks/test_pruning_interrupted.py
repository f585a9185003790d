"""`PruningCallback` where fits fail, and where weights change between and within them, against a plain loop."""

import copy as copying
import pickle
from collections.abc import Callable
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from pruning_helpers import (
    EPOCHS,
    Batches,
    Classifier,
    StopError,
    Witness,
    close,
    copy,
    equal,
    fit,
    loop,
    make_trainer,
    masked,
    put,
    revived,
    state,
)
from torch import Tensor, nn, optim

from lt_lightning.callbacks import PruningCallback
from lt_lightning.lottery import LotteryError, Mask


class StopAt(pl.Callback):
    def __init__(self, step: int) -> None:
        self.step = step

    def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
        if trainer.global_step >= self.step:
            raise StopError


@pytest.mark.slow
@pytest.mark.parametrize("rewind", ["init", "step:3", "epoch:1", "last", "none"])
@pytest.mark.parametrize("fails_in", [0, 1, 2])
def test_a_round_that_failed_starts_again_and_ends_as_if_it_had_not(rewind, fails_in):
    ended = []
    for cut in (None, fails_in):
        module, pruning = Fails(), PruningCallback(amount=0.5, rewind=rewind)
        for round in range(4):
            for stop in (5, 2, 0) if round == cut else ():  # after so many steps, at last before the first
                module.fails = not stop
                with pytest.raises(StopError):
                    fit(module, pruning, StopAt(stop))
            module.fails = False
            fit(module, pruning)
            assert pruning.round == round
        ended.append((pruning.mask, state(module)))
    assert ended[0][0] == ended[1][0]
    assert equal(ended[0][1], ended[1][1])


def test_weights_that_are_loaded_after_round_0_failed_are_those_that_it_begins_with():
    module, pruning = Classifier(), PruningCallback(amount=0.5)
    with pytest.raises(StopError):
        fit(module, pruning, StopAt(1))
    pretrained = {name: value + 1 for name, value in state(module).items()}
    put(module, pretrained)
    witness = Witness()
    for _ in range(2):
        witness = Witness()
        fit(module, pruning, witness)
    assert equal(witness.start, masked(pretrained, pruning.mask))


class Fails(Classifier):
    fails = False

    def configure_optimizers(self) -> optim.Optimizer:
        if self.fails:
            raise StopError
        return super().configure_optimizers()


def test_a_fit_that_fails_before_it_trains_changes_nothing():
    module, pruning = Fails(), PruningCallback(amount=0.5)
    fit(module, pruning)
    left, mask = state(module), pruning.mask
    module.fails = True
    with pytest.raises(StopError):
        fit(module, pruning)
    assert (pruning.round, pruning.mask) == (0, mask)
    assert equal(state(module), left)


class Evaluable(Classifier):
    fails = False

    def validation_step(self, batch: tuple[Tensor, Tensor], index: int) -> None:
        """Measure nothing."""

    def test_step(self, batch: tuple[Tensor, Tensor], index: int) -> None:
        if self.fails:
            raise StopError


@pytest.mark.parametrize("way", ["fails", "another module", "within a round"])
def test_an_evaluation_leaves_the_lottery_alone_also_where_it_fails_or_is_of_another_module(tmp_path, way):
    module, pruning, path = Evaluable(), PruningCallback(amount=0.5, rewind="none"), tmp_path / "early.ckpt"

    class Save(pl.Callback):
        def on_train_batch_end(self, trainer: pl.Trainer, *_: Any) -> None:
            if trainer.global_step == 1:
                trainer.save_checkpoint(path)

    make_trainer(pruning, Save(), max_epochs=EPOCHS).fit(module, Batches(), Batches(1))
    if way == "within a round":
        with pytest.raises(StopError):
            make_trainer(pruning, StopAt(2), max_epochs=EPOCHS).fit(module, Batches(), Batches(1))
    left = state(module)
    trainer = make_trainer(pruning)
    if way == "fails":
        module.fails = True
        with pytest.raises(StopError):
            trainer.test(module, Batches(1), ckpt_path=path, verbose=False)
        module.fails = False
        module.train()
    trainer.test(module, Batches(1), ckpt_path=path, verbose=False)
    assert not equal(state(module), left)
    if way == "another module":
        trainer.test(Evaluable(), Batches(1), verbose=False)
    make_trainer(pruning, max_epochs=EPOCHS).fit(module, Batches(), Batches(1))
    other, expected = Evaluable(), PruningCallback(amount=0.5, rewind="none")
    for _ in range(2):
        make_trainer(expected, max_epochs=EPOCHS).fit(other, Batches(), Batches(1))
    assert pruning.mask == expected.mask
    assert equal(state(module), state(other))


def test_a_checkpoint_that_the_user_loads_after_it_was_tested_stays(tmp_path):
    module, pruning, path = Evaluable(), PruningCallback(amount=0.5, rewind="none"), tmp_path / "first.ckpt"
    trainer = make_trainer(pruning, max_epochs=EPOCHS)
    trainer.fit(module, Batches(), Batches(1))
    other = {name: value + 1 for name, value in copy(module).items()}
    saved = Evaluable()
    put(saved, other)
    another = make_trainer()
    another.strategy.connect(saved)
    another.save_checkpoint(path, weights_only=True)
    make_trainer(pruning).test(module, Batches(1), ckpt_path=path, verbose=False)
    module.load_state_dict(torch.load(path, weights_only=True)["state_dict"])
    witness = Witness()
    make_trainer(pruning, witness, max_epochs=EPOCHS).fit(module, Batches(), Batches(1))
    assert equal(witness.start, masked(other, pruning.mask))


class Clamp(pl.Callback):
    def __init__(self, hook: str) -> None:
        setattr(self, hook, self.clamp)

    def clamp(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        for param in pl_module.parameters():
            param.data.clamp_(-0.1, 0.1)


@pytest.mark.parametrize(("rewind", "hook"), [("step:3", "on_train_batch_end"), ("epoch:1", "on_train_epoch_end")])
def test_the_weights_of_a_point_are_those_that_all_callbacks_leave_there(rewind, hook):
    module, pruning, witness = Classifier(), PruningCallback(amount=0.5, rewind=rewind), Witness()
    for _ in range(2):
        witness = Witness()
        fit(module, pruning, Clamp(hook), witness)
    assert max(value.abs().max() for name, value in witness.start.items() if "weight" in name) <= 0.1 + 1e-6


class ByHand(Classifier):
    """Clips and steps without Lightning, twice a batch, with the losses computed first."""

    def __init__(self, step: Callable[["ByHand", tuple[Tensor, Tensor]], None]) -> None:
        super().__init__()
        self.automatic_optimization = False
        self._step = step

    def training_step(self, batch: tuple[Tensor, Tensor], index: int) -> Any:
        if self._trainer is None:
            return super().training_step(batch, index)
        self._step(self, batch)
        return None


def clip(module: ByHand, batch: tuple[Tensor, Tensor]) -> None:
    optimizer = module.optimizers(use_pl_optimizer=False)
    optimizer.zero_grad()
    Classifier.training_step(module, batch, 0).backward()
    nn.utils.clip_grad_norm_(module.parameters(), 0.05)
    optimizer.step()


def test_gradients_that_the_module_makes_and_clips_by_itself_are_masked_before():
    module, pruning = ByHand(clip), PruningCallback(amount=0.5)
    for _ in range(3):
        fit(module, pruning)
    norm = nn.utils.clip_grad_norm_

    class Clipped(Classifier):
        def configure_optimizers(self) -> optim.Optimizer:
            optimizer = super().configure_optimizers()
            optimizer.register_step_pre_hook(lambda *_: norm(self.parameters(), 0.05) and None)
            return optimizer

    ended, mask = loop(Clipped(), 3)
    assert pruning.mask == Mask(mask)
    assert close(state(module), ended[-1])


def both_losses_first(module: ByHand, batch: tuple[Tensor, Tensor]) -> None:
    optimizer = module.optimizers()
    actor = module.body(batch[0]).square().mean()
    critic = module.head(torch.ones(4, 8)).square().mean()
    optimizer.zero_grad()
    module.manual_backward(actor)
    optimizer.step()
    optimizer.zero_grad()
    module.manual_backward(critic)
    optimizer.step()


def test_losses_that_were_computed_before_a_step_keep_their_gradients():
    module, pruning = ByHand(both_losses_first), PruningCallback(amount=0.5, include=["body.0.*"])
    for _ in range(3):
        fit(module, pruning)
    assert pruning.round == 2
    assert not revived(module, pruning.mask)


class Renews(Classifier):
    def on_train_epoch_start(self) -> None:
        self.trainer.strategy.setup_optimizers(self.trainer)


def test_optimizers_that_are_made_in_the_fit_are_watched_too():
    module, pruning = Renews(lambda params: optim.Adafactor(params, 0.1)), PruningCallback(amount=0.5)
    for _ in range(3):
        witness = Witness()
        fit(module, pruning, witness)
        assert all(equal(weights, masked(weights, pruning.mask)) for weights in witness.steps)
    assert pruning.round == 2


class Holds(Classifier):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", None)
        self.register_buffer("wide", torch.ones(1).expand(3))
        self.register_buffer("graph", torch.eye(3).to_sparse())

    def training_step(self, batch: tuple[Tensor, Tensor], index: int) -> Tensor:
        self.mean = torch.ones(2)
        return super().training_step(batch, index)


def test_buffers_without_a_value_shared_or_sparse_are_rewound():
    seen = []

    class Start(pl.Callback):
        def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
            seen.append(pl_module.mean)

    module, pruning = Holds(), PruningCallback(amount=0.5)
    for _ in range(3):
        fit(module, pruning, Start())
    assert seen == [None, None, None]
    assert pruning.round == 2


def test_a_parameter_that_is_added_later_goes_back_to_its_first_value():
    module, pruning, starts = Classifier(), PruningCallback(amount=0.1), []
    fit(module, pruning)
    module.scale = nn.Parameter(torch.ones(3))
    module.forward = lambda inputs: module.head(module.body(inputs)) * module.scale  # pyright: ignore[reportAttributeAccessIssue]
    for _ in range(3):
        witness = Witness()
        fit(module, pruning, witness)
        starts.append(witness.start["scale"])
    assert all(torch.equal(start, torch.ones(3)) for start in starts)  # a tenth of three is none


def test_layers_that_training_freezes_at_its_end_are_pruned_on_and_others_are_refused():
    class Freezes(Classifier):
        def on_train_end(self) -> None:
            self.body.requires_grad_(False)

        def on_train_start(self) -> None:
            self.body.requires_grad_(True)

    module, pruning = Freezes(), PruningCallback(amount=0.5)
    for _ in range(3):
        fit(module, pruning)
    assert pruning.mask.counts["body.0.weight"] == 10
    frozen, pruning = Classifier(), PruningCallback(amount=0.5)
    fit(frozen, pruning)
    frozen.head.requires_grad_(False)
    with pytest.raises(LotteryError, match=r"'head\.weight' is frozen since round 0 ended"):
        fit(frozen, pruning)
    with pytest.raises(LotteryError, match=r"include: the pattern 'head\.\*' matches frozen parameters alone"):
        fit(copying.deepcopy(frozen), PruningCallback(include=["head.*"]))


def test_a_lazy_layer_is_refused_with_what_to_do_even_where_it_is_not_pruned():
    for settings in ({}, {"exclude": ["body.*"]}):
        module = Classifier(layers=lambda: nn.LazyLinear(8))
        with pytest.raises(LotteryError, match=r"lazy parameter 'body\.weight' has no shape yet"):
            fit(module, PruningCallback(**settings))


def test_a_callback_goes_through_pickle_between_rounds():
    module, pruning = Classifier(), PruningCallback(amount=0.5)
    module.hook = lambda: None  # what cannot be pickled stays where it is
    fit(module, pruning)
    kept = pickle.loads(pickle.dumps(pruning))
    fit(module, kept)
    assert kept.round == 1
    ended, mask = loop(Classifier(), 2)
    assert kept.mask == Mask(mask)
    assert close(state(module), ended[-1])


class Records(pl.Callback):
    """Keeps each round's last weights, and a teacher; with a `setup` of its own that copies nothing."""

    def __init__(self) -> None:
        self.records: list[dict[str, Tensor]] = []

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Copy nothing."""

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.records.append(state(pl_module))


def test_what_a_callback_has_recorded_before_stays_as_it_was():
    module, pruning, records, ended = Classifier(), PruningCallback(amount=0.5), Records(), []
    for _ in range(3):
        fit(module, records, pruning)
        ended.append(state(module))
    assert all(equal(kept, left) for kept, left in zip(records.records, ended, strict=True))


class Shadow:
    """An average in a plain object, in another type, as libraries of moving averages keep it."""

    def __init__(self, module: nn.Module) -> None:
        self.shadow = [param.detach().double() for param in module.parameters()]


class Shadows(pl.Callback):
    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        self.ema = Shadow(pl_module)


def test_copies_in_plain_objects_and_other_types_are_renewed():
    module, pruning, shadows = Classifier(), PruningCallback(amount=0.5), Shadows()
    first = [param.detach().clone() for param in module.parameters()]
    for _ in range(2):
        fit(module, shadows, pruning)
    alive = pruning.mask.values()
    expected = [(value * mask).double() for value, mask in zip(first, alive, strict=True)]
    assert all(torch.equal(kept, value) for kept, value in zip(shadows.ema.shadow, expected, strict=True))
