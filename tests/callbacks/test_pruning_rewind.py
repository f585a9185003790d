"""`PruningCallback` over several fits: masks against a brute-force loop, rewound weights against snapshots."""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from pruning_helpers import Batches, Classifier, Weights, Witness, copy, equal, make_trainer, masked
from torch import Tensor, nn, optim

from lt_lightning.callbacks import PruningCallback
from lt_lightning.lottery import LotteryError, Mask


def adam(params: list[nn.Parameter]) -> optim.Optimizer:
    return optim.Adam(params, 0.05)


def play(
    pruning: PruningCallback, module: pl.LightningModule, rounds: int = 4, **trainer: Any
) -> tuple[list[Witness], list[Mask]]:
    witnesses, masks = [], []
    for round in range(rounds):
        witness = Witness()
        make_trainer(pruning, witness, **trainer).fit(module, Batches(seed=round))
        assert pruning.round == round
        witnesses.append(witness)
        masks.append(pruning.mask)
    return witnesses, masks


def prune_by_hand(weights: Weights, mask: dict[str, list[bool]], amount: float, scope: str) -> dict[str, list[bool]]:
    """Sort what is alive by (magnitude, position) and drop the first round(amount × alive)."""
    groups = [[name] for name in mask] if scope == "layerwise" else [list(mask)]
    pruned = {name: list(alive) for name, alive in mask.items()}
    for group in groups:
        living = sorted(
            (abs(weights[name].flatten()[position].item()), order, position)
            for order, name in enumerate(group)
            for position, alive in enumerate(mask[name])
            if alive
        )
        for _, order, position in living[: round(amount * len(living))]:
            pruned[group[order]][position] = False
    return pruned


@pytest.mark.parametrize("scope", ["layerwise", "global"])
@pytest.mark.parametrize("rewind", ["init", "none"])
def test_the_masks_of_three_rounds_are_those_of_a_loop_over_the_trained_weights(scope, rewind):
    witnesses, masks = play(PruningCallback(amount=0.3, scope=scope, rewind=rewind), Classifier(adam))
    expected = {name: [True] * tensor.numel() for name, tensor in masks[0].items()}
    assert masks[0].sparsity == 0
    for witness, mask in zip(witnesses, masks[1:], strict=False):
        expected = prune_by_hand(witness.end, expected, 0.3, scope)
        assert {name: alive.flatten().tolist() for name, alive in mask.items()} == expected


def test_the_masks_of_percentiles_are_numpys():
    witnesses, masks = play(PruningCallback(amount=0.3, threshold="percentile"), Classifier(adam))
    expected = {name: np.ones(tensor.shape, dtype=bool) for name, tensor in masks[0].items()}
    for witness, mask in zip(witnesses, masks[1:], strict=False):
        for name in expected:
            weights = np.abs(witness.end[name].double().numpy())
            expected[name] &= ~(weights < np.percentile(weights[weights != 0], 30))
        assert {name: alive.tolist() for name, alive in mask.items()} == {n: e.tolist() for n, e in expected.items()}


@pytest.mark.parametrize(
    "settings",
    [{}, {"scope": "global"}, {"criterion": "random"}, {"threshold": "percentile"}, {"rewind": "random"}],
    ids=str,
)
def test_masks_are_nested_and_prune_on(settings):
    _, masks = play(PruningCallback(amount=0.3, **settings), Classifier())
    assert all(after.is_subset_of(before) for before, after in pairwise(masks))
    assert [mask.alive for mask in masks] == sorted({mask.alive for mask in masks}, reverse=True)


def test_every_parameter_is_pruned_by_default_biases_too():
    module = Classifier()
    _, masks = play(PruningCallback(amount=0.5), module, rounds=2)
    assert list(masks[1]) == [name for name, _ in module.named_parameters()]
    assert all(masks[1].counts[name] == tensor.numel() - round(tensor.numel() / 2) for name, tensor in masks[1].items())


def test_only_what_the_patterns_choose_is_pruned_and_all_is_rewound():
    pruning = PruningCallback(amount=0.6, include=["body.*", "head.*"], exclude=["*.bias", "body.1.*"])
    witnesses, masks = play(pruning, Classifier(), rounds=3)
    assert list(masks[2]) == ["body.0.weight", "head.weight"]
    for witness in witnesses[1:]:
        for name, value in witness.start.items():
            if name not in masks[2]:
                assert torch.equal(value, witnesses[0].start[name]), name


def test_a_submodule_is_pruned_and_rewound_and_the_rest_trains_on():
    witnesses, masks = play(PruningCallback(submodule="body", amount=0.5), Classifier(), rounds=3)
    for before, after, mask in zip(witnesses, witnesses[1:], masks[1:], strict=False):
        assert list(mask) == ["0.weight", "0.bias", "1.weight", "1.bias"]
        body = {name: value for name, value in witnesses[0].start.items() if name.startswith("body.")}
        pruned = {f"body.{name}": alive for name, alive in mask.items()}
        rewound = {name: value for name, value in after.start.items() if name.startswith("body.")}
        assert equal(rewound, masked(body, pruned))
        assert torch.equal(after.start["head.weight"], before.end["head.weight"])


def test_chance_is_seeded_and_has_nothing_to_do_with_the_weights():
    def masks(seed: int, lr: float) -> list[Mask]:
        module = Classifier(lambda params: optim.SGD(params, lr))
        torch.manual_seed(int(lr * 100))
        return play(PruningCallback(amount=0.5, criterion="random", seed=seed), module, rounds=3, max_epochs=1)[1]

    assert masks(0, 0.01) == masks(0, 0.5)
    assert masks(0, 0.01) != masks(1, 0.01)


REWINDS: dict[str, Callable[[Witness], Weights]] = {
    "init": lambda first: first.start, "epoch:0": lambda first: first.start, "step:0": lambda first: first.start,
    "epoch:1": lambda first: first.epochs[0], "epoch:2": lambda first: first.epochs[1],
    "epoch:3": lambda first: first.epochs[2], "step:1": lambda first: first.steps[0],
    "step:6": lambda first: first.steps[5], "step:12": lambda first: first.steps[11], "last": lambda first: first.end,
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("rewind", REWINDS)
def test_each_round_starts_from_the_weights_of_round_nought_at(rewind):
    """…with the statistics of the normalisation, which are no parameters."""
    witnesses, masks = play(PruningCallback(rewind=rewind), Classifier(adam), max_epochs=3)
    point, seen = REWINDS[rewind](witnesses[0]), [witnesses[0].start, *witnesses[0].steps]
    assert len(seen) == 13 and len(witnesses[0].epochs) == 3
    assert not any(equal(left, right) for index, left in enumerate(seen) for right in seen[:index])
    assert "body.1.running_mean" in point
    for witness, mask in zip(witnesses[1:], masks[1:], strict=True):
        assert equal(witness.start, masked(point, mask))
        assert not equal(witness.end, witness.start)


def test_without_rewinding_each_round_goes_on_from_the_last():
    witnesses, masks = play(PruningCallback(rewind="none"), Classifier(adam))
    for before, after, mask in zip(witnesses, witnesses[1:], masks[1:], strict=False):
        assert equal(after.start, masked(before.end, mask))


@pytest.mark.slow
def test_random_weights_are_drawn_by_the_modules_initialiser_anew_each_round_and_the_same_with_the_same_seed():
    def starts(seed: int, global_seed: int) -> list[Weights]:
        module = Classifier(adam)
        torch.manual_seed(global_seed)
        witnesses, masks = play(PruningCallback(rewind="random", seed=seed), module)
        starts = [witness.start for witness in witnesses]
        assert all(equal(start, masked(start, mask)) for start, mask in zip(starts, masks, strict=True))
        return starts

    first, again, other = starts(0, 1), starts(0, 2), starts(1, 1)
    assert all(equal(left, right) for left, right in zip(first, again, strict=True))
    drawn = [weights["head.weight"] for weights in (*first, *other[1:])]
    for index, left in enumerate(drawn):
        for right in drawn[:index]:
            both = (left != 0) & (right != 0)
            assert both.any() and (left[both] != right[both]).all()
        assert left.abs().max() <= 8**-0.5  # nn.Linear: uniform within 1/√(number of inputs)
    assert all(not weights["body.1.running_mean"].any() for weights in first[1:])


def test_an_initialiser_of_ones_own_draws_the_random_weights():
    class Bare(pl.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.ones(5, 3))

        def training_step(self, batch: tuple[Tensor, Tensor], index: int) -> Tensor:
            return nn.functional.cross_entropy(batch[0] @ self.weight, batch[1])

        def configure_optimizers(self) -> optim.Optimizer:
            return optim.SGD(self.parameters(), 0.1)

    with pytest.raises(LotteryError, match=r"'weight'.*Bare.*initialize="):
        make_trainer(PruningCallback(rewind="random")).fit(Bare(), Batches())

    def initialize(module: nn.Module) -> None:
        nn.init.uniform_(module.weight, 10, 11)

    witnesses, masks = play(PruningCallback(rewind="random", initialize=initialize), Bare(), rounds=3)
    for witness, mask in zip(witnesses[1:], masks[1:], strict=True):
        alive = witness.start["weight"][mask["weight"]]
        assert alive.min() >= 10 and alive.max() <= 11
    assert not torch.equal(witnesses[1].start["weight"], witnesses[2].start["weight"])


@pytest.mark.parametrize(("rewind", "step"), [("epoch:1", 2), ("epoch:2", 4), ("step:1", 1), ("step:3", 3)])
def test_steps_are_the_optimizers_where_gradients_accumulate(rewind, step):
    """And the point is the end of the step: the statistics of the batches after it are not in it."""
    witnesses, masks = play(PruningCallback(rewind=rewind), Classifier(adam), rounds=2, accumulate_grad_batches=2)
    assert len(witnesses[0].steps) == 4
    assert equal(witnesses[1].start, masked(witnesses[0].steps[step - 1], masks[1]))


class EachStep(pl.Callback):
    def __init__(self) -> None:
        self.weights: list[Weights] = []

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        for optimizer in trainer.optimizers:
            optimizer.register_step_post_hook(lambda *_: self.weights.append(copy(pl_module)))


@pytest.mark.parametrize("step", [1, 4, 5, 16])
def test_steps_within_a_batch_count_under_manual_optimization(step):
    class Manual(Classifier):
        def __init__(self) -> None:
            super().__init__(layers=lambda: nn.Linear(5, 8))
            self.automatic_optimization = False

        def training_step(self, batch: tuple[Tensor, Tensor], index: int) -> None:
            for optimizer in self.optimizers():
                optimizer.zero_grad()
                self.manual_backward(super().training_step(batch, index))
                optimizer.step()

        def configure_optimizers(self) -> list[optim.Optimizer]:
            return [adam([*self.body.parameters()]), adam([*self.head.parameters()])]

    pruning, module, each = PruningCallback(rewind=f"step:{step}"), Manual(), EachStep()
    make_trainer(pruning, each).fit(module, Batches())
    assert len(each.weights) == 16  # 2 epochs of 4 batches, 2 optimizers
    witness = Witness()
    make_trainer(pruning, witness).fit(module, Batches())
    assert equal(witness.start, masked(each.weights[step - 1], pruning.mask))


@pytest.mark.parametrize("precision", ["bf16-mixed", "bf16-true"])
def test_rewinding_is_exact_in_precision(precision):
    witnesses, masks = play(PruningCallback(), Classifier(adam), rounds=3, precision=precision)
    for witness, mask in zip(witnesses[1:], masks[1:], strict=True):
        assert equal(witness.start, masked(witnesses[0].start, mask))


@pytest.mark.parametrize(("rewind", "trainer", "planned"), [
    ("epoch:3", {"max_epochs": 2}, "ends after epoch 2;"),
    ("step:9", {"max_epochs": 2}, "ends after step 8;"),
    ("step:5", {"max_epochs": 2, "accumulate_grad_batches": 2}, "ends after step 4;"),
    ("step:4", {"max_epochs": 2, "max_steps": 3}, "ends after step 3;"),
    ("step:4", {"max_epochs": -1, "max_steps": 3}, "ends after step 3;"),
])  # fmt: skip
def test_a_point_beyond_the_end_of_round_nought_is_an_error_before_it(rewind, trainer, planned):
    module, pruning = Classifier(), PruningCallback(rewind=rewind)
    before = copy(module)
    with pytest.raises(LotteryError, match=f"^rewind: {rewind} .*{planned}"):
        make_trainer(pruning, **trainer).fit(module, Batches())
    assert equal(copy(module), before)
    play(pruning, module, rounds=2, max_epochs=5)  # and nothing is in the way of a longer one


@pytest.mark.parametrize("rewind", ["epoch:2", "step:8"])
def test_later_rounds_may_be_shorter_than_the_way_to_the_point(rewind):
    module, pruning, witness = Classifier(), PruningCallback(rewind=rewind), Witness()
    make_trainer(pruning, witness, max_epochs=2).fit(module, Batches())
    for _ in range(2):
        shorter = Witness()
        make_trainer(pruning, shorter, max_epochs=1).fit(module, Batches())
        assert equal(shorter.start, masked(witness.end, pruning.mask))


def test_a_point_that_round_nought_stopped_short_of_is_an_error_as_round_one_starts():
    class Enough(pl.Callback):
        def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
            trainer.should_stop = True

    module, pruning = Classifier(), PruningCallback(rewind="epoch:2")
    make_trainer(pruning, Enough()).fit(module, Batches())
    end = copy(module)
    with pytest.raises(LotteryError, match=r"^rewind: epoch:2 was never reached"):
        make_trainer(pruning).fit(module, Batches())
    assert equal(copy(module), end)


@pytest.mark.parametrize("key", ["include", "exclude"])
def test_a_pattern_that_matches_nothing_is_refused_before_training(key):
    module = Classifier()
    before = copy(module)
    with pytest.raises(LotteryError, match=rf"^{key}: .*'conv\.\*'.*body\.0\.weight"):
        make_trainer(PruningCallback(**{key: ["*", "conv.*"][key == "exclude" :]})).fit(module, Batches())
    assert equal(copy(module), before)


def test_before_the_first_fit_there_is_no_round_and_no_mask():
    pruning = PruningCallback()
    assert (pruning.round, len(pruning.mask)) == (-1, 0)
