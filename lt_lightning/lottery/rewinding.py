"""Where weights go back to: snapshots, and fresh draws from a module's own initialiser."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from lt_lightning.lottery.settings import LotteryError


def snapshot(module: nn.Module) -> dict[str, Tensor]:
    """A copy of every parameter and persistent buffer, on the device where each lives."""
    return {name: value.detach().clone() for name, value in module.state_dict().items() if isinstance(value, Tensor)}


@torch.no_grad()
def restore(module: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Write a snapshot back into `module`, in place, so that optimizers keep their hold of the parameters."""
    for name, value in module.state_dict(keep_vars=True).items():
        if name in weights:
            value.detach().copy_(weights[name])


def reinitialize(module: nn.Module, seed: int, initialize: Callable[[nn.Module], None] | None = None) -> None:
    """Draw the trainable parameters of `module` afresh, as its construction would.

    Frozen parameters keep their values (they may be pre-trained). The random state of the process is not touched, and
    the same seed draws the same weights on every process.

    Args:
        module: any torch module.
        seed: seeds the draw.
        initialize: what initialises `module` in place. By default `reset_parameters()`, torch's convention, of every
            part that has one, inner parts first, as in construction.

    Raises:
        LotteryError: if `initialize` is not given and a trainable parameter belongs to no part with
            `reset_parameters()`: its first draw cannot be repeated.
    """
    if initialize is None:
        _check_resettable(module)
    frozen = {name: param.detach().clone() for name, param in module.named_parameters() if not param.requires_grad}
    cuda = sorted({param.device.index for param in module.parameters() if param.device.type == "cuda"})
    with torch.random.fork_rng(devices=cuda):
        torch.manual_seed(seed)
        (initialize or _reset_all)(module)
    restore(module, frozen)


def _resetter(module: nn.Module) -> Callable[[], object] | None:
    """`reset_parameters`, or as nn.MultiheadAttention and nn.Transformer have it, `_reset_parameters`."""
    for name in ("reset_parameters", "_reset_parameters"):
        method = getattr(module, name, None)
        if callable(method):
            return method
    return None


@torch.no_grad()
def _reset_all(module: nn.Module) -> None:
    for child in module.children():
        _reset_all(child)
    reset = _resetter(module)
    if reset is not None:
        reset()


def _check_resettable(module: nn.Module) -> None:
    for name, param in module.named_parameters():
        path = name.split(".")[:-1]
        owners = [module.get_submodule(".".join(path[:depth])) for depth in range(len(path) + 1)]
        if param.requires_grad and not any(_resetter(owner) for owner in owners):
            raise LotteryError(
                f"rewind: random cannot draw {name!r} again: give {type(owners[-1]).__name__} a method "
                "reset_parameters(), or pass initialize=… to the callback"
            )
