"""Decide whether a kernel may replace calls of layers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")


def can_replace(layers: Sequence[nn.Module], tensors: Iterable[Tensor]) -> bool:
    """Return whether a kernel may compute what `layers` compute from `tensors`, instead of calling them.

    Tensors must be strided, on the CPU, and all float32 or all float64. Layers with hooks must be called, as must
    layers that are traced or compiled, run under autocast, or whose functions a `TorchFunctionMode` intercepts.
    """
    tensors = tuple(tensors)
    kinds = {(tensor.device.type, tensor.layout, tensor.dtype) for tensor in tensors}
    return (
        not torch.is_autocast_enabled("cpu")
        and not torch.compiler.is_compiling()
        and not torch.overrides.has_torch_function(tensors)
        and not torch.jit.is_tracing()  # pyright: ignore[reportPrivateImportUsage]
        and not any(getattr(layer, kind) for layer in layers for kind in _HOOKS)
        and (kinds == {("cpu", torch.strided, torch.float32)} or kinds == {("cpu", torch.strided, torch.float64)})
    )
