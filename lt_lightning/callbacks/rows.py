"""Count the rows of a batch, and take one of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor


def count_rows(batch: Any) -> int:
    """Return the number of rows of the first tensor in a batch that has a dimension, or 0.

    >>> import torch
    >>> count_rows((torch.tensor(1.0), torch.zeros(3, 2)))
    3
    """
    if isinstance(batch, Tensor):
        return len(batch) if batch.dim() else 0
    parts = batch.values() if isinstance(batch, Mapping) else batch if isinstance(batch, (list, tuple)) else ()
    return next((rows for part in parts if (rows := count_rows(part))), 0)


def take_row(batch: Any, row: int, rows: int, processes: int = 1) -> Any:
    """Return a batch of a single row.

    Args:
        batch: a tensor, or a mapping, list or tuple of batches, or an object with a method `row(row, processes)`, which
            returns the batch in which each process has this one row.
        row: the number of the row.
        rows: the number of rows of the batch; tensors and lists of another length are not cut.
        processes: the number of processes of the run.

    Examples:
        >>> import torch
        >>> take_row({"ids": torch.tensor([[1, 2], [3, 4]]), "names": ["a", "b"], "scale": 2.0}, 1, 2)
        {'ids': tensor([[3, 4]]), 'names': ['b'], 'scale': 2.0}
    """
    if callable(own := getattr(batch, "row", None)):
        return own(row, processes)
    if isinstance(batch, Tensor):
        return batch[row : row + 1] if batch.dim() and len(batch) == rows else batch
    if isinstance(batch, Mapping):
        cut = {key: take_row(part, row, rows, processes) for key, part in batch.items()}
        return cut if type(batch) is dict else type(batch)(cut)  # pyright: ignore[reportCallIssue]
    if isinstance(batch, (list, tuple)):
        if len(batch) == rows and not any(isinstance(part, (Tensor, Mapping, list, tuple)) for part in batch):
            return batch[row : row + 1]  # strings or numbers, one a row
        parts = [take_row(part, row, rows, processes) for part in batch]
        return type(batch)(*parts) if hasattr(batch, "_fields") else type(batch)(parts)
    return batch
