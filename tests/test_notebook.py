"""`+experiment=notebook` against the notebook's algorithm, written down once more in plain NumPy."""

from collections.abc import Callable, Sequence
from copy import deepcopy
from functools import partial

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from torch import nn
from torch.utils.data import DataLoader

from lt_lightning.callbacks import PruningCallback
from lt_lightning.config.schema import Config
from lt_lightning.config.validation import lottery_settings
from lt_lightning.data.batches import Batch
from lt_lightning.data.tokenizer import PADDING
from lt_lightning.lottery import derive_seed, reinitialize
from lt_lightning.models import Learner, MultiCNN, RecurrentClassifier, build_learner
from lt_lightning.models.build import build_optimizer

pytestmark = pytest.mark.filterwarnings("ignore:.*does not have many workers")

WORDS, CLASSES, EPOCHS, ROUNDS = 40, 3, 2, 5
Arrays = dict[str, np.ndarray]
NETWORKS: dict[str, Callable[[], nn.Module]] = {
    # Without dropout: the two sides need no common source of noise.
    "cnn": lambda: MultiCNN(WORDS, CLASSES, dim=6, filters=5, dropout=0.0, initializer="xavier_2d"),
    "lstm": lambda: RecurrentClassifier(WORDS, CLASSES, dim=5, hidden=4, dropout=0.0),
}


def some_batches() -> list[Batch]:
    generator = torch.Generator().manual_seed(3)
    found = []
    for _ in range(4):
        lengths = torch.randint(2, 12, (8,), generator=generator)
        ids = torch.randint(2, WORDS - 5, (8, 12), generator=generator)  # the last words never occur
        ids[torch.arange(12) >= lengths[:, None]] = PADDING
        labels = torch.randint(CLASSES, (8,), generator=generator)
        found.append(Batch(ids, lengths, labels, 8, int(lengths.sum())))
    return found


class Notebook:
    """The notebook's loop: arrays for weights and masks, a mode, Adam from its paper."""

    def __init__(self, network: nn.Module, mode: str, draw: Callable[[int], Arrays]) -> None:
        self.network, self.mode, self.draw = network, mode, draw
        self.weights = {name: value.detach().numpy().copy() for name, value in network.named_parameters()}
        self.first = {name: value.copy() for name, value in self.weights.items()}
        self.masks = {name: np.ones_like(value) for name, value in self.weights.items()}

    def play_round(self, number: int, batches: Sequence[Batch], rate: float, percent: float) -> None:
        if number > 0:
            self.prune(percent)
            self.restart(number)
        self.train(batches, rate)
        if number == 0 and self.mode == "lr_l":
            self.first = {name: value.copy() for name, value in self.weights.items()}

    def prune(self, percent: float) -> None:
        for name, values in self.weights.items():
            living = values[values != 0]
            if living.size:
                limit = np.percentile(np.abs(living), percent)
                self.masks[name] = np.where(np.abs(values) < limit, 0, self.masks[name])

    def restart(self, number: int) -> None:
        start = self.first
        if self.mode == "random":
            # The "restored" embedding is the live one: it goes on from its trained values.
            start = {**self.draw(number), "embedding.weight": self.weights["embedding.weight"]}
        self.weights = {name: start[name] * mask for name, mask in self.masks.items()}

    def train(self, batches: Sequence[Batch], rate: float) -> None:
        means = {name: np.zeros_like(value) for name, value in self.weights.items()}
        squares = {name: np.zeros_like(value) for name, value in self.weights.items()}
        step = 0
        for _ in range(EPOCHS):
            for batch in batches:
                step += 1
                for name, gradient in self.gradients(batch).items():
                    gradient = np.where(self.masks[name] == 0, 0, gradient)
                    means[name] = 0.9 * means[name] + 0.1 * gradient
                    squares[name] = 0.999 * squares[name] + 0.001 * gradient**2
                    mean, square = means[name] / (1 - 0.9**step), squares[name] / (1 - 0.999**step)
                    self.weights[name] = self.weights[name] - rate * mean / (np.sqrt(square) + 1e-8)

    def gradients(self, batch: Batch) -> Arrays:
        params = {name: torch.tensor(value, requires_grad=True) for name, value in self.weights.items()}
        logits = torch.func.functional_call(self.network, params, (batch.ids, batch.lengths))
        loss = nn.functional.cross_entropy(logits, batch.labels)
        gradients = torch.autograd.grad(loss, list(params.values()))
        return {name: gradient.numpy() for name, gradient in zip(params, gradients, strict=True)}


def fresh_weights(network: nn.Module, number: int) -> Arrays:
    """The draw of that round, all of it: chance that both sides have in common."""
    network = deepcopy(network)
    reinitialize(network, derive_seed(0, "rewind", number))
    return {name: value.detach().numpy() for name, value in network.named_parameters()}


@pytest.mark.slow
@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize(("mode", "rewind"), [("lt", "init"), ("lr_l", "last"), ("random", "random")])
def test_five_rounds_give_the_notebooks_masks_and_weights(network, mode, rewind, configure):
    config = configure("+experiment=notebook", f"pruning.rewind={rewind}", "optimizer.lr=0.02", "data.path=.")
    assert config.test_on == "last"
    torch.manual_seed(1)
    ours, batches = NETWORKS[network]().double(), some_batches()
    transcript = Notebook(deepcopy(ours), mode, partial(fresh_weights, ours))

    classifier = Learner(ours, CLASSES, partial(build_optimizer, config.optimizer))
    pruning = PruningCallback(submodule="network", **vars(lottery_settings(config)))
    for number in range(ROUNDS + 1):
        trainer = pl.Trainer(
            accelerator="cpu", max_epochs=EPOCHS, logger=False, enable_checkpointing=False, enable_progress_bar=False,
            enable_model_summary=False, callbacks=[pruning],
        )  # fmt: skip
        loader = DataLoader(batches, batch_size=None)  # pyright: ignore[reportArgumentType]
        trainer.fit(classifier, loader, loader)
        transcript.play_round(number, batches, rate=0.02, percent=20)
        for name, mask in transcript.masks.items():
            np.testing.assert_array_equal(pruning.mask[name].numpy(), mask == 1, err_msg=f"{name}, round {number}")
            np.testing.assert_allclose(
                ours.get_parameter(name).detach().numpy(), transcript.weights[name], atol=1e-9, rtol=0, err_msg=name
            )
    assert pruning.mask.sparsity == pytest.approx(1 - 0.8**ROUNDS, abs=0.05)


def test_the_experiment_starts_with_the_notebooks_filters(configure: Callable[..., Config]) -> None:
    config = configure("+experiment=notebook")
    built = build_learner(config.model, config.embedding, config.optimizer, words=WORDS, classes=4, vectors=None)
    for width, conv in zip((3, 4, 5), built.network.get_submodule("convs").children(), strict=True):
        std = (2 / (width * 100 + 100 * width * 100)) ** 0.5  # Xavier's, of 1 channel in and 100 out
        assert conv.get_parameter("weight").std().item() == pytest.approx(std, rel=0.03)
        assert not conv.get_parameter("bias").any()
    assert built.network.get_parameter("embedding.weight").std().item() == pytest.approx(1, rel=0.05)


def test_the_notebooks_first_filters_are_those_of_conv2d_over_a_picture() -> None:
    torch.manual_seed(0)
    picture = nn.Conv2d(1, 100, (4, 50))
    nn.init.xavier_normal_(picture.weight)
    network = MultiCNN(WORDS, CLASSES, dim=50, widths=[4], initializer="xavier_2d")
    assert network.convs[0].weight.std().item() == pytest.approx(picture.weight.std().item(), rel=0.02)
    assert network.convs[0].weight.std().item() == pytest.approx((2 / (4 * 50 + 100 * 4 * 50)) ** 0.5, rel=0.02)
