"""The LightningModule that trains a network for a task and measures it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import pytorch_lightning as pl
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from pytorch_lightning.strategies import ParallelStrategy
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch import Tensor, nn
from torch.optim import Optimizer
from torchmetrics import Metric, MetricCollection
from torchmetrics.classification import MulticlassAccuracy, MulticlassConfusionMatrix, MulticlassF1Score

from lt_lightning.errors import SettingError
from lt_lightning.kernels.sparse_adam import LivingAdam
from lt_lightning.models.clipping import clip_gradients
from lt_lightning.models.description import KEY
from lt_lightning.models.embedding import WordEmbedding
from lt_lightning.models.encoder import EncoderClassifier
from lt_lightning.models.mean import Mean
from lt_lightning.models.tasks import Answers, Classification, Task, predicted_classes

if TYPE_CHECKING:
    from typing_extensions import Self


class Learner(pl.LightningModule):
    """Train `network` with cross-entropy, and measure loss, accuracy and macro F1 of a task's answers.

    Logs `train_loss`, `valid_loss`, `valid_acc`, `valid_f1`, `test_loss`, `test_acc`, `test_f1`: means over answers
    (texts, or letters), over all processes; and where the task has them `test_perplexity`, exp(test_loss), and
    `test_exact`, the share of rows of which every answer is right.

    Args:
        network: gives logits; what it takes is the task's affair.
        classes: the number of classes.
        optimizer: makes the optimizer from the parameters; a fit begins with a new one.
        task: what the network is to learn; to classify texts, by default.
        scheduler: makes a learning-rate schedule, in Lightning's form, from the optimizer and the number of steps that
            a fit takes at most; None for a constant rate.

    Attributes:
        confusion: how many targets of each class (rows) the last test took for which (columns); None before it.
    """

    confusion: Int64[Tensor, "classes classes"] | None

    def __init__(
        self,
        network: nn.Module,
        classes: int,
        optimizer: Callable[[Iterable[nn.Parameter]], Optimizer],
        task: Task | None = None,
        scheduler: Callable[[Optimizer, int], Any] | None = None,
    ) -> None:
        super().__init__()
        self.network = network
        self.task: Task = task or Classification()
        self._make_optimizer = optimizer
        self._make_scheduler = scheduler
        self.train_loss = Mean()
        metrics = {
            "acc": MulticlassAccuracy(classes, average="micro", validate_args=False),
            "f1": MulticlassF1Score(classes, average="macro", validate_args=False),
        }
        self.valid_loss, self.test_loss = Mean(), Mean()
        self.valid_metrics = MetricCollection(metrics, prefix="valid_")
        self.test_metrics = MetricCollection(metrics, prefix="test_").clone()
        self.test_confusion = MulticlassConfusionMatrix(classes, validate_args=False)
        self.test_exact = Mean()
        self.confusion = None
        self.add_metrics({})

    def describe(self, description: Mapping[str, Any]) -> None:
        """Put a description into checkpoints as `hyper_parameters`, from which `load_from_checkpoint` builds it again.

        Args:
            description: plain values, see `models.description`; loggers do not get them.
        """
        self.save_hyperparameters({KEY: dict(description)}, logger=False)

    def train_with(
        self,
        optimizer: Callable[[Iterable[nn.Parameter]], Optimizer],
        scheduler: Callable[[Optimizer, int], Any] | None = None,
    ) -> None:
        """Make optimizers and schedules by other functions, see `__init__`."""
        self._make_optimizer, self._make_scheduler = optimizer, scheduler

    @classmethod
    def load_from_checkpoint(  # pyright: ignore[reportIncompatibleMethodOverride]  (Lightning's is a descriptor)
        cls,
        checkpoint_path: str | Path | IO[bytes],
        map_location: Any = None,
        hparams_file: str | Path | None = None,
        strict: bool | None = None,
        weights_only: bool | None = None,
        *,
        trust: bool = False,
        **arguments: Any,
    ) -> Self:
        """Return the Learner of a checkpoint, with its weights, in training mode: call `eval()` to predict.

        The file is one that a Trainer saved (`ModelCheckpoint`, `trainer.save_checkpoint`), or one in `state/` of a
        run, beside the file of the run that it refers to.

        Args:
            checkpoint_path: the file; an open one cannot refer to another.
            map_location: the device of the Learner, such as `"cuda"`; None for the CPU.
            hparams_file: not read, as the file describes its network.
            strict: whether the weights must be those of the network, each of them; True by default.
            weights_only: False unpickles objects, which can run code.
            trust: import classes that the file names and that are not this package's: a network, an optimizer, a
                schedule or a metric of your own. Without it, such a network is refused, such an optimizer when a fit
                begins, and metrics beside accuracy and F1 are left out.
            **arguments: those of `__init__`, in place of the description, for a checkpoint without one.

        Raises:
            SettingError: the file cannot be read, is not that of a Learner, or names a class that is not trusted.
        """
        if cls.__init__ is not Learner.__init__:  # a subclass with hyperparameters of its own
            return super().load_from_checkpoint(
                checkpoint_path, map_location, hparams_file, strict, weights_only, **arguments
            )
        from lt_lightning.models.checkpoint import load_learner

        return load_learner(
            cls,
            checkpoint_path,
            map_location=map_location,
            strict=strict is not False,
            weights_only=weights_only is not False,
            trust=trust,
            arguments=arguments,
        )

    def add_metrics(self, metrics: Mapping[str, Metric]) -> None:
        """Measure further metrics, which get predicted classes and targets; `valid_` and `test_` begin their names."""
        self.valid_added = MetricCollection(dict(metrics), prefix="valid_", compute_groups=False)
        self.test_added = MetricCollection(dict(metrics), prefix="test_", compute_groups=False).clone()

    def __setattr__(self, name: str, value: Any) -> None:
        """Set the name of the running hook without torch's checks: Lightning sets it some 50 times per step."""
        if name == "_current_fx_name":
            object.__setattr__(self, name, value)
        else:
            super().__setattr__(name, value)

    def forward(self, *inputs: Tensor) -> Tensor:
        """Return the network's logits."""
        return self.network(*inputs)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """Return a fresh optimizer for the fit, with a fresh schedule if there is one."""
        optimizer = self._make_optimizer(self.parameters())
        if self._make_scheduler is None:
            return optimizer
        steps = int(self.trainer.estimated_stepping_batches)
        return {"optimizer": optimizer, "lr_scheduler": self._make_scheduler(optimizer, steps)}

    def on_train_start(self) -> None:
        """Give embeddings sparse gradients if everything that reads gradients can take them."""
        ours = all(isinstance(optimizer, LivingAdam) for optimizer in self.trainer.optimizers)
        sparse = ours and takes_sparse_gradients(self.trainer, self)
        # Clipping sums the squares of sparse gradients in another order: networks of words keep their numbers.
        self._make_gradients_sparse(sparse and not self.trainer.gradient_clip_val, encoders=sparse)

    def teardown(self, stage: str) -> None:
        """Give embeddings dense gradients again."""
        self._make_gradients_sparse(False)

    def _make_gradients_sparse(self, sparse: bool, *, encoders: bool = False) -> None:
        for module in self.network.modules():
            if isinstance(module, WordEmbedding):
                module.sparse = sparse
            elif isinstance(module, EncoderClassifier):
                module.make_gradients_sparse(encoders)

    def configure_gradient_clipping(
        self,
        optimizer: Optimizer,
        gradient_clip_val: int | float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clip gradients, sparse ones too, which Lightning cannot."""
        parameters = [param for group in optimizer.param_groups for param in group["params"]]
        if gradient_clip_val and any(param.grad is not None and param.grad.is_sparse for param in parameters):
            clip_gradients(parameters, gradient_clip_val, gradient_clip_algorithm)
        else:
            super().configure_gradient_clipping(optimizer, gradient_clip_val, gradient_clip_algorithm)

    def on_train_epoch_start(self) -> None:
        """Reset the mean loss."""
        self.train_loss.reset()

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        """Return the loss of a batch."""
        answers = self.task.answer(self.network, batch)
        loss = cross_entropy(answers.logits, answers.targets)
        count = len(answers.targets)
        self.train_loss.add(loss.detach() * count, count)
        # Processes average their gradients; a process with fewer answers of the global batch must count for less.
        share = count * self.trainer.world_size / answers.everywhere
        return loss if share == 1 else loss * share

    def on_train_epoch_end(self) -> None:
        """Log the epoch's mean loss."""
        self.log("train_loss", self.train_loss.compute())

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        """Measure a batch of the validation part."""
        answers = self.task.answer(self.network, batch)
        count = len(answers.targets)
        self.valid_loss.add(cross_entropy(answers.logits, answers.targets) * count, count)
        for metrics in (self.valid_metrics, self.valid_added):
            metrics.update(predicted_classes(answers.logits), answers.targets)

    def on_validation_epoch_end(self) -> None:
        """Log the metrics of the validation part."""
        measured = {"valid_loss": self.valid_loss.compute(), **self.valid_metrics.compute()}
        self.log_dict(measured | compute_numbers(self.valid_added))
        for metric in (self.valid_loss, self.valid_metrics, self.valid_added):
            metric.reset()

    def test_step(self, batch: Any, batch_idx: int) -> None:
        """Measure a batch of the test part."""
        answers = self.task.answer(self.network, batch)
        predicted = self.task.predict(self.network, batch, answers)
        count = len(answers.targets)
        self.test_loss.add(cross_entropy(answers.logits, answers.targets) * count, count)
        self.test_metrics.update(predicted, answers.targets)
        self.test_added.update(predicted, answers.targets)
        self.test_confusion.update(predicted, answers.targets)
        if self.task.has_exact:
            exact = exact_rows(predicted, answers)
            self.test_exact.add(exact.sum(), len(exact))

    def on_test_epoch_end(self) -> None:
        """Log the metrics of the test part."""
        loss = self.test_loss.compute()
        measured = {"test_loss": loss, **self.test_metrics.compute(), **compute_numbers(self.test_added)}
        if self.task.has_perplexity:
            measured["test_perplexity"] = loss.exp()
        if self.task.has_exact:
            measured["test_exact"] = self.test_exact.compute()
        self.log_dict(measured)
        self.confusion = self.test_confusion.compute().cpu()
        for metric in (self.test_loss, self.test_metrics, self.test_added, self.test_confusion, self.test_exact):
            metric.reset()


def compute_numbers(metrics: MetricCollection) -> dict[str, Tensor]:
    """Return the values of metrics; raise a SettingError for one that is not a single number."""
    values = metrics.compute()
    for name, value in values.items():
        if not isinstance(value, Tensor) or value.numel() != 1:
            raise SettingError(
                f"metrics.{name.partition('_')[2]}: computes more than a single number; choose an average, such as "
                "average=macro"
            )
    return values


def takes_sparse_gradients(trainer: pl.Trainer, module: pl.LightningModule) -> bool:
    """Return whether all readers of gradients in a fit, its clipping apart, can take sparse ones.

    Averaging cannot; third-party callbacks and modules may need dense gradients.
    """
    everyone: list[pl.Callback] = trainer.callbacks  # pyright: ignore[reportAttributeAccessIssue]
    others = [one for one in everyone if not type(one).__module__.startswith("lt_lightning.")]
    look = any(getattr(type(one), hook) is not getattr(pl.Callback, hook) for one in others for hook in _GRADIENT_HOOKS)
    hooks = (*_GRADIENT_HOOKS, "configure_gradient_clipping", "optimizer_step")
    look |= any(getattr(type(module), hook) is not getattr(Learner, hook) for hook in hooks)
    averages = isinstance(trainer.strategy, ParallelStrategy)  # of one process, too
    return not averages and not look


_GRADIENT_HOOKS = ("on_after_backward", "on_before_optimizer_step", "on_before_zero_grad")


def cross_entropy(
    logits: Float[Tensor, "targets classes"] | Float[Tensor, " targets"], targets: Int64[Tensor, " targets"]
) -> Float[Tensor, ""]:
    """Return the mean cross-entropy in nats; the binary one for a single logit, that of class 1."""
    if logits.dim() == 1:
        return F.binary_cross_entropy_with_logits(logits, targets.to(logits.dtype))
    return F.cross_entropy(logits, targets)


def exact_rows(predicted: Int64[Tensor, " targets"], answers: Answers) -> Tensor:
    """Return for each row of a batch whether all its answers are right.

    >>> answers = Answers(torch.zeros(3, 2), torch.tensor([0, 1, 1]), torch.tensor([0, 0, 1]), 3)
    >>> exact_rows(torch.tensor([0, 0, 1]), answers).tolist()
    [False, True]
    """
    wrong = torch.zeros(int(answers.rows.max()) + 1, dtype=torch.bool, device=predicted.device)
    wrong[answers.rows[predicted != answers.targets]] = True
    return ~wrong
