"""Where weights go back to: snapshots, and fresh draws from a module's own initialiser."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn

from lt_lightning.lottery.selection import matching_parameters
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


def reinitialize(
    module: nn.Module,
    seed: int,
    initialize: Callable[[nn.Module], None] | None = None,
    redraw: Sequence[str] = ("*",),
) -> None:
    """Draw trainable parameters of `module` afresh, as its construction would.

    What is frozen or not asked for keeps its values, the statistics of parts of which nothing is drawn too (they may be
    pre-trained). The random state of the process is not touched, and the same seed draws the same weights on every
    process, whatever `redraw` leaves out.

    Args:
        module: any torch module.
        seed: seeds the draw.
        initialize: what initialises `module` in place. By default `reset_parameters()`, torch's convention, of every
            part that has one, inner parts first, as in construction.
        redraw: fnmatch patterns of the parameters to draw.

    Raises:
        LotteryError: if a pattern matches no trainable parameter; if `initialize` is not given and no
            `reset_parameters()` writes to a parameter that is to be drawn: its first draw cannot be repeated. The
            module is then as it was.
    """
    drawn = matching_parameters(module, "redraw", redraw)
    before, kept = snapshot(module), _kept_names(module, drawn)
    cuda = sorted({param.device.index for param in module.parameters() if param.device.type == "cuda"})
    with torch.random.fork_rng(devices=cuda):
        torch.manual_seed(seed)
        if initialize is None:
            missed = _reset_all(module, drawn)
        else:
            missed = []
            initialize(module)
    restore(module, {name: value for name, value in before.items() if missed or name in kept})
    if missed:
        owner = type(module.get_submodule(missed[0].rpartition(".")[0])).__name__
        raise LotteryError(
            f"rewind: random cannot draw {missed[0]!r} again: give {owner} a method reset_parameters() that does, or "
            "pass initialize=… to the callback"
        )


@torch.no_grad()
def _reset_all(module: nn.Module, drawn: Mapping[str, nn.Parameter]) -> list[str]:
    """Reset every part; the names of the parameters to draw that this has left out."""
    for param in drawn.values():
        param.fill_(torch.nan)
    _reset(module)
    return [name for name, param in drawn.items() if param.isnan().any()]


def _reset(module: nn.Module) -> None:
    for child in module.children():
        _reset(child)
    # nn.MultiheadAttention and nn.Transformer have it with an underscore.
    reset = getattr(module, "reset_parameters", None) or getattr(module, "_reset_parameters", None)
    if callable(reset):
        reset()


def _kept_names(module: nn.Module, drawn: Mapping[str, nn.Parameter]) -> set[str]:
    """The parameters that are not drawn, and all the state of parts that have no other parameters."""
    ids = {id(param) for param in drawn.values()}
    names = {name for name, param in module.named_parameters(remove_duplicate=False) if id(param) not in ids}
    for path, part in module.named_modules():
        params = list(part.parameters())
        if params and not any(id(param) in ids for param in params):
            names.update(part.state_dict(prefix=f"{path}." if path else ""))
    return names
