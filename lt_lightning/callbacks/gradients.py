"""Compute the gradients of a LightningModule's training loss, for criteria that ask for them."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from functools import partial
from itertools import islice
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.utilities import CombinedLoader
from pytorch_lightning.utilities.seed import isolate_rng
from pytorch_lightning.utilities.signature_utils import is_param_in_hook_signature
from torch import Tensor, nn

from lt_lightning.lottery import LotteryError
from lt_lightning.lottery.choosing import Sources

BATCHES = 40
"""The number of training batches: of AG News, 40 batches of 64 contain four fifths of the words, one a ninth."""


def sources_for(trainer: pl.Trainer, pl_module: pl.LightningModule, part: nn.Module) -> Sources:
    """Return what criteria may ask for, for a part of a module; see `mean_gradients`."""
    return {"gradients": partial(mean_gradients, trainer, pl_module, part)}


def mean_gradients(trainer: pl.Trainer, pl_module: pl.LightningModule, part: nn.Module) -> dict[str, Tensor]:
    """Return the mean gradient of the training loss over the first `BATCHES` training batches.

    It is computed by a copy of the module in evaluation mode (no dropout, no updates of running statistics), so that
    buffers, metrics, gradients and random states stay as they are. Batches count by their rows, and processes equally.

    Args:
        trainer: the Trainer of the fit that starts; the DataModule's `setup` has run.
        pl_module: the module, whose `training_step` returns the loss.
        part: the part of it whose gradients are returned.

    Returns:
        For each parameter of `part` its gradient, of its shape; zeros if the loss does not depend on it.

    Raises:
        LotteryError: if the module optimizes manually, cannot be copied, or returns no loss.
    """
    name = type(pl_module).__name__
    if not pl_module.automatic_optimization:
        raise LotteryError(f"criterion: {name} optimizes manually, so its gradients are unknown; use another criterion")
    twin = _copy(pl_module).to(trainer.strategy.root_device)
    twin.trainer = trainer
    twin.eval()
    takes_number = is_param_in_hook_signature(twin.training_step, "batch_idx", min_args=2)  # as Lightning asks
    params = [param for param in twin.parameters() if param.requires_grad]
    sums, rows = [torch.zeros_like(param) for param in params], 0
    # cuDNN cannot differentiate recurrent layers in evaluation mode.
    with isolate_rng(), torch.enable_grad(), torch.backends.cudnn.flags(enabled=False):
        # Private: nothing else gives a loader that is passed to `fit`; a test passes loaders in all three ways.
        loader = CombinedLoader(trainer.fit_loop._data_source.dataloader(), "max_size_cycle")
        for number, (batch, _, _) in enumerate(islice(iter(loader), BATCHES)):
            moved = trainer.precision_plugin.convert_input(trainer.strategy.batch_to_device(batch))
            with trainer.precision_plugin.train_step_context():
                loss = _loss(twin.training_step(*(moved, number)[: 1 + takes_number]))
            if loss is None:
                continue
            count = _rows(moved) or 1
            grads = torch.autograd.grad(loss, params, allow_unused=True)
            for total, grad in zip(sums, grads, strict=True):
                if grad is not None:
                    total.add_(grad.to_dense() if grad.is_sparse else grad, alpha=count)
            rows += count
    if not rows:
        raise LotteryError(f"criterion: training_step of {name} returned no loss, so there are no gradients")
    means = [trainer.strategy.reduce(total / rows, reduce_op="mean") for total in sums]
    by_param = dict(zip((p for p in pl_module.parameters() if p.requires_grad), means, strict=True))
    return {
        name: by_param[param].to(param.device) if param in by_param else torch.zeros_like(param)
        for name, param in part.named_parameters()
    }


def _copy(pl_module: pl.LightningModule) -> pl.LightningModule:
    """Return a copy of a module that logs nothing."""
    try:
        twin = copy.deepcopy(pl_module)
    except Exception as error:  # the attributes of a user's module may raise anything
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise LotteryError(
            f"criterion: gradients are computed by a copy of the module, and {type(pl_module).__name__} cannot be "
            f"copied ({reason}); make its attributes copyable, or use another criterion"
        ) from error
    for name in ("log", "log_dict"):
        setattr(twin, name, _log_nothing)
    return twin


def _log_nothing(*args: Any, **kwargs: Any) -> None:
    """Stand in for `self.log`, which needs a running loop."""


def _loss(output: Any) -> Tensor | None:
    """Return the loss of a `training_step`'s output."""
    return output.get("loss") if isinstance(output, Mapping) else output


def _rows(batch: Any) -> int:
    """Return the number of rows of the first tensor in a batch; 0 if it has none."""
    if isinstance(batch, Tensor):
        return len(batch) if batch.dim() else 1
    parts = batch.values() if isinstance(batch, Mapping) else batch if isinstance(batch, (list, tuple)) else ()
    return next((rows for part in parts if (rows := _rows(part))), 0)
