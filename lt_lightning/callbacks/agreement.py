"""Several processes that train one network must have one network: masks and weights, compared by their digests."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

import pytorch_lightning as pl
import torch
from jaxtyping import Int64
from torch import Tensor

from lt_lightning.callbacks.pruning import PruningCallback


class DisagreementError(RuntimeError):
    """The processes of a run do not have the same masks or weights any more."""


class AgreementCallback(pl.Callback):
    """See that the masks and weights that a `PruningCallback` works on are the same on every rank.

    DistributedDataParallel makes weights equal when a fit begins, and gradients at every step, but knows nothing of
    masks and of rewinding. So they are compared as a fit is set up (from the second round on: what a round begins with
    is what the last one left, and would be overwritten by rank 0's), as training begins, after pruning and rewinding,
    and as it ends. Each time a few bytes are exchanged; a single process does nothing. Put it after the
    `PruningCallback`, and after whatever else changes weights:

        trainer = pl.Trainer(strategy="ddp", devices=2, callbacks=[pruning, AgreementCallback()])

    Raises:
        DisagreementError: on every rank, if any differs from rank 0.
    """

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Compare what the round before left, while it is still each rank's own."""
        if stage == "fit":
            _compare(trainer, pl_module, "as it begins", started=False)

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Compare what was pruned and rewound."""
        _compare(trainer, pl_module, "after pruning and rewinding")

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Compare what was trained."""
        _compare(trainer, pl_module, "after training")


def _compare(trainer: pl.Trainer, pl_module: pl.LightningModule, when: str, *, started: bool = True) -> None:
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
        if not started and (everyone[:, 0] < 0).all():
            continue  # the first weights of all may differ: they become rank 0's
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
    """SHA-256 of tensors with their names, types and shapes.

    >>> one, other = torch.zeros(2), torch.zeros(2, 1)
    >>> torch.equal(digest([("w", one)]), digest([("w", one.clone())]))
    True
    >>> torch.equal(digest([("w", one)]), digest([("w", other)]))
    False
    """
    sha = hashlib.sha256()
    for name, tensor in tensors:
        sha.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        sha.update(tensor.detach().cpu().reshape(-1).view(torch.uint8).numpy().tobytes())
    return torch.frombuffer(bytearray(sha.digest()), dtype=torch.int64)


def differing_ranks(values: Int64[Tensor, "ranks parts"]) -> Sequence[int]:
    """The ranks whose row is not rank 0's.

    >>> differing_ranks(torch.tensor([[1, 2], [1, 2], [1, 3]]))
    [2]
    """
    return (values != values[0]).any(dim=1).nonzero().flatten().tolist()
