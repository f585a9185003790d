"""Stop the run at a loss that is NaN or infinite."""

from __future__ import annotations

import math
from collections.abc import Iterable

import pytorch_lightning as pl
import torch
from torch import Tensor

from lt_lightning.callbacks.hooks import only_its_own_hooks
from lt_lightning.errors import SettingError


@only_its_own_hooks
class FiniteLossCallback(pl.Callback):
    """Stop at the first loss of a round that is NaN or infinite, in training, validation or test.

    On the CPU each training loss is checked before it changes a weight. On an accelerator that would make the host
    wait, so the first bad step is noted on the device and read every `look_every` steps and before validation. Put it
    before callbacks that save or compare an epoch's results.

    Args:
        round: the round, for the message.
        look_every: steps between checks; None: 1 on the CPU, 50 elsewhere.

    Raises:
        SettingError: names round, epoch and step.
    """

    def __init__(self, round: int, look_every: int | None = None) -> None:
        self._round = round
        self._look_every = look_every
        self._first_bad: Tensor | None = None

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Reset."""
        self._first_bad = None

    def on_before_backward(self, trainer: pl.Trainer, pl_module: pl.LightningModule, loss: Tensor) -> None:
        """Check a training loss, or note it on the device."""
        step, loss = trainer.global_step + 1, loss.detach()
        every = self._look_every or (1 if loss.device.type == "cpu" else 50)
        if every == 1:
            self._require_finite(trainer, "training", loss.item(), step)
            return
        self._first_bad = note_first_bad(self._first_bad, loss, step)
        if step % every == 0:
            self._look_back(trainer)

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Check the training losses noted so far."""
        self._look_back(trainer)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Check the training losses noted so far."""
        self._look_back(trainer)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Check the validation loss."""
        if not trainer.sanity_checking:
            self._require_finite(trainer, "validation", _logged(trainer, *_VALID), trainer.global_step)

    def on_test_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Check the test loss."""
        self._require_finite(trainer, "test", _logged(trainer, *_TEST), trainer.global_step)

    def _look_back(self, trainer: pl.Trainer) -> None:
        if self._first_bad is not None:
            step, loss = self._first_bad.tolist()
            if step:
                self._require_finite(trainer, "training", loss, int(step))

    def _require_finite(self, trainer: pl.Trainer, what: str, loss: Tensor | float | None, step: int) -> None:
        if loss is None or math.isfinite(loss):
            return
        kept = "; the tickets of the rounds before are kept" if self._round else ""
        raise SettingError(
            f"round {self._round}, epoch {trainer.current_epoch + 1}, step {step}: the {what} loss is {float(loss)}; "
            f"lower optimizer.lr, or clip gradients (trainer.gradient_clip_val=1){kept}"
        )


_VALID = ("valid_loss", "val_loss", "val/loss")
_TEST = ("test_loss", "test/loss")


def _logged(trainer: pl.Trainer, *names: str) -> Tensor | None:
    """Return the first logged value with one of these names."""
    return next((trainer.callback_metrics[name] for name in names if name in trainer.callback_metrics), None)


def note_first_bad(first: Tensor | None, loss: Tensor, step: int) -> Tensor:
    """Return the first step whose loss is not finite and that loss, or zeros. Nothing leaves the device.

    >>> first = None
    >>> for step, loss in enumerate([2.0, 1.0, math.inf, math.nan], 1):
    ...     first = note_first_bad(first, torch.tensor(loss), step)
    >>> first
    tensor([3., inf])
    """
    now = torch.stack([torch.full_like(loss, step, dtype=torch.float32), loss.float()])
    if first is None:
        first = torch.zeros_like(now)
    return torch.where((first[0] == 0) & ~loss.isfinite(), now, first)


def first_not_finite(tensors: Iterable[tuple[str, Tensor]]) -> str | None:
    """Return the name of the first tensor that holds NaN or infinity; None if all are finite.

    >>> first_not_finite([("weight", torch.ones(2)), ("bias", torch.tensor([0.0, torch.inf]))])
    'bias'
    """
    for name, tensor in tensors:
        if (tensor.is_floating_point() or tensor.is_complex()) and not tensor.isfinite().all():
            return name
    return None
