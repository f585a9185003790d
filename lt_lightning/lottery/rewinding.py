"""Save, restore and redraw the weights of a module, or start it from a mask and given weights."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from lt_lightning.lottery.initializers import draw_parts, find_model
from lt_lightning.lottery.mask import Mask
from lt_lightning.lottery.selection import matching_parameters
from lt_lightning.lottery.settings import LotteryError


def named_state(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Yield all parameters and buffers by name, also those that `state_dict()` omits; shared ones under each name."""
    for name, param in module.named_parameters(remove_duplicate=False):
        if not is_lazy(param):
            yield name, param
    for name, buffer in module.named_buffers(remove_duplicate=False):
        if not is_lazy(buffer):
            yield name, buffer


def snapshot(module: nn.Module) -> dict[str, Tensor]:
    """Return a copy of every parameter and buffer on its device."""
    return {name: value.detach().clone() for name, value in named_state(module)}


def unset_buffers(module: nn.Module) -> list[str]:
    """Return the names of registered buffers that are None."""
    return [
        f"{path}.{name}" if path else name
        for path, part in module.named_modules(remove_duplicate=False)
        for name, buffer in part._buffers.items()  # torch has no public way to the ones that are None
        if buffer is None
    ]


@torch.no_grad()
def restore(module: nn.Module, weights: Mapping[str, Tensor], unset: Iterable[str] = ()) -> None:
    """Write a snapshot, or a part of it, into `module` in place, and set the buffers `unset` to None.

    Buffers that have another shape or are not writable are replaced.

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
    """Return whether a dense tensor's entries do not share memory, as after `expand()`."""
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
    *,
    key: Literal["redraw", "renew"] = "redraw",
) -> None:
    """Draw trainable parameters of `module` again, as its construction would.

    Frozen and other parameters keep their values, and so do buffers of parts that are not drawn. The process's random
    state does not change. The same seed draws the same weights, whatever `redraw` omits. On an error `module` is
    restored.

    Args:
        module: any torch module.
        seed: seeds the draw.
        initialize: initialises `module` in place; by default `initializers.draw_parts`: `reset_parameters()` of every
            part, inner parts first, and of transformers' models their own `_init_weights`. The parameters are NaN when
            it is called, so that one that it omits is noticed.
        redraw: fnmatch patterns of the parameters to draw.
        key: the setting that holds these patterns, which errors name.

    Raises:
        LotteryError: if a pattern matches no trainable parameter, or a parameter is not drawn.
    """
    drawn = matching_parameters(module, key, redraw)
    before, kept = snapshot(module), kept_names(module, drawn)
    cuda = sorted({param.device.index for param in module.parameters() if param.device.type == "cuda"})
    try:
        with torch.random.fork_rng(devices=cuda):
            torch.manual_seed(seed)
            with torch.no_grad():
                for param in drawn.values():
                    param.fill_(torch.nan)
            (initialize or draw_parts)(module)
        missed = next((name for name, param in drawn.items() if param.isnan().any()), None)
        if missed is not None:
            raise LotteryError(_not_drawn(module, missed, key, by_reset=initialize is None))
    except BaseException:
        restore(module, before)
        raise
    restore(module, {name: value for name, value in before.items() if name in kept})


def _not_drawn(module: nn.Module, name: str, key: str, *, by_reset: bool) -> str:
    if not by_reset:
        return (
            f"initialize: it does not draw {name!r}, or not all of it (transformers' _init_weights, for one, skips "
            f"what was loaded); draw it, or leave it out with {key}"
        )
    what = "rewind: random" if key == "redraw" else f"{key}:"
    if (model := find_model(module, name)) is not None:
        return (
            f"{what} cannot draw {name!r} again, as _init_weights of {type(model).__name__} does not; pass "
            f"initialize=… to the callback, or leave it out with {key}"
        )
    layer, _, parametrized = name.partition(".parametrizations.")
    owner = type(module.get_submodule(layer if parametrized else name.rpartition(".")[0])).__name__
    return (
        f"{what} cannot draw {name!r} again: give {owner} a method reset_parameters() that does, or pass "
        "initialize=… to the callback"
    )


def kept_names(module: nn.Module, changed: Mapping[str, nn.Parameter]) -> set[str]:
    """Return the names of the other parameters, and of the buffers of parts without a parameter of `changed`."""
    ids = {id(param) for param in changed.values()}
    names = {name for name, param in module.named_parameters(remove_duplicate=False) if id(param) not in ids}
    for path, part in module.named_modules():
        params = list(part.parameters())
        if params and not any(id(param) in ids for param in params):
            begin = f"{path}." if path else ""
            names.update(f"{begin}{name}" for name, _ in part.named_buffers(remove_duplicate=False))
    return names


@dataclass(frozen=True)
class Start:
    """The mask and weights of round 0, such as a ticket of another run.

    Attributes:
        mask: the living entries of some of the prunable parameters; others are all alive.
        weights: first values of some parameters and buffers by name; others keep their values.

    Raises:
        LotteryError: if `mask` is not a mask or a mapping of boolean tensors, or weights are not finite tensors.
    """

    mask: Mask
    weights: Mapping[str, Tensor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "mask", _as_mask(self.mask))
        if not isinstance(self.weights, Mapping):
            raise LotteryError(f"start: weights are tensors by name, not {type(self.weights).__name__}")
        for name, value in self.weights.items():
            if not isinstance(value, Tensor):
                raise LotteryError(f"start: the weight of {name!r} must be a tensor, not {type(value).__name__}")
            if not value.isfinite().all():
                raise LotteryError(f"start: the weight of {name!r} has values that are not finite")

    def check(self, module: nn.Module, params: Mapping[str, nn.Parameter]) -> None:
        """Raise LotteryError if the mask or the weights do not fit `module`, of which `params` are pruned."""
        for name, alive in self.mask.items():
            if name not in params:
                raise LotteryError(
                    f"start: the mask names {name!r}, which is none of the parameters that are pruned: "
                    f"{', '.join(params)}; leave it out, or prune it"
                )
            _require_shape("mask", name, alive, params[name])
        there = dict(named_state(module))
        for name, value in self.weights.items():
            if name not in there:
                raise LotteryError(f"start: there are weights of {name!r}, which the module does not have")
            _require_shape("weight", name, value, there[name])

    @torch.no_grad()
    def begin_(self, module: nn.Module, params: Mapping[str, nn.Parameter]) -> Mask:
        """Write these weights times this mask into `module`, and return the mask of all `params` on their devices."""
        restore(module, self.weights)
        whole, own = Mask.ones(params), {name: alive.to(params[name].device) for name, alive in self.mask.items()}
        mask = Mask({**whole, **own})
        mask.apply_(params)
        return mask


def _as_mask(given: object) -> Mask:
    if isinstance(given, Mask):
        return given
    if not isinstance(given, Mapping):
        raise LotteryError(f"start: give a Mask, or boolean tensors by parameter name, not {type(given).__name__}")
    try:
        return Mask(given)
    except TypeError as error:
        raise LotteryError(f"start: {error}") from None


def _require_shape(what: str, name: str, given: Tensor, there: Tensor) -> None:
    if given.shape != there.shape:
        shapes = f"{tuple(given.shape)}, the module's {tuple(there.shape)}"
        raise LotteryError(f"start: the {what} of {name!r} has shape {shapes}: they are of different models")
