"""Clip gradients of which some are sparse, as torch clips dense ones."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn


def clip_gradients(parameters: Iterable[nn.Parameter], limit: float, algorithm: Any = None) -> None:
    """Clip gradients in place; rows without a sparse gradient are zero, and so do not count.

    Args:
        parameters: the parameters; sparse gradients are coalesced.
        limit: the largest norm of all gradients together, or the largest absolute value.
        algorithm: `norm`, also if None, or `value`, as Lightning names them.
    """
    clipped: list[Tensor] = []
    for parameter in parameters:
        if parameter.grad is None or not parameter.grad.is_sparse:
            clipped.append(parameter)
            continue
        parameter.grad = parameter.grad.coalesce()
        values = parameter.grad.values()  # shares the memory of the gradient
        stand_in = torch.empty_like(values)
        stand_in.grad = values
        clipped.append(stand_in)
    if algorithm is not None and str(getattr(algorithm, "value", algorithm)) == "value":
        nn.utils.clip_grad_value_(clipped, limit)
    else:
        nn.utils.clip_grad_norm_(clipped, limit)
