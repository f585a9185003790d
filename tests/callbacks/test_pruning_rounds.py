"""`PruningCallback` refuses fits that are no rounds, and lets evaluations be."""

import copy as copying
import inspect
import math
from dataclasses import fields
from pathlib import Path

import pytest
import torch
from pruning_helpers import (
    EPOCHS,
    Batches,
    Classifier,
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
    state,
)
from pytorch_lightning.callbacks import ModelCheckpoint
from pytorch_lightning.tuner import Tuner
from torch import Tensor, nn, optim

from lt_lightning.callbacks import PruningCallback
from lt_lightning.lottery import LotteryError, Mask, Settings, Start

pytestmark = pytest.mark.filterwarnings("ignore:Checkpoint directory .* exists and is not empty")


class Evaluated(Classifier):
    def __init__(self) -> None:
        super().__init__(lambda params: optim.Adam(params, 0.1))

    def validation_step(self, batch: tuple[Tensor, Tensor], index: int) -> None:
        self.log("valid_loss", self.training_step(batch, index))

    test_step = validation_step

    def predict_step(self, batch: tuple[Tensor, Tensor], index: int) -> Tensor:
        return self(batch[0])


QUIET = {"verbose": False}


def evaluate_each_round(folder: Path, verb: str, which: str) -> tuple[list[Mask], Weights]:
    module, pruning, masks = Evaluated(), PruningCallback(amount=0.5), []
    for round in range(4):
        saver = ModelCheckpoint(folder / str(round), filename="first", every_n_epochs=1, monitor="step", mode="min")
        trainer = make_trainer(pruning, saver, max_epochs=EPOCHS, enable_checkpointing=True, num_sanity_val_steps=0)
        trainer.fit(module, Batches(), Batches(1, seed=9))
        assert pruning.round == round
        masks.append(pruning.mask)
        left = copy(module)
        if verb:
            path = "best" if which == "best" else saver.best_model_path
            getattr(trainer, verb)(module, Batches(1), ckpt_path=path, **({} if verb == "predict" else QUIET))
            assert not equal(copy(module), left), "the checkpoint has the weights of an earlier epoch"
            assert (pruning.round, pruning.mask) == (round, masks[-1])
    return masks, copy(module)


@pytest.mark.slow
@pytest.mark.parametrize(("verb", "which"), [("test", "best"), ("validate", "path"), ("predict", "path")])
@pytest.mark.filterwarnings("ignore:.*`ModelCheckpoint.monitor='step'`.*")
def test_an_evaluation_that_loads_a_checkpoint_leaves_the_lottery_alone(tmp_path, verb, which):
    masks, _ = evaluate_each_round(tmp_path / "with", verb, which)
    assert masks == evaluate_each_round(tmp_path / "without", "", "")[0]


def test_weights_that_the_user_loads_between_fits_are_those_that_are_pruned():
    module, pruning = Evaluated(), PruningCallback(amount=0.5, rewind="none")
    trainer = make_trainer(pruning, max_epochs=EPOCHS)
    trainer.fit(module, Batches(), Batches(1))
    trainer.test(module, Batches(1), verbose=False)
    own = {name: torch.rand(value.shape).to(value.dtype) for name, value in copy(module).items()}
    put(module, own)
    make_trainer(pruning, max_epochs=EPOCHS).fit(module, Batches(), Batches(1))
    ones = {name: torch.ones_like(alive) for name, alive in pruning.mask.items()}
    assert pruning.mask == Mask(prune(own, ones, 0.5))


def test_a_fit_without_a_step_is_an_error_and_no_round():
    module, pruning = Classifier(), PruningCallback(amount=0.5)
    trainer = make_trainer(pruning, max_epochs=EPOCHS)
    trainer.fit(module, Batches())
    mask, left = pruning.mask, state(module)
    for spent, words in (
        (trainer, "max_epochs=2.*new one for each round"),
        (make_trainer(pruning, max_epochs=-1, max_steps=0), "max_steps=0"),
    ):
        with pytest.raises(LotteryError, match=words):
            spent.fit(module, Batches())
        assert (pruning.round, pruning.mask) == (0, mask)
        assert equal(state(module), left)
    with pytest.raises(LotteryError, match=r"round 1 took no optimizer step"):
        make_trainer(pruning, max_time={"seconds": 0}).fit(module, Batches())
    fit(module, pruning)
    assert pruning.round == 1
    ended, expected = loop(Classifier(), 2)
    assert pruning.mask == Mask(expected)
    assert close(state(module), ended[-1])


class Late(Classifier):
    def setup(self, stage: str) -> None:
        self.head = nn.Linear(8, 3)


def test_a_layer_that_is_built_in_each_fit_is_refused_before_it_trains():
    module, pruning = Late(), PruningCallback()
    fit(module, pruning)
    with pytest.raises(LotteryError, match=r"'head\.weight' is not the one that round .* build its layers once"):
        fit(module, pruning)


def test_a_new_module_or_a_new_callback_in_a_later_round_is_refused():
    module, pruning = Classifier(), PruningCallback()
    fit(module, pruning)
    left = state(module)
    with pytest.raises(LotteryError, match=r"is not the one that round 0 began with"):
        fit(Classifier(), pruning)
    with pytest.raises(LotteryError, match=r"another PruningCallback has trained this module"):
        fit(module, PruningCallback())
    assert equal(state(module), left)
    fit(copying.deepcopy(module), PruningCallback())
    fit(module, pruning)
    assert pruning.round == 1


@pytest.mark.filterwarnings("ignore:.*does not have many workers")
@pytest.mark.filterwarnings("ignore:.*You defined a `validation_step`")
def test_a_search_for_a_learning_rate_is_no_round(tmp_path):
    class Rated(Classifier):
        lr = 0.1

        def configure_optimizers(self) -> optim.Optimizer:
            return optim.SGD(self.parameters(), self.lr)

    module, pruning = Rated(), PruningCallback(amount=0.5)
    for _ in range(2):
        fit(module, pruning)
    mask = pruning.mask
    trainer = make_trainer(pruning, max_epochs=1, default_root_dir=tmp_path)
    Tuner(trainer).lr_find(module, Batches(), num_training=3, update_attr=False)
    fit(module, pruning)
    assert pruning.round == 2
    assert pruning.mask.is_subset_of(mask)
    assert pruning.mask.alive < mask.alive
    assert not revived(module, pruning.mask)


@pytest.mark.parametrize("requeued", [True, False])
def test_a_checkpoint_of_a_round_that_has_ended_is_refused_and_changes_nothing(tmp_path, monkeypatch, requeued):
    module, pruning = Classifier(), PruningCallback(amount=0.5)
    trainer = make_trainer(pruning, max_epochs=EPOCHS)
    trainer.fit(module, Batches())
    path = tmp_path / "hpc_ckpt_1.ckpt"
    trainer.save_checkpoint(path, weights_only=False)
    left, mask = state(module), pruning.mask
    if requeued:  # Lightning loads such a file by itself
        slurm = {"JOB_ID": 1, "NTASKS": 1, "PROCID": 0, "LOCALID": 0, "NODEID": 0, "JOB_NAME": "train"}
        for name, value in slurm.items():
            monkeypatch.setenv(f"SLURM_{name}", str(value))
    next_trainer = make_trainer(pruning, max_epochs=EPOCHS, default_root_dir=tmp_path)
    with pytest.raises(LotteryError, match=r"hpc_ckpt_1\.ckpt is of round 0, which this callback has ended"):
        next_trainer.fit(module, Batches(), ckpt_path=None if requeued else path)
    assert (pruning.round, pruning.mask) == (0, mask)
    assert equal(state(module), left)
    path.unlink()
    fit(module, pruning)
    ended, expected = loop(Classifier(), 2)
    assert pruning.mask == Mask(expected)
    assert close(state(module), ended[-1])


def test_weights_that_are_not_finite_are_an_error_that_names_the_parameter():
    class Breaks(Classifier):
        def on_train_end(self) -> None:
            with torch.no_grad():
                self.head.weight[0, 0] = math.nan

    module, pruning = Breaks(), PruningCallback()
    for _ in range(2):
        with pytest.raises(LotteryError, match=r"round 0 left in 'head\.weight' are not finite"):
            fit(module, pruning)
    assert pruning.mask.sparsity == 0


def test_rows_of_weight_norm_that_are_all_pruned_are_an_error_that_names_the_parameter():
    def layers() -> nn.Module:
        return nn.utils.parametrizations.weight_norm(nn.Linear(5, 8))

    module, pruning = Classifier(layers=layers), PruningCallback(amount=0.9)
    fit(module, pruning)
    with pytest.raises(LotteryError, match=r"round 1 left in 'body\..*' are not finite"):
        fit(module, pruning)


def test_the_signature_has_every_setting_with_its_default():
    parameters = inspect.signature(PruningCallback).parameters
    for field in fields(Settings):
        assert parameters[field.name].default == field.default
    assert set(parameters) == {field.name for field in fields(Settings)} | {"submodule", "initialize", "start"}


@pytest.mark.parametrize(("key", "value", "words"), [
    ("amount", "0.2", "'0.2' is not a number"), ("amount", True, "True is not a number"),
    ("amount", None, "None is not a number"), ("seed", 1.5, "1.5 is not a whole number"),
    ("seed", "1", "'1' is not a whole number"), ("include", 5, "5 is not a list of patterns"),
    ("exclude", [1], "1 is not a pattern"), ("criterion", 3, "3 is none of magnitude, magnitude_increase"),
    ("criterion", "my.function()", "is none of magnitude, .*, random, and not the dotted path"),
    ("criterion", "no_such_package.f", "cannot be imported .*ModuleNotFoundError"),
    ("criterion", "math.pi", "'math.pi' is a float, not a function"),
    ("scope", ["global"], "is none of layerwise, global"), ("rewind", 3, "'3' is none of|3 is none of"),
    ("submodule", None, "None is not a name"), ("initialize", 5, "5 is not a function"),
    ("start", {}, "give a lt_lightning.lottery.Start, not dict"),
])  # fmt: skip
def test_a_setting_of_another_type_is_refused_in_one_line(key, value, words):
    with pytest.raises(LotteryError, match=rf"^{key}: .*({words})") as caught:
        PruningCallback(**{key: value})
    assert "\n" not in str(caught.value)


def test_a_part_that_the_module_does_not_have_is_refused_with_those_that_it_has():
    with pytest.raises(LotteryError, match=r"^submodule: Classifier has no part 'tail'; it has: body, head"):
        fit(Classifier(), PruningCallback(submodule="tail"))


def test_a_mask_has_no_empty_name():
    with pytest.raises(LotteryError, match="one name is empty"):
        Mask({"": torch.ones(2, dtype=torch.bool)})


def test_a_ticket_found_on_one_module_is_what_another_begins_with() -> None:
    module, found, witness = Classifier(), PruningCallback(amount=0.4), Witness()
    for round in range(3):
        witness = Witness()
        make_trainer(found, witness).fit(module, Batches(seed=round))
    other = Classifier(lambda params: optim.Adam(params, 0.05))
    with torch.no_grad():
        other.head.weight.add_(1)
    pruning = PruningCallback(amount=0.4, start=Start(found.mask, witness.start))
    seen, later = Witness(), Witness()
    make_trainer(pruning, seen).fit(other, Batches(seed=9))
    assert equal(seen.start, witness.start)
    assert pruning.mask == found.mask
    assert all(equal(weights, masked(weights, found.mask)) for weights in (*seen.steps, seen.end))
    assert not equal(seen.start, seen.end)
    make_trainer(pruning, later).fit(other, Batches(seed=10))
    assert pruning.mask.is_subset_of(found.mask)
    assert pruning.mask.alive < found.mask.alive
    assert equal(later.start, masked(seen.start, pruning.mask))
