"""Read batches from loaders without changing the batches that they give later."""

from __future__ import annotations

import copy
import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Sampler

_PARTS = ("sampler", "batch_sampler", "dataset", "generator", "data_source")


@contextmanager
def untouched(loaders: Any) -> Iterator[Any]:
    """Yield loaders to read from, and restore the generators and counters that reading advances.

    Restored are the random generators of loaders, their samplers and datasets, and numbers in attributes of samplers.

    Args:
        loaders: a loader, or a list, tuple or mapping of loaders.
    """
    found = _reachable(loaders)
    states = [(one, _state(one)) for one in found if _is_generator(one)]
    counters = [
        (one, {key: value for key, value in vars(one).items() if isinstance(value, (int, float, str, type(None)))})
        for one in found
        if isinstance(one, Sampler)
    ]
    try:
        yield _own(loaders)
    finally:
        for one, state in states:
            _set_state(one, state)
        for one, values in counters:
            vars(one).update(values)


def _own(loaders: Any) -> Any:
    """Return the loaders, with copies of those whose persistent workers serve one reader at a time."""
    if isinstance(loaders, Mapping):
        return {key: _own(one) for key, one in loaders.items()}
    if isinstance(loaders, (list, tuple)):
        return [_own(one) for one in loaders]
    if not isinstance(loaders, DataLoader) or not loaders.persistent_workers:
        return loaders
    own = copy.copy(loaders)
    own.num_workers = own.timeout = 0
    return own


def _reachable(loaders: Any) -> list[Any]:
    """Return loaders, their samplers and datasets, and generators in the attributes of all of these."""
    waiting, found = [loaders], {}
    while waiting:
        one = waiting.pop()
        if id(one) in found or one is None:
            continue
        if isinstance(one, Mapping):
            waiting.extend(one.values())
        elif isinstance(one, (list, tuple)):
            waiting.extend(one)
        else:
            found[id(one)] = one
            if not _is_generator(one):
                own = getattr(one, "__dict__", {})
                waiting.extend(value for key, value in own.items() if key in _PARTS or _is_generator(value))
    return list(found.values())


def _is_generator(one: Any) -> bool:
    return isinstance(one, (torch.Generator, np.random.Generator, np.random.RandomState, random.Random))


def _state(one: Any) -> Any:
    if isinstance(one, np.random.Generator):
        return one.bit_generator.state
    return one.getstate() if isinstance(one, random.Random) else one.get_state()


def _set_state(one: Any, state: Any) -> None:
    if isinstance(one, np.random.Generator):
        one.bit_generator.state = state
    elif isinstance(one, random.Random):
        one.setstate(state)
    else:
        one.set_state(state)
