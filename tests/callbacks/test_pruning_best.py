"""`BestWeights`: a round ends with the weights of its lowest validation loss, and those are pruned next."""

import math
from collections.abc import Sequence

import pytest
import pytorch_lightning as pl
import torch
from pruning_helpers import Batches, Classifier, Weights, Witness, copy, equal, make_trainer, masked, prune
from torch import Tensor, nn, optim

from lt_lightning.callbacks import BestWeights, PruningCallback
from lt_lightning.lottery import Mask


class Scripted(Classifier):
    """Its validation losses are given: one an epoch, whatever the weights."""

    def __init__(self, losses: Sequence[float]) -> None:
        super().__init__(lambda params: optim.Adam(params, 0.05))
        self.losses = losses

    def validation_step(self, batch: tuple[Tensor, Tensor], index: int) -> None:
        sanity = self.trainer.sanity_checking
        self.log("valid_loss", torch.tensor(-9.0 if sanity else float(self.losses[self.current_epoch])))


def fit(module: pl.LightningModule, *callbacks: pl.Callback, epochs: int = 4, **trainer: object) -> Witness:
    witness = Witness()
    trainer = make_trainer(*callbacks, witness, max_epochs=epochs, **trainer)
    trainer.fit(module, Batches(), Batches(1, seed=9))
    return witness


@pytest.mark.parametrize(("losses", "best"), [
    ((4, 3, 2, 1), 4), ((1, 2, 3, 4), 1), ((3, 1, 2, 4), 2),
    ((3, 1, 1, 2), 2),  # the first of equals
    ((3, math.nan, 1, 2), 3), ((math.nan, 2, 1, 3), 3), ((math.nan, math.inf, 7, math.nan), 3),
    ((math.inf, 2, -math.inf, 3), 3),
])  # fmt: skip
def test_the_module_ends_with_the_weights_of_the_epoch_with_the_lowest_loss(losses, best):
    module, keeper = Scripted(losses), BestWeights()
    witness = fit(module, keeper)
    assert keeper.epoch == best
    assert equal(copy(module), witness.epochs[best - 1])
    assert equal(witness.end, witness.epochs[best - 1])  # already for callbacks after it
    assert sum(equal(copy(module), epoch) for epoch in witness.epochs) == 1


def test_the_lowest_loss_is_that_of_the_weights_that_are_kept():
    """With real losses, computed once more from the weights at the end."""

    class Learner(Classifier):
        def __init__(self) -> None:
            super().__init__(lambda params: optim.SGD(params, 2.0))

        def validation_step(self, batch: tuple[Tensor, Tensor], index: int) -> None:
            self.log("valid_loss", self.training_step(batch, index))

    def loss(weights: Weights) -> float:
        module = Learner().eval()
        module.load_state_dict(weights)
        inputs, labels = next(iter(Batches(1, seed=9)))
        return nn.functional.cross_entropy(module(inputs), labels).item()

    module, keeper = Learner(), BestWeights()
    witness = fit(module, keeper, epochs=6)
    losses = [loss(weights) for weights in witness.epochs]
    assert keeper.epoch == losses.index(min(losses)) + 1
    assert loss(copy(module)) == min(losses) < losses[-1]


def test_the_weights_are_put_back_in_place():
    module = Scripted((1, 2, 3, 4))
    params = list(module.parameters())
    fit(module, BestWeights())
    assert all(left is right for left, right in zip(module.parameters(), params, strict=True))


def test_another_metric_can_be_watched():
    class Other(Scripted):
        def validation_step(self, batch: tuple[Tensor, Tensor], index: int) -> None:
            super().validation_step(batch, index)
            self.log("valid_error", torch.tensor(-float(self.losses[self.current_epoch])))

    keeper = BestWeights("valid_error")
    fit(Other((1, 2, 4, 3)), keeper)
    assert keeper.epoch == 3


def test_validating_and_testing_between_fits_keeps_and_restores_nothing():
    module, keeper = Scripted((4, 1, 2, 3)), BestWeights()
    fit(module, keeper)
    weights, module.losses = copy(module), (-99,) * 9
    make_trainer(keeper).validate(module, Batches(1), verbose=False)
    assert keeper.epoch == 2
    assert equal(copy(module), weights)


def test_without_validation_the_last_weights_stay():
    module, keeper, witness = Classifier(), BestWeights(), Witness()
    make_trainer(keeper, witness).fit(module, Batches())
    assert keeper.epoch is None
    assert equal(copy(module), witness.epochs[-1])


@pytest.mark.parametrize("rewind", ["init", "last", "none"])
def test_the_next_round_prunes_and_rewinds_the_best_weights(rewind):
    module, pruning, keeper = Scripted((2, 1, 3, 4)), PruningCallback(amount=0.4, rewind=rewind), BestWeights()
    first = fit(module, keeper, pruning)
    best, last, mask = first.epochs[1], first.epochs[-1], pruning.mask
    for losses in ((4, 3, 1, 2), (1, 2, 3, 4)):
        expected = Mask(prune(best, mask, 0.4))
        assert expected != Mask(prune(last, mask, 0.4))
        module.losses = losses
        witness = fit(module, keeper, pruning)
        assert pruning.mask == expected
        point = {"init": first.start, "last": first.epochs[1], "none": best}[rewind]
        assert equal(witness.start, masked(point, expected))
        best, last, mask = witness.epochs[losses.index(1)], witness.epochs[-1], expected
        assert equal(copy(module), best)
        assert equal(best, masked(best, mask))
