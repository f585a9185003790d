"""Update copies of a module's weights that other callbacks made before a round began.

Callbacks that average weights copy the module in their `setup`. Those before the `PruningCallback` then hold the last
round's weights, and must get those of the new round.
"""

from __future__ import annotations

import weakref
from collections import deque
from collections.abc import Iterable, Iterator

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from lt_lightning.lottery.rewinding import named_state

_DEEPEST, _LONGEST = 6, 10_000
"""Maximum depth of nested objects, and maximum length of a list: longer ones hold data, not weights."""

_LEFT_OUT = (pl.Trainer, pl.LightningModule, pl.LightningDataModule, pl.Callback)


class KnownTensors:
    """The tensors that callbacks hold when a fit ends; a tensor unchanged since is not a copy made for the next fit."""

    def __init__(self, callbacks: Iterable[pl.Callback] = ()) -> None:
        self._known = {
            id(tensor): (weakref.ref(tensor), tensor._version) for _, tensor in _tensors(_copying(callbacks))
        }

    def __contains__(self, tensor: Tensor) -> bool:
        known, version = self._known.get(id(tensor), (None, None))
        return known is not None and known() is tensor and tensor._version == version


class StaleCopies:
    """Find copies of a module's state that other callbacks have just made, and update them after it changes.

    A copy is a tensor with the same values, of any floating type, in an attribute of a callback that overrides `setup`:
    directly, or in modules, mappings, sequences and plain objects. `module` has not changed yet, the `setup` of
    `callbacks` has run, and `known` are tensors that they held before.
    """

    def __init__(self, module: nn.Module, callbacks: Iterable[pl.Callback], known: KnownTensors) -> None:
        self._copies: list[tuple[str, Tensor]] = []
        self._module = module
        holders = _copying(callbacks)
        state = {name: value for name, value in named_state(module) if _is_plain(value)} if holders else {}
        own = {value.data_ptr() for value in state.values()}
        for path, tensor in _tensors(holders):
            if tensor.data_ptr() in own or tensor in known:
                continue
            equal = [name for name, value in state.items() if _is_copy(tensor, value)]
            # Several may be equal, such as zero biases: then the path of the copy must end in the name.
            named = [name for name in equal if f".{path}".endswith(f".{name}")]
            if named or len(equal) == 1:
                self._copies.append(((named or equal)[0], tensor))

    @torch.no_grad()
    def renew(self) -> None:
        """Set each copy to the module's current value."""
        state = dict(named_state(self._module))
        for name, tensor in self._copies:
            tensor.detach().copy_(state[name])


def _copying(callbacks: Iterable[pl.Callback]) -> list[pl.Callback]:
    return [one for one in callbacks if type(one).setup is not pl.Callback.setup]


def _is_plain(tensor: Tensor) -> bool:
    return tensor.layout == torch.strided and tensor.numel() > 0


def _is_copy(tensor: Tensor, value: Tensor) -> bool:
    if tensor.shape != value.shape or tensor.is_floating_point() != value.is_floating_point():
        return False
    there = value.detach().to(tensor.device)
    return torch.equal(tensor, there.to(tensor.dtype)) or torch.equal(tensor.to(there.dtype), there)


def _tensors(holders: Iterable[object]) -> Iterator[tuple[str, Tensor]]:
    """Yield the path and value of each tensor in the attributes of objects."""
    seen: set[int] = set()
    places: list[tuple[str, object, int]] = [("", vars(holder), 0) for holder in holders]
    while places:
        path, found, depth = places.pop()
        if id(found) in seen or depth > _DEEPEST:
            continue
        seen.add(id(found))
        if isinstance(found, Tensor):
            if _is_plain(found):
                yield path, found
        elif isinstance(found, nn.Module):
            yield from ((f"{path}.{name}", tensor) for name, tensor in named_state(found) if _is_plain(tensor))
        elif isinstance(found, dict | list | tuple | deque):
            if len(found) <= _LONGEST:
                named = found.items() if isinstance(found, dict) else enumerate(found)
                places.extend((f"{path}.{key}", value, depth + 1) for key, value in named)
        elif hasattr(found, "__dict__") and not isinstance(found, (*_LEFT_OUT, type)) and not callable(found):
            places.append((path, vars(found), depth + 1))
