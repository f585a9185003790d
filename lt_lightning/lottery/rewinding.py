"""Where weights go back to: snapshots, and fresh draws from a module's own initialiser."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from lt_lightning.lottery.selection import matching_parameters
from lt_lightning.lottery.settings import LotteryError


def named_state(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Iterate over all parameters and buffers of `module` by name, those that `state_dict()` leaves out too.

    A module may override `state_dict` to save less, or copies; what a round rewinds must not depend on that. Shared
    tensors come under each of their names.
    """
    for name, param in module.named_parameters(remove_duplicate=False):
        if not is_lazy(param):
            yield name, param
    for name, buffer in module.named_buffers(remove_duplicate=False):
        if not is_lazy(buffer):
            yield name, buffer


def snapshot(module: nn.Module) -> dict[str, Tensor]:
    """Return a copy of every parameter and buffer, on the device where each lives."""
    return {name: value.detach().clone() for name, value in named_state(module)}


def unset_buffers(module: nn.Module) -> list[str]:
    """Return the names of the buffers of `module` that are registered and have no value yet."""
    return [
        f"{path}.{name}" if path else name
        for path, part in module.named_modules(remove_duplicate=False)
        for name, buffer in part._buffers.items()  # torch has no public way to the ones that are None
        if buffer is None
    ]


@torch.no_grad()
def restore(module: nn.Module, weights: Mapping[str, Tensor], unset: Iterable[str] = ()) -> None:
    """Write a snapshot back into `module`, in place, so that optimizers keep their hold of the parameters.

    A buffer that has another shape by now, or that cannot be written in place, is replaced. (A parameter that cannot
    be is never trained, either.)

    Args:
        module: what the snapshot is of.
        weights: the snapshot.
        unset: the buffers that had no value then; see `unset_buffers`.

    Raises:
        LotteryError: if a parameter has another shape than in the snapshot; nothing is written then.
    """
    there = [(name, value, weights[name]) for name, value in named_state(module) if name in weights]
    for name, value, kept in there:
        if value.shape != kept.shape and isinstance(value, nn.Parameter):
            shapes = f"{tuple(kept.shape)}, now it has {tuple(value.shape)}"
            raise LotteryError(f"rewind: {name!r} had shape {shapes}; use the same module in all rounds")
    for name, value, kept in there:
        if value.shape == kept.shape and _is_writable(value):
            value.detach().copy_(kept)
        elif not isinstance(value, nn.Parameter):
            _set_buffer(module, name, kept.to(value.device, value.dtype, copy=True))
    missing = set(weights).difference(name for name, _ in named_state(module)).intersection(unset_buffers(module))
    for name in missing:
        _set_buffer(module, name, weights[name].clone())
    for name in unset:
        _set_buffer(module, name, None)


def _is_writable(tensor: Tensor) -> bool:
    """Return whether each entry of a dense tensor has memory of its own; `expand()` shares it."""
    if tensor.layout != torch.strided:
        return False
    return all(stride or size < 2 for stride, size in zip(tensor.stride(), tensor.shape, strict=True))


def _set_buffer(module: nn.Module, name: str, value: Tensor | None) -> None:
    path, _, last = name.rpartition(".")
    setattr(module.get_submodule(path), last, value)


def digest(tensors: Iterable[tuple[str, Tensor]]) -> bytes:
    """Return the SHA-256 of tensors with their names, types and shapes.

    >>> one, other = torch.zeros(2), torch.zeros(2, 1)
    >>> digest([("w", one)]) == digest([("w", one.clone())])
    True
    >>> digest([("w", one)]) == digest([("w", other)])
    False
    """
    sha = hashlib.sha256()
    for name, tensor in tensors:
        sha.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        dense = tensor.detach() if tensor.layout == torch.strided else tensor.detach().to_dense()
        sha.update(dense.resolve_conj().cpu().reshape(-1).contiguous().view(torch.uint8).numpy().tobytes())
    return sha.digest()


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
            part that has one, inner parts first, as in construction. It must not depend on the values that the
            parameters have: they are NaN when it is called, so that a parameter that it leaves out is noticed.
        redraw: fnmatch patterns of the parameters to draw.

    Raises:
        LotteryError: if a pattern matches no trainable parameter; if a parameter that is to be drawn is not.

    Whatever is raised, by `initialize` too, `module` is as it was before.
    """
    drawn = matching_parameters(module, "redraw", redraw)
    before, kept = snapshot(module), _kept_names(module, drawn)
    cuda = sorted({param.device.index for param in module.parameters() if param.device.type == "cuda"})
    try:
        with torch.random.fork_rng(devices=cuda):
            torch.manual_seed(seed)
            with torch.no_grad():
                for param in drawn.values():
                    param.fill_(torch.nan)
            (initialize or _reset)(module)
        missed = next((name for name, param in drawn.items() if param.isnan().any()), None)
        if missed is not None:
            raise LotteryError(_not_drawn(module, missed, by_reset=initialize is None))
    except BaseException:
        restore(module, before)
        raise
    restore(module, {name: value for name, value in before.items() if name in kept})


def _not_drawn(module: nn.Module, name: str, *, by_reset: bool) -> str:
    if not by_reset:
        return (
            f"initialize: it does not draw {name!r}, or not all of it (transformers' _init_weights, for one, skips "
            "what was loaded); draw it, or leave it out with redraw"
        )
    layer, _, parametrized = name.partition(".parametrizations.")
    owner = type(module.get_submodule(layer if parametrized else name.rpartition(".")[0])).__name__
    return (
        f"rewind: random cannot draw {name!r} again: give {owner} a method reset_parameters() that does, or pass "
        "initialize=… to the callback"
    )


def _reset(module: nn.Module) -> None:
    """Call `reset_parameters` of every part, inner parts first."""
    for child in module.children():
        _reset(child)
    # nn.MultiheadAttention and nn.Transformer have it with an underscore.
    reset = getattr(module, "reset_parameters", None) or getattr(module, "_reset_parameters", None)
    if callable(reset):
        reset()


def _kept_names(module: nn.Module, drawn: Mapping[str, nn.Parameter]) -> set[str]:
    """Return the names of the parameters that are not drawn, and of all buffers of parts that have no other."""
    ids = {id(param) for param in drawn.values()}
    names = {name for name, param in module.named_parameters(remove_duplicate=False) if id(param) not in ids}
    for path, part in module.named_modules():
        params = list(part.parameters())
        if params and not any(id(param) in ids for param in params):
            begin = f"{path}." if path else ""
            names.update(f"{begin}{name}" for name, _ in part.named_buffers(remove_duplicate=False))
    return names
