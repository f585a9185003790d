"""Compute a mean over steps and processes without synchronising the device."""

from __future__ import annotations

import math

import torch
from torch import Tensor


class Mean:
    """A running mean: NaN or infinite if a number is, NaN without numbers.

    Unlike torchmetrics' mean it does not wait for the device when numbers are added, and has no state in checkpoints.
    """

    def __init__(self) -> None:
        self._total: Tensor | None = None
        self._count = 0

    def add(self, total: Tensor, count: int) -> None:
        """Add `count` numbers whose sum is `total`, a tensor without dimensions."""
        total = total.detach().float()
        self._total = total if self._total is None else self._total + total
        self._count += count

    def compute(self) -> Tensor:
        """Return the mean in single precision; over all processes, which must all call it."""
        if self._total is None:
            return torch.tensor(math.nan)
        if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
            return self._total / self._count
        # In double precision: single precision cannot hold large counts.
        ours = torch.stack([self._total.double(), torch.full_like(self._total, self._count, dtype=torch.float64)])
        everyone = [torch.empty_like(ours) for _ in range(torch.distributed.get_world_size())]
        torch.distributed.all_gather(everyone, ours)
        total, count = torch.stack(everyone).sum(dim=0)
        return (total / count).float()

    def reset(self) -> None:
        """Delete all numbers."""
        self._total, self._count = None, 0
