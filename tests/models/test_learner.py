"""The LightningModule's numbers, against NumPy."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from torch import nn
from torch.utils.data import DataLoader

from lt_lightning.config.schema import Config
from lt_lightning.data.batches import Batch
from lt_lightning.errors import SettingError
from lt_lightning.kernels.sparse_adam import LivingAdam
from lt_lightning.models import BinaryCNN, Learner, MultiCNN, RecurrentClassifier, build_learner
from lt_lightning.models.build import build_optimizer
from lt_lightning.models.learner import cross_entropy, predicted_classes

pytestmark = pytest.mark.filterwarnings("ignore:.*does not have many workers")


class Table(nn.Module):
    """A network whose logits are looked up by a text's first word."""

    def __init__(self, logits: torch.Tensor) -> None:
        super().__init__()
        self.logits = nn.Parameter(logits)

    def forward(self, ids: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
        return self.logits[ids[:, 0]]


def batches(labels: list[int], sizes: list[int]) -> DataLoader[Batch]:
    rows = torch.arange(len(labels))
    return DataLoader(
        [
            Batch(
                part[:, None], torch.ones(len(part), dtype=torch.long), torch.tensor(labels)[part], len(part), len(part)
            )
            for part in rows.split(sizes)
        ],  # pyright: ignore[reportArgumentType]
        batch_size=None,
    )


def trainer() -> pl.Trainer:
    return pl.Trainer(
        accelerator="cpu", max_epochs=1, logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, num_sanity_val_steps=0,
    )  # fmt: skip


def sgd(parameters: object) -> torch.optim.Optimizer:
    return torch.optim.SGD(parameters, lr=0.0)  # pyright: ignore[reportArgumentType]


def test_metrics_are_means_over_rows_whatever_the_batches() -> None:
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(size=(11, 3)), rng.integers(0, 3, 11)
    classifier = Learner(Table(torch.tensor(logits)), 3, sgd)
    measured = trainer().test(classifier, batches(labels.tolist(), [5, 4, 2]), verbose=False)[0]

    log_probabilities = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    predicted = logits.argmax(axis=1)
    f1 = [
        2 * ((predicted == c) & (labels == c)).sum() / ((predicted == c).sum() + (labels == c).sum()) for c in range(3)
    ]
    assert measured["test_loss"] == pytest.approx(-log_probabilities[range(11), labels].mean(), abs=1e-6)
    assert measured["test_acc"] == pytest.approx((predicted == labels).mean(), abs=1e-6)
    assert measured["test_f1"] == pytest.approx(np.mean(f1), abs=1e-6)


def test_the_confusion_matrix_counts_rows_by_class_and_prediction_of_the_last_test_alone() -> None:
    rng = np.random.default_rng(1)
    logits, labels = rng.normal(size=(17, 3)), rng.integers(0, 3, 17)
    classifier = Learner(Table(torch.tensor(logits)), 3, sgd)
    expected = np.zeros((3, 3), int)
    for row, label in zip(logits, labels, strict=True):
        expected[label, row.argmax()] += 1
    assert classifier.confusion is None
    for _ in range(2):
        trainer().test(classifier, batches(labels.tolist(), [6, 10, 1]), verbose=False)
        assert classifier.confusion is not None
        np.testing.assert_array_equal(classifier.confusion.numpy(), expected)


def test_one_logit_is_the_log_odds_of_class_1() -> None:
    logits, labels = np.array([-2.0, 0.5, 3.0, -0.1]), np.array([0, 1, 0, 1])
    classifier = Learner(Table(torch.tensor(logits)), 2, sgd)
    measured = trainer().test(classifier, batches(labels.tolist(), [3, 1]), verbose=False)[0]
    probability = 1 / (1 + np.exp(-logits))
    expected = -np.log(np.where(labels == 1, probability, 1 - probability)).mean()
    assert measured["test_loss"] == pytest.approx(expected, abs=1e-6)
    assert measured["test_acc"] == 0.5


def test_two_logits_and_their_difference_agree() -> None:
    pair = torch.randn(20, 2, dtype=torch.double)
    single, labels = pair[:, 1] - pair[:, 0], torch.randint(0, 2, (20,))
    torch.testing.assert_close(cross_entropy(pair, labels), cross_entropy(single, labels))
    assert torch.equal(predicted_classes(pair), predicted_classes(single))


def test_train_loss_is_the_mean_over_the_epochs_rows() -> None:
    logits, labels = torch.randn(7, 3), [0, 1, 2, 0, 1, 2, 0]
    classifier = Learner(Table(logits), 3, sgd)
    fit = trainer()
    fit.fit(classifier, batches(labels, [4, 3]), batches(labels, [7]))
    expected = nn.functional.cross_entropy(logits, torch.tensor(labels))
    assert fit.callback_metrics["train_loss"].item() == pytest.approx(expected.item(), abs=1e-6)


def test_a_loss_that_is_no_number_makes_the_mean_none() -> None:
    logits = torch.tensor([[0.0, 1.0], [torch.nan, 0.0]])
    measured = trainer().test(Learner(Table(logits), 2, sgd), batches([0, 1], [1, 1]), verbose=False)[0]
    assert np.isnan(measured["test_loss"])


def test_processes_average_to_the_global_batchs_gradient() -> None:
    logits, labels = torch.randn(7, 3), torch.randint(0, 3, (7,))

    def gradient(rows: torch.Tensor, processes: int) -> torch.Tensor:
        classifier = Learner(Table(logits.clone()), 3, sgd)
        classifier._trainer = type("Trainer", (), {"world_size": processes})()  # pyright: ignore
        batch = Batch(rows[:, None], torch.ones(len(rows), dtype=torch.long), labels[rows], 7, 7)
        classifier.training_step(batch, 0).backward()
        assert isinstance(classifier.network, Table)
        assert classifier.network.logits.grad is not None
        return classifier.network.logits.grad

    rows = torch.arange(7)
    shared = (gradient(rows[0::2], 2) + gradient(rows[1::2], 2)) / 2  # four rows here, three there
    torch.testing.assert_close(shared, gradient(rows, 1))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("model", "classes", "network"),
    [("multi_cnn", 4, MultiCNN), ("binary_cnn", 2, BinaryCNN), ("cnn", 4, MultiCNN), ("cnn", 2, BinaryCNN),
     ("bilstm", 4, RecurrentClassifier), ("bilstm", 2, RecurrentClassifier)],
)  # fmt: skip
def test_settings_build_the_network_they_name(configure, model, classes, network):
    config = configure(f"model={model}", "embedding.dim=10", "embedding.std=0.02")
    built = build_learner(config.model, config.embedding, config.optimizer, words=30, classes=classes, vectors=None)
    assert type(built.network) is network
    weights = built.network.get_parameter("embedding.weight")
    assert weights.shape == (30, 10)
    assert weights.std().item() == pytest.approx(0.02, rel=0.2)
    logits = built(torch.randint(2, 30, (3, 9)), torch.tensor([9, 4, 1]))
    assert logits.shape == ((3,) if classes == 2 else (3, classes))


@pytest.mark.slow
@pytest.mark.parametrize("kernel", ["fast", "reference"])
def test_settings_choose_the_kernel_of_a_recurrent_classifier(configure: Callable[..., Config], kernel: str) -> None:
    config = configure("model=birnn", f"model.kernel={kernel}", "embedding.dim=10")
    built = build_learner(config.model, config.embedding, config.optimizer, words=30, classes=4, vectors=None)
    assert isinstance(built.network, RecurrentClassifier)
    assert built.network.kernel == kernel


@pytest.mark.parametrize(
    ("model", "classes", "remedy"), [("multi_cnn", 2, "binary_cnn"), ("binary_cnn", 4, "multi_cnn")]
)
def test_a_model_for_another_number_of_classes_is_refused(configure, model, classes, remedy):
    config = configure(f"model={model}", "embedding.dim=10")
    with pytest.raises(SettingError, match=f"model: {model} .*data has {classes}.* use model={remedy}"):
        build_learner(config.model, config.embedding, config.optimizer, words=30, classes=classes, vectors=None)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["adam", "adamw", "sgd"])
def test_optimizers_step_as_torchs_unfused_ones(configure: Callable[..., Config], name: str) -> None:
    settings = configure(f"optimizer={name}", "optimizer.lr=0.05", "optimizer.weight_decay=0.1").optimizer
    ours, theirs = nn.Linear(3, 2), nn.Linear(3, 2)
    theirs.load_state_dict(ours.state_dict())
    plain = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}.get(name)
    reference = (
        plain(theirs.parameters(), lr=0.05, weight_decay=0.1, foreach=False)
        if plain
        else torch.optim.SGD(theirs.parameters(), lr=0.05, weight_decay=0.1, momentum=0.9, foreach=False)
    )
    optimizer = build_optimizer(settings, ours.parameters())
    for seed in range(4):
        inputs = torch.randn(5, 3, generator=torch.Generator().manual_seed(seed))
        for network, step in ((ours, optimizer), (theirs, reference)):
            step.zero_grad()
            network(inputs).square().sum().backward()
            step.step()
    torch.testing.assert_close(ours.weight, theirs.weight)


class Watcher(pl.Callback):
    def __init__(self) -> None:
        self.seen: list[bool] = []

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *_: Any) -> None:
        self.seen.append(pl_module.network.embedding.weight.grad.is_sparse)


class Meddler(Watcher):
    """Does to gradients what can be done to dense ones alone."""

    def on_before_optimizer_step(self, *given: Any) -> None:
        nn.utils.clip_grad_norm_(given[1].parameters(), 1.0)


class Clipping(Learner):
    def configure_gradient_clipping(self, optimizer: Any, *_: Any, **__: Any) -> None:
        self.clip_gradients(optimizer, gradient_clip_val=1.0, gradient_clip_algorithm="norm")


@pytest.mark.parametrize(("kind", "callback", "settings", "sparse"), [
    (Learner, Watcher, {}, True), (Learner, Watcher, {"accumulate_grad_batches": 2}, True),
    (Learner, Watcher, {"gradient_clip_val": 1.0}, False), (Learner, Meddler, {}, False),
    (Clipping, Watcher, {}, False),
])  # fmt: skip
def test_gradients_are_sparse_where_all_who_look_at_them_can_take_it(kind, callback, settings, sparse):
    network = MultiCNN(9, 3, dim=4, filters=2)
    learner = kind(network, 3, LivingAdam)
    watcher = callback()
    fitted = pl.Trainer(
        accelerator="cpu", max_epochs=1, logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, callbacks=[watcher], **settings,
    )  # fmt: skip
    fitted.fit(learner, batches([0, 1, 2, 1], [2, 2]), batches([0, 1], [2]))
    assert sparse in watcher.seen
    assert (not sparse) not in watcher.seen
    # Whoever trains the network next need not know.
    network(torch.tensor([[2, 3]]), torch.tensor([2])).sum().backward()
    torch.optim.Adam(network.parameters()).step()
