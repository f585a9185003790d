"""Several processes that train one network must have one network: masks and weights, compared by their digests."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pytorch_lightning as pl
import torch
from jaxtyping import Int64
from torch import Tensor

from lt_lightning.callbacks.pruning import PruningCallback
from lt_lightning.lottery.rewinding import digest as sha256


class DisagreementError(RuntimeError):
    """The processes of a run do not have the same masks or weights any more."""


class AgreementCallback(pl.Callback):
    """See that the masks and weights that a `PruningCallback` works on are the same on every rank.

    DistributedDataParallel makes weights equal when a fit begins, and gradients at every step, but knows nothing of
    masks and of rewinding. So they are compared, from the second round on, before and after a round prunes and rewinds
    (rank 0's weights would hide a difference a moment later), and in every round as training starts and ends. Each time
    a few bytes are exchanged; a single process does nothing. Put it after the `PruningCallback`, and after everything
    else that changes weights:

        trainer = pl.Trainer(strategy="ddp", devices=2, callbacks=[pruning, AgreementCallback()])

    Raises:
        DisagreementError: on every rank, if any differs from rank 0.
    """

    def before_pruning(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Compare what the round before left; the `PruningCallback` calls this before it prunes."""
        _compare(trainer, pl_module, "as it begins", started=False, rounds_from=0)

    def after_pruning(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Compare what was pruned and rewound, before DistributedDataParallel hands out rank 0's weights."""
        _compare(trainer, pl_module, "after pruning and rewinding", rounds_from=1)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Compare what training starts from."""
        _compare(trainer, pl_module, "as training starts")

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Compare what was trained."""
        _compare(trainer, pl_module, "after training")


def _compare(
    trainer: pl.Trainer, pl_module: pl.LightningModule, when: str, *, started: bool = True, rounds_from: int = -1
) -> None:
    """Compare the ranks, unless none of them has come to the round `rounds_from` yet."""
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
                    "something was drawn or changed on one process alone"
                )


def _gather(ours: Int64[Tensor, " parts"]) -> Int64[Tensor, "ranks parts"]:
    """Every rank's values on each rank; not by the strategy, whose way torch has deprecated."""
    everyone = [torch.empty_like(ours) for _ in range(torch.distributed.get_world_size())]
    torch.distributed.all_gather(everyone, ours)
    return torch.stack(everyone)


def digest(tensors: Iterable[tuple[str, Tensor]]) -> Int64[Tensor, " 4"]:
    """Return the SHA-256 of tensors with their names, types and shapes, in a form that processes can exchange."""
    return torch.frombuffer(bytearray(sha256(tensors)), dtype=torch.int64)


def differing_ranks(values: Int64[Tensor, "ranks parts"]) -> Sequence[int]:
    """The ranks whose row is not rank 0's.

    >>> differing_ranks(torch.tensor([[1, 2], [1, 2], [1, 3]]))
    [2]
    """
    return (values != values[0]).any(dim=1).nonzero().flatten().tolist()
