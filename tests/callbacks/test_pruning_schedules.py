"""Schedules that prune before or during a fit, against plain torch loops of the papers' pseudo-code in float64."""

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytorch_lightning as pl
import torch
from pruning_helpers import Batches, Classifier, copy, make_trainer
from torch import Tensor, nn, optim

from lt_lightning.callbacks import PruningCallback
from lt_lightning.lottery import LayerCollapseWarning, LotteryError, Mask, cubic_sparsity, densities, derive_seed
from lt_lightning.lottery.criteria import random

OPTIMIZERS: dict[str, Callable[[list[nn.Parameter]], optim.Optimizer]] = {
    "sgd": lambda params: optim.SGD(params, 0.1, momentum=0.9, weight_decay=0.01),
    "adam": lambda params: optim.Adam(params, 0.01),
    "adamw": lambda params: optim.AdamW(params, 0.01, weight_decay=0.1),
}


class Masks(pl.Callback):
    """Note the mask as training starts, and after each batch; check that pruned weights and their moments are zero."""

    def __init__(self, pruning: PruningCallback) -> None:
        self.pruning, self.first, self.seen = pruning, Mask({}), list[Mask]()

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.first = self.pruning.mask

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *rest: Any) -> None:
        self.seen.append(self.pruning.mask)
        params = dict(pl_module.named_parameters())
        for name, alive in self.pruning.mask.items():
            assert not params[name][~alive].count_nonzero()
            for key, moment in trainer.optimizers[0].state[params[name]].items():
                assert key == "step" or moment is None or not moment[~alive].count_nonzero()


def lowest(scores: Tensor, among: Tensor, count: int) -> Tensor:
    """Which entries have the `count` lowest scores, by sorting."""
    places = sorted(among.flatten().nonzero().flatten().tolist(), key=lambda place: float(scores.flatten()[place]))
    chosen = torch.zeros(scores.numel(), dtype=torch.bool)
    chosen[places[:count]] = True
    return chosen.view(scores.shape)


def train_plainly(
    module: Classifier,
    first: Mask,
    steps: int,
    change: Callable[[int, dict[str, Tensor], dict[str, Tensor], dict[str, Tensor]], dict[str, Tensor] | None],
    *,
    instead: bool,
    window: int = 1,
    clip: float | None = None,
) -> dict[str, Tensor]:
    """Train by a loop; `change(step, weights, masks, gradients)` returns the masks of a change, or None."""
    params, batches = dict(module.named_parameters()), list(Batches())
    masks = {name: alive.clone() for name, alive in first.items()}
    optimizer = module.configure_optimizers()
    recent: list[dict[str, Tensor]] = []

    def apply() -> None:
        with torch.no_grad():
            for name, alive in masks.items():
                params[name][~alive] = 0
                for key, moment in optimizer.state[params[name]].items():
                    if key != "step" and moment is not None:
                        moment[~alive] = 0

    apply()
    for step in range(steps):
        inputs, labels = batches[step % len(batches)]
        optimizer.zero_grad()
        nn.functional.cross_entropy(module(inputs.double()), labels).backward()
        dense = {name: param.grad.clone() for name, param in params.items() if param.grad is not None}
        recent = [*recent[-window + 1 :], dense] if window > 1 else [dense]
        if instead:
            sums = {name: sum(one[name] for one in recent) for name in dense}
            new = change(step, {name: param.detach() for name, param in params.items()}, masks, sums)  # pyright: ignore
            if new is not None:
                masks = new
                apply()
                continue
        for name, alive in masks.items():
            grad = params[name].grad
            assert grad is not None
            grad[~alive] = 0
        if clip is not None:
            nn.utils.clip_grad_norm_(list(params.values()), clip)
        optimizer.step()
        apply()
        if not instead and (
            new := change(step + 1, {name: param.detach() for name, param in params.items()}, masks, {})
        ):
            masks = new
            apply()
    return masks


def fit(pruning: PruningCallback, optimizer: str = "sgd", **arguments: Any) -> tuple[Classifier, Masks]:
    module, masks = Classifier(OPTIMIZERS[optimizer]).double(), Masks(pruning)
    make_trainer(pruning, masks, **{"max_epochs": 5, "precision": "64-true"} | arguments).fit(module, Batches())
    return module, masks


def assert_equal(module: Classifier, plain: Classifier, pruning: PruningCallback, masks: dict[str, Tensor]) -> None:
    assert pruning.mask == Mask(masks)
    others = dict(plain.named_parameters())
    for name, param in module.named_parameters():
        torch.testing.assert_close(param, others[name], rtol=0, atol=1e-12)


@pytest.mark.parametrize("clip", [None, 0.05])
@pytest.mark.parametrize("optimizer", list(OPTIMIZERS))
def test_gradual_pruning_is_the_loop_of_zhu_and_gupta(optimizer: str, clip: float | None) -> None:
    pruning = PruningCallback(schedule="gradual", density=0.1, begin=2, end=14, every=3)
    module, seen = fit(pruning, optimizer, gradient_clip_val=clip)
    plain = Classifier(OPTIMIZERS[optimizer]).double()

    def change(step: int, weights: dict[str, Tensor], masks: dict[str, Tensor], _: Any) -> dict[str, Tensor] | None:
        if step not in (5, 8, 11, 14):
            return None
        sparsity = 0.9 + (0 - 0.9) * (1 - (step - 2) / 12) ** 3
        new = {}
        for name, alive in masks.items():
            gone = int(alive.sum()) - round((1 - sparsity) * alive.numel())
            new[name] = alive & ~lowest(weights[name].abs(), alive, gone)
        return new

    masks = train_plainly(plain, seen.first, 20, change, instead=False, clip=clip)
    assert_equal(module, plain, pruning, masks)
    assert [one.step for one in pruning.changes] == [5, 8, 11, 14]
    assert [one.sparsity for one in pruning.changes] == pytest.approx(
        [cubic_sparsity(step, 2, 14, 3, 0, 0.9) for step in (5, 8, 11, 14)], abs=0.02
    )
    assert all(later.is_subset_of(earlier) for earlier, later in zip(seen.seen, seen.seen[1:], strict=False))


@pytest.mark.parametrize("window", [1, 3])
@pytest.mark.parametrize("optimizer", list(OPTIMIZERS))
def test_rigl_is_the_loop_of_evci_et_al(optimizer: str, window: int) -> None:
    pruning = PruningCallback(schedule="rigl", density=0.5, every=4, end=18, grow_batches=window, drop_fraction=0.6)
    module, seen = fit(pruning, optimizer, gradient_clip_val=0.5)
    plain = Classifier(OPTIMIZERS[optimizer]).double()

    def change(
        step: int, weights: dict[str, Tensor], masks: dict[str, Tensor], gradients: dict[str, Tensor]
    ) -> dict[str, Tensor] | None:
        if step not in (4, 8, 12, 16):
            return None
        new = {}
        for name, alive in masks.items():
            k = int(int(alive.sum()) * 0.6 / 2 * (1 + math.cos(math.pi * step / 18)))
            kept = alive & ~lowest(weights[name].abs(), alive, k)
            new[name] = kept | lowest(-gradients[name].abs(), ~kept, k)
        return new

    masks = train_plainly(plain, seen.first, 20, change, instead=True, window=window, clip=0.5)
    assert_equal(module, plain, pruning, masks)
    assert {one.sparsity for one in pruning.changes} == {pruning.mask.sparsity}  # the density never changes
    assert all(one.counts == seen.first.counts for one in seen.seen)
    assert any(one.grown for one in pruning.changes)


def test_set_is_the_loop_of_mocanu_et_al() -> None:
    pruning = PruningCallback(schedule="set", density=0.5, every=5, seed=3)
    module, seen = fit(pruning, "adam")
    plain = Classifier(OPTIMIZERS["adam"]).double()

    def change(step: int, weights: dict[str, Tensor], masks: dict[str, Tensor], _: Any) -> dict[str, Tensor] | None:
        if step not in (5, 10):
            return None
        draws = random(weights, torch.Generator().manual_seed(derive_seed(3, "draw", 0, step)))
        new = {}
        for name, alive in masks.items():
            k = int(int(alive.sum()) * 0.15 * (1 + math.cos(math.pi * step / 15)))
            kept = alive & ~lowest(weights[name].abs(), alive, k)
            new[name] = kept | lowest(-draws[name], ~kept, k)
        return new

    masks = train_plainly(plain, seen.first, 20, change, instead=False)
    assert_equal(module, plain, pruning, masks)


@pytest.mark.parametrize("optimizer", list(OPTIMIZERS))
@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
@pytest.mark.parametrize("schedule", ["gradual", "set", "rigl", "at_init"])
def test_pruned_entries_are_zero_under_every_schedule(schedule: str, precision: Any, optimizer: str) -> None:
    every = {} if schedule == "at_init" else {"every": 3}
    pruning = PruningCallback(schedule=schedule, density=0.2, **every)
    module = Classifier(OPTIMIZERS[optimizer])
    masks = Masks(pruning)
    make_trainer(
        pruning, masks, max_epochs=5, precision=precision, gradient_clip_val=0.1, accumulate_grad_batches=2
    ).fit(module, Batches())
    assert len(masks.seen) == 20
    wanted = {name: round(0.2 * param.numel()) for name, param in module.named_parameters()}
    assert pruning.mask.counts == wanted
    with pytest.raises(LotteryError, match=f"^schedule: {schedule} trains one round, and it has ended"):
        make_trainer(pruning).fit(module, Batches())


class SaveAt(pl.Callback):
    """Save a checkpoint after an epoch, and stop as a kill would."""

    def __init__(self, path: Path, epoch: int) -> None:
        self.path, self.epoch = path, epoch

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if trainer.current_epoch == self.epoch:
            trainer.save_checkpoint(self.path)
            raise KeyboardInterrupt


@pytest.mark.slow
@pytest.mark.parametrize("epoch", [0, 1, 2])
@pytest.mark.parametrize("schedule", ["gradual", "set", "rigl"])
def test_a_fit_that_resumes_ends_with_the_same_bits(tmp_path: Path, schedule: str, epoch: int) -> None:
    def pruning() -> PruningCallback:
        # The windows of RigL's gradients, steps 3 to 5, 8 to 10, …, reach over the ends of epochs of four batches.
        sums = {"grow_batches": 3} if schedule == "rigl" else {}
        return PruningCallback(schedule=schedule, density=0.4, every=5, end=20, **sums)

    whole, (one, other) = pruning(), (pruning(), pruning())
    module = Classifier(OPTIMIZERS["adam"])
    make_trainer(whole, max_epochs=5).fit(module, Batches())
    path = tmp_path / "kept.ckpt"
    with pytest.raises(BaseException):  # noqa: B017, PT011 (Lightning ends the process's work in its own way)
        make_trainer(one, SaveAt(path, epoch), max_epochs=5).fit(Classifier(OPTIMIZERS["adam"]), Batches())
    again = Classifier(OPTIMIZERS["adam"])
    make_trainer(other, max_epochs=5).fit(again, Batches(), ckpt_path=path, weights_only=True)
    assert other.mask == whole.mask
    assert other.changes == whole.changes
    assert all(torch.equal(value, copy(again)[name]) for name, value in copy(module).items())


def test_a_round_that_failed_begins_again_with_its_first_mask() -> None:
    class Fails(pl.Callback):
        def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
            if trainer.current_epoch == 2:
                raise ValueError("out of memory")

    whole, pruning = (PruningCallback(schedule="rigl", density=0.4, every=5) for _ in range(2))
    module, again = Classifier(OPTIMIZERS["adam"]), Classifier(OPTIMIZERS["adam"])
    make_trainer(whole, max_epochs=5).fit(module, Batches())
    with pytest.raises(ValueError, match="out of memory"):
        make_trainer(pruning, Fails(), max_epochs=5).fit(again, Batches())
    make_trainer(pruning, max_epochs=5).fit(again, Batches())
    assert pruning.mask == whole.mask
    assert pruning.changes == whole.changes


def test_erk_gives_each_tensor_its_density() -> None:
    pruning = PruningCallback(schedule="set", density=0.3, scope="erk", exclude=["*.bias", "body.1.*"], every=3)
    module = Classifier()
    make_trainer(pruning).fit(module, Batches())
    shapes = {name: tuple(param.shape) for name, param in module.named_parameters() if name in pruning.mask}
    wanted = densities("erk", shapes, 0.3)
    for name, alive in pruning.mask.items():
        assert abs(int(alive.sum()) - wanted[name] * alive.numel()) < 1


@pytest.mark.parametrize("rewind", ["random", "shuffle"])
def test_pruning_at_init_can_begin_with_other_weights(rewind: str) -> None:
    def train(**settings: Any) -> tuple[Mask, dict[str, Tensor]]:
        firsts: dict[str, Tensor] = {}

        class First(pl.Callback):
            def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
                firsts.update(copy(pl_module))

        pruning = PruningCallback(schedule="at_init", density=0.3, exclude=["body.1.*"], **settings)
        make_trainer(pruning, First(), max_epochs=1).fit(Classifier(), Batches())
        return pruning.mask, firsts

    (mask, weights), (control, others) = train(), train(rewind=rewind)
    assert control == mask
    before = copy(Classifier())
    alive = mask["head.weight"]
    assert torch.equal(weights["head.weight"][alive], before["head.weight"][alive])
    assert not torch.equal(others["head.weight"][alive], before["head.weight"][alive])
    if rewind == "shuffle":
        assert set(others["head.weight"][alive].tolist()) <= set(before["head.weight"].flatten().tolist())


@pytest.mark.parametrize("mask", ["shuffle", "random", "invert"])
@pytest.mark.parametrize("schedule", ["rounds", "at_init"])
def test_control_masks_keep_the_counts_of_each_tensor(schedule: str, mask: str) -> None:
    settings: dict[str, Any] = {"density": 0.25} if schedule == "at_init" else {"amount": 0.5}
    usual, control = (PruningCallback(schedule=schedule, mask=kind, **settings) for kind in ("pruned", mask))
    masks = []
    for pruning in (usual, control):
        module = Classifier()
        for _ in range(1 if schedule == "at_init" else 3):
            make_trainer(pruning, max_epochs=1).fit(module, Batches())
            masks.append(pruning.mask)
    half = len(masks) // 2
    assert [one.counts for one in masks[:half]] == [one.counts for one in masks[half:]]
    assert usual.mask != control.mask
    assert all(later.is_subset_of(earlier) for earlier, later in zip(masks[half:], masks[half + 1 :], strict=False))


@pytest.mark.parametrize("mask", ["shuffle", "random", "invert"])
def test_control_masks_keep_the_pattern(mask: str) -> None:
    pruning = PruningCallback(schedule="at_init", density=0.5, pattern="rows", mask=mask, include=["*.weight"])
    make_trainer(pruning, max_epochs=1).fit(Classifier(), Batches())
    assert pruning.mask.counts["body.0.weight"] == 4 * 5
    rows = pruning.mask["body.0.weight"].sum(1)
    assert set(rows.tolist()) == {0, 5}


def test_what_is_kept_trains_on_while_the_rest_rewinds() -> None:
    pruning, module = PruningCallback(amount=0.5, keep=["body.1.*"], include=["*.weight"]), Classifier()
    first = copy(module)
    make_trainer(pruning, max_epochs=1).fit(module, Batches())
    trained = copy(module)

    class Begins(pl.Callback):
        def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
            now = copy(pl_module)
            alive = pruning.mask["body.0.weight"]
            assert torch.equal(now["body.0.weight"][alive], first["body.0.weight"][alive])
            assert torch.equal(now["head.bias"], first["head.bias"])
            assert torch.equal(now["body.1.bias"], trained["body.1.bias"])
            assert torch.equal(now["body.1.running_mean"], trained["body.1.running_mean"])
            alive = pruning.mask["body.1.weight"]
            assert torch.equal(now["body.1.weight"][alive], trained["body.1.weight"][alive])

    make_trainer(pruning, Begins(), max_epochs=1).fit(module, Batches())
    assert pruning.round == 1


def test_a_layer_without_a_living_entry_is_warned_of() -> None:
    def scope(scores: dict[str, Tensor]) -> dict[str, int]:
        return {name: 0 if name != "head.weight" else score.numel() for name, score in scores.items()}

    pruning, module = PruningCallback(scope=scope), Classifier()
    make_trainer(pruning, max_epochs=1).fit(module, Batches())
    with pytest.warns(LayerCollapseWarning, match=r"no entry of head\.weight is alive"):
        make_trainer(pruning, max_epochs=1).fit(module, Batches())
    assert pruning.mask.collapsed == ["head.weight"]


class TwoOptimizers(Classifier):
    def __init__(self) -> None:
        super().__init__()
        self.automatic_optimization = False

    def configure_optimizers(self) -> Any:
        return [optim.SGD(self.body.parameters(), 0.1), optim.SGD(self.head.parameters(), 0.1)]

    def training_step(self, batch: tuple[Tensor, Tensor], index: int) -> None:
        loss = super().training_step(batch, index)
        for one in self.optimizers():  # pyright: ignore
            one.zero_grad()
        self.manual_backward(loss)
        for one in self.optimizers():  # pyright: ignore
            one.step()


def _refusals() -> Iterator[tuple[dict[str, Any], type[Classifier], str]]:
    yield {"end": 9}, Classifier, r"end: step 9 lies beyond the round, which has 8 optimizer steps"
    yield {"every": 8}, Classifier, r"every: 8 steps from step 0 on leave no update before step 6"
    yield {}, TwoOptimizers, r"schedule: gradual counts the steps of one optimizer, and the module has 2"


@pytest.mark.parametrize(("settings", "kind", "words"), list(_refusals()))
def test_a_schedule_that_does_not_fit_is_refused_before_a_step(settings: Any, kind: Any, words: str) -> None:
    module = kind()
    before = copy(module)
    with pytest.raises(LotteryError, match=words):
        make_trainer(PruningCallback(schedule="gradual", density=0.1, **settings)).fit(module, Batches())
    assert all(torch.equal(value, before[name]) for name, value in copy(module).items() if "running" not in name)


@pytest.mark.parametrize("schedule", ["gradual", "set", "rigl"])
def test_a_fast_dev_run_is_too_short_for_a_change_and_runs(schedule: str) -> None:
    pruning = PruningCallback(schedule=schedule, density=0.1, end=300)
    make_trainer(pruning, fast_dev_run=True).fit(Classifier(), Batches())
    assert [one.step for one in pruning.changes] == ([] if schedule == "gradual" else [0])


class Manual(Classifier):
    """Two steps of one optimizer for each batch."""

    def __init__(self) -> None:
        super().__init__()
        self.automatic_optimization = False

    def training_step(self, batch: tuple[Tensor, Tensor], index: int) -> None:
        for _ in range(2):
            loss = super().training_step(batch, index)
            self.optimizers().zero_grad()  # pyright: ignore
            self.manual_backward(loss)
            self.optimizers().step()  # pyright: ignore


def test_a_batch_of_several_steps_skips_no_change() -> None:
    pruning = PruningCallback(schedule="gradual", density=0.3, begin=0, end=27, every=9)
    make_trainer(pruning, max_epochs=4).fit(Manual(), Batches())
    assert [one.step for one in pruning.changes] == [9, 18, 27]
    assert pruning.mask.counts == {name: round(0.3 * p.numel()) for name, p in Classifier().named_parameters()}


def test_rigl_is_refused_where_it_cannot_take_the_place_of_a_step() -> None:
    settings: dict[str, Any] = {"schedule": "rigl", "density": 0.4, "every": 2, "end": 6}
    with pytest.raises(LotteryError, match=r"^schedule: rigl takes the place of optimizer steps"):
        make_trainer(PruningCallback(**settings)).fit(Manual(), Batches())
    two = [PruningCallback(**settings, include=[patterns]) for patterns in ("body.*", "head.*")]
    with pytest.raises(LotteryError, match=r"^schedule: two callbacks with rigl"):
        make_trainer(*two).fit(Classifier(), Batches())


class SaveBetween(pl.Callback):
    """Save a checkpoint after a step, before the PruningCallback has handled it, and stop."""

    def __init__(self, path: Path, step: int) -> None:
        self.path, self.step = path, step

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *rest: Any) -> None:
        if trainer.global_step == self.step:
            trainer.save_checkpoint(self.path)
            raise KeyboardInterrupt


@pytest.mark.filterwarnings("ignore:You're resuming from a checkpoint that ended before the epoch")
@pytest.mark.parametrize("schedule", ["gradual", "set"])
def test_a_change_between_a_step_and_its_checkpoint_is_made_on_resuming(tmp_path: Path, schedule: str) -> None:
    settings: dict[str, Any] = {"schedule": schedule, "density": 0.4, "every": 5, "end": 20}
    whole, one, other = (PruningCallback(**settings) for _ in range(3))
    make_trainer(whole, max_epochs=5).fit(Classifier(), Batches())
    path = tmp_path / "kept.ckpt"
    with pytest.raises(BaseException):  # noqa: B017, PT011
        make_trainer(SaveBetween(path, 5), one, max_epochs=5).fit(Classifier(), Batches())
    make_trainer(other, max_epochs=5).fit(Classifier(), Batches(), ckpt_path=path, weights_only=True)
    assert other.changes == whole.changes


def test_a_checkpoint_of_another_schedule_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "kept.ckpt"
    with pytest.raises(BaseException):  # noqa: B017, PT011
        make_trainer(PruningCallback(schedule="set", density=0.4, every=5), SaveAt(path, 1), max_epochs=5).fit(
            Classifier(), Batches()
        )
    with pytest.raises(LotteryError, match=r"^schedule: the checkpoint is of a round with schedule=set density=0\.4"):
        make_trainer(PruningCallback(schedule="gradual", density=0.4), max_epochs=5).fit(
            Classifier(), Batches(), ckpt_path=path, weights_only=True
        )


def test_a_longer_fit_resumes_in_the_times_of_its_checkpoint(tmp_path: Path) -> None:
    path, one, other = tmp_path / "kept.ckpt", *(PruningCallback(schedule="gradual", density=0.1) for _ in range(2))
    with pytest.raises(BaseException):  # noqa: B017, PT011
        make_trainer(one, SaveAt(path, 2), max_epochs=4).fit(Classifier(), Batches())
    make_trainer(other, max_epochs=8).fit(Classifier(), Batches(), ckpt_path=path, weights_only=True)
    assert max(change.step for change in other.changes) <= 12


@pytest.mark.parametrize("density", [0.05, 0.15, 0.5, 0.7])
def test_many_small_steps_of_erk_never_ask_for_a_pruned_entry(density: float) -> None:
    pruning = PruningCallback(schedule="gradual", density=density, scope="erk", every=1, end=60, exclude=["*.bias"])
    make_trainer(pruning, max_epochs=15).fit(Classifier(), Batches())
    assert abs(1 - pruning.mask.sparsity - density) < 0.01


def test_first_weights_of_pruned_entries_are_kept_for_branches() -> None:
    pruning, module = PruningCallback(schedule="at_init", density=0.3), Classifier()
    before = copy(module)
    make_trainer(pruning, max_epochs=1).fit(module, Batches())
    weights = pruning.state_dict()["rewind_weights"]
    assert all(torch.equal(weights[name], before[name]) for name in pruning.mask)


def test_a_round_that_ends_before_its_density_is_an_error() -> None:
    class Stops(pl.Callback):
        def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
            trainer.should_stop = True

    pruning = PruningCallback(schedule="gradual", density=0.1, every=1)
    with pytest.raises(
        LotteryError, match=r"^schedule: the round ended after step 4, before the last pruning at step 6"
    ):
        make_trainer(pruning, Stops(), max_epochs=2).fit(Classifier(), Batches())
