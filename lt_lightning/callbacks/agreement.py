"""Compare weights by their digests: among processes, and those that evaluations measure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import pytorch_lightning as pl
import torch
from jaxtyping import Int64
from torch import Tensor

from lt_lightning.callbacks.hooks import only_its_own_hooks
from lt_lightning.callbacks.pruning import PruningCallback
from lt_lightning.lottery.rewinding import digest as sha256


class DisagreementError(RuntimeError):
    """The processes of a run have different masks or weights."""


class AgreementCallback(pl.Callback):
    """Check that a `PruningCallback` has the same masks and weights on every rank.

    DistributedDataParallel synchronises weights when a fit begins, and gradients at every step, but not masks or
    rewinding. This callback compares them when training starts and ends and, from the second round on, before and
    after a round prunes and rewinds, that is before rank 0's weights hide a difference. It exchanges a few bytes each
    time, and none with a single process. Put it after the `PruningCallback` and all callbacks that change weights:

        trainer = pl.Trainer(strategy="ddp", devices=2, callbacks=[pruning, AgreementCallback()])

    Raises:
        DisagreementError: on every rank, if any differs from rank 0.
    """

    def before_pruning(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Compare the results of the last round; the `PruningCallback` calls this before it prunes."""
        _compare(trainer, pl_module, "as it begins", started=False, rounds_from=0)

    def after_pruning(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Compare masks and rewound weights before DistributedDataParallel broadcasts rank 0's."""
        _compare(trainer, pl_module, "after pruning and rewinding", rounds_from=1)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Compare the weights that training starts from."""
        _compare(trainer, pl_module, "as training starts")

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Compare the trained weights."""
        _compare(trainer, pl_module, "after training")


def _compare(
    trainer: pl.Trainer, pl_module: pl.LightningModule, when: str, *, started: bool = True, rounds_from: int = -1
) -> None:
    """Compare the ranks, unless all are before the round `rounds_from`."""
    if trainer.world_size == 1:
        return
    for pruning in (callback for callback in trainer.callbacks if isinstance(callback, PruningCallback)):  # pyright: ignore[reportAttributeAccessIssue]
        parts = {
            "number": torch.tensor([pruning.round]),
            "masks": digest(pruning.mask.items()),
            "weights": digest(pruning.module(pl_module).named_parameters()),
        }
        ours = torch.cat(list(parts.values())).to(trainer.strategy.root_device)
        everyone = _gather(ours)
        if (everyone[:, 0] < rounds_from).all():
            continue  # the first weights may differ: they become rank 0's
        end = 0
        for what, part in parts.items():
            begin, end = end, end + len(part)
            others = differing_ranks(everyone[:, begin:end].cpu())
            if others:
                ranks = f"rank{'s' if len(others) > 1 else ''} {', '.join(map(str, others))}"
                raise DisagreementError(
                    f"round {pruning.round + (not started)}, {when}: the {what} of {ranks} differ from rank 0's; "
                    "something was drawn or changed on one process only"
                )


def _gather(ours: Int64[Tensor, " parts"]) -> Int64[Tensor, "ranks parts"]:
    """Return every rank's values. (The strategy's own method uses a call that torch has deprecated.)"""
    everyone = [torch.empty_like(ours) for _ in range(torch.distributed.get_world_size())]
    torch.distributed.all_gather(everyone, ours)
    return torch.stack(everyone)


def digest(tensors: Iterable[tuple[str, Tensor]]) -> Int64[Tensor, " 4"]:
    """Return the SHA-256 of tensors, their names, types and shapes as a tensor that processes can exchange."""
    return torch.frombuffer(bytearray(sha256(tensors)), dtype=torch.int64)


def differing_ranks(values: Int64[Tensor, "ranks parts"]) -> Sequence[int]:
    """Return the ranks whose row differs from rank 0's.

    >>> differing_ranks(torch.tensor([[1, 2], [1, 2], [1, 3]]))
    [2]
    """
    return (values != values[0]).any(dim=1).nonzero().flatten().tolist()


@only_its_own_hooks
class MeasuredWeights(pl.Callback):
    """Record digests of the weights and buffers that validations and a test measure.

    Put it after callbacks that swap weights, such as averages (EMA, SWA).

    Args:
        submodule: the part of the LightningModule whose weights count; all of it by default.

    Attributes:
        validated: the digest measured by each validation of a fit, by epoch, counted from 1.
        tested: the digest measured by the last test; None before it.
    """

    def __init__(self, submodule: str = "") -> None:
        self.validated: dict[int, Tensor] = {}
        self.tested: Tensor | None = None
        self._submodule = submodule

    def on_validation_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Record the weights before the first batch."""
        if batch_idx == 0 and not trainer.sanity_checking:
            self.validated[trainer.current_epoch + 1] = self.digest(pl_module)

    def on_test_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Any, batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Record the weights before the first batch."""
        if batch_idx == 0:
            self.tested = self.digest(pl_module)

    def digest(self, pl_module: pl.LightningModule) -> Tensor:
        """Return the digest of the current weights and buffers."""
        module = pl_module.get_submodule(self._submodule)
        return digest([*module.named_parameters(), *module.named_buffers()])


def differs(trainer: pl.Trainer, one: Tensor | None, other: Tensor) -> bool:
    """Return whether two digests differ, or `one` is None, on any process."""
    different = one is None or not torch.equal(one, other)
    return trainer.strategy.reduce_boolean_decision(different, all=False)
