"""The LightningModule that trains a network to classify texts."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.optim import Optimizer
from torchmetrics import MeanMetric, MetricCollection
from torchmetrics.classification import MulticlassAccuracy, MulticlassConfusionMatrix, MulticlassF1Score

from lt_lightning.data.batches import Batch


class TextClassifier(pl.LightningModule):
    """Trains `network` with cross-entropy, and measures loss, accuracy and macro F1.

    Logs `train_loss`, `valid_loss`, `valid_acc`, `valid_f1`, `test_loss`, `test_acc`, `test_f1`: means over rows, over
    all processes.

    Args:
        network: gives logits `(batch, classes)`, or `(batch,)`: one logit, that of class 1 of two.
        classes: the number of classes.
        optimizer: makes the optimizer from the parameters; a fit begins with a new one.

    Attributes:
        confusion: how many rows of each class (rows) the last test took for which (columns); None before it.
    """

    confusion: Int64[Tensor, "classes classes"] | None

    def __init__(
        self, network: nn.Module, classes: int, optimizer: Callable[[Iterable[nn.Parameter]], Optimizer]
    ) -> None:
        super().__init__()
        self.network = network
        self._make_optimizer = optimizer
        self.train_loss = MeanMetric()
        metrics = {
            "acc": MulticlassAccuracy(classes, average="micro", validate_args=False),
            "f1": MulticlassF1Score(classes, average="macro", validate_args=False),
        }
        self.valid_loss, self.test_loss = MeanMetric(), MeanMetric()
        self.valid_metrics = MetricCollection(metrics, prefix="valid_")
        self.test_metrics = MetricCollection(metrics, prefix="test_").clone()
        self.test_confusion = MulticlassConfusionMatrix(classes, validate_args=False)
        self.confusion = None

    def forward(
        self, ids: Int64[Tensor, "batch length"], lengths: Int64[Tensor, " batch"]
    ) -> Float[Tensor, "batch classes"] | Float[Tensor, " batch"]:
        """The network's logits."""
        return self.network(ids, lengths)

    def configure_optimizers(self) -> Optimizer:
        """A fresh optimizer for the fit."""
        return self._make_optimizer(self.parameters())

    def on_train_epoch_start(self) -> None:
        """Forget the last epoch's loss."""
        self.train_loss.reset()

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """The loss of a batch."""
        loss = cross_entropy(self(batch.ids, batch.lengths), batch.labels)
        rows = len(batch.labels)
        self.train_loss.update(loss.detach(), rows)
        # Processes average their gradients; a process with fewer rows of the global batch must count for less.
        share = rows * self.trainer.world_size / batch.global_rows
        return loss if share == 1 else loss * share

    def on_train_epoch_end(self) -> None:
        """Log the epoch's mean loss."""
        self.log("train_loss", self.train_loss.compute())

    def validation_step(self, batch: Batch, batch_idx: int) -> None:
        """Count a batch of the validation part."""
        self._measure(batch, self.valid_loss, self.valid_metrics)

    def on_validation_epoch_end(self) -> None:
        """Log what the validation part came to."""
        self._report("valid", self.valid_loss, self.valid_metrics)

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """Count a batch of the test split."""
        logits = self._measure(batch, self.test_loss, self.test_metrics)
        self.test_confusion.update(predicted_classes(logits), batch.labels)

    def on_test_epoch_end(self) -> None:
        """Log what the test split came to."""
        self._report("test", self.test_loss, self.test_metrics)
        self.confusion = self.test_confusion.compute().cpu()
        self.test_confusion.reset()

    def _measure(self, batch: Batch, mean_loss: MeanMetric, metrics: MetricCollection) -> Tensor:
        logits = self(batch.ids, batch.lengths)
        mean_loss.update(cross_entropy(logits, batch.labels), len(batch.labels))
        metrics.update(predicted_classes(logits), batch.labels)
        return logits

    def _report(self, split: str, mean_loss: MeanMetric, metrics: MetricCollection) -> None:
        self.log_dict({f"{split}_loss": mean_loss.compute(), **metrics.compute()})
        mean_loss.reset()
        metrics.reset()


def cross_entropy(
    logits: Float[Tensor, "batch classes"] | Float[Tensor, " batch"], labels: Int64[Tensor, " batch"]
) -> Float[Tensor, ""]:
    """The mean cross-entropy in nats; of a single logit, that of class 1, the binary one."""
    if logits.dim() == 1:
        return F.binary_cross_entropy_with_logits(logits, labels.to(logits.dtype))
    return F.cross_entropy(logits, labels)


def predicted_classes(
    logits: Float[Tensor, "batch classes"] | Float[Tensor, " batch"],
) -> Int64[Tensor, " batch"]:
    """The class of the highest logit; of a single one, class 1 where it is positive."""
    return (logits > 0).long() if logits.dim() == 1 else torch.argmax(logits, dim=1)
