"""A mean over steps and processes that costs a step next to nothing."""

from __future__ import annotations

import math

import torch
from torch import Tensor


class Mean:
    """The mean of numbers that come in step by step: NaN or infinite where one is, NaN where there is none.

    Unlike torchmetrics' mean it asks the device for nothing as numbers come in, and keeps no state in checkpoints.
    """

    def __init__(self) -> None:
        self._total: Tensor | None = None
        self._count = 0

    def add(self, total: Tensor, count: int) -> None:
        """Take in `count` numbers that come to `total`, a tensor without dimensions."""
        total = total.detach().float()
        self._total = total if self._total is None else self._total + total
        self._count += count

    def compute(self) -> Tensor:
        """The mean so far, in single precision; over all processes, where all of them call it."""
        if self._total is None:
            return torch.tensor(math.nan)
        if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
            return self._total / self._count
        # Rounded to double precision: the count may be beyond what single precision counts to.
        ours = torch.stack([self._total.double(), torch.full_like(self._total, self._count, dtype=torch.float64)])
        everyone = [torch.empty_like(ours) for _ in range(torch.distributed.get_world_size())]
        torch.distributed.all_gather(everyone, ours)
        total, count = torch.stack(everyone).sum(dim=0)
        return (total / count).float()

    def reset(self) -> None:
        """Forget all."""
        self._total, self._count = None, 0
