"""When the arithmetic of layers may be done by other means than by calling them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")


def can_replace(layers: Sequence[nn.Module], tensors: Iterable[Tensor]) -> bool:
    """Whether nobody would notice: plain numbers on the CPU, all float32 or all float64, and nobody who listens.

    A layer with a hook must be called as a module; so must one that is traced or compiled, or whose precision autocast
    is to choose.

    Args:
        layers: those that would not be called.
        tensors: all that they compute with.
    """
    kinds = {(tensor.device.type, tensor.layout, tensor.dtype) for tensor in tensors}
    return (
        not torch.is_autocast_enabled("cpu")
        and not torch.compiler.is_compiling()
        and not torch.jit.is_tracing()  # pyright: ignore[reportPrivateImportUsage]
        and not any(getattr(layer, kind) for layer in layers for kind in _HOOKS)
        and (kinds == {("cpu", torch.strided, torch.float32)} or kinds == {("cpu", torch.strided, torch.float64)})
    )
