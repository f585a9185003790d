"""Copies of a module's weights that other callbacks made before a round began.

Callbacks that average weights copy the module in their `setup`. Those that stand before the `PruningCallback` have the
weights that the last round trained by then; they must get what the new round begins with, as if they stood behind it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import torch
from torch import Tensor, nn

from lt_lightning.lottery.rewinding import named_state


class StaleCopies:
    """Finds the copies of a module's state in other objects, to renew them once the module has changed.

    Args:
        module: the module, before it changes.
        holders: objects whose attributes may hold copies: tensors, modules, and lists and mappings of them.
    """

    def __init__(self, module: nn.Module, holders: Iterable[object]) -> None:
        state = dict(named_state(module))
        own = {tensor.data_ptr() for tensor in state.values()}
        self._copies: list[tuple[str, Tensor]] = []
        self._module = module
        for path, tensor in _tensors(holders):
            if tensor.numel() and tensor.data_ptr() not in own:
                equal = [name for name, value in state.items() if _equal(tensor, value)]
                # Several may be equal (biases of zeros): the copy goes by the name that its place ends in.
                named = [name for name in equal if f".{path}".endswith(f".{name}")]
                if named or len(equal) == 1:
                    self._copies.append(((named or equal)[0], tensor))

    @torch.no_grad()
    def renew(self) -> None:
        """Give each copy the value that the module has now."""
        state = dict(named_state(self._module))
        for name, tensor in self._copies:
            tensor.detach().copy_(state[name])


def _equal(left: Tensor, right: Tensor) -> bool:
    return left.shape == right.shape and left.dtype == right.dtype and torch.equal(left, right.to(left.device))


def _tensors(holders: Iterable[object]) -> Iterator[tuple[str, Tensor]]:
    """Iterate over the tensors in the attributes of objects, each with the path of its place there."""
    seen: set[int] = set()
    places = [("", vars(holder)) for holder in holders]
    while places:
        path, found = places.pop()
        if id(found) in seen:
            continue
        seen.add(id(found))
        if isinstance(found, Tensor):
            yield path, found
        elif isinstance(found, nn.Module):
            yield from ((f"{path}.{name}", tensor) for name, tensor in named_state(found))
        elif isinstance(found, Mapping):
            places.extend((f"{path}.{key}", value) for key, value in found.items())
        elif isinstance(found, list | tuple):
            places.extend((f"{path}.{index}", value) for index, value in enumerate(found))
