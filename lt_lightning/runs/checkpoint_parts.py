"""Shorten a Lightning checkpoint, exact to the bit: leave out zeros, and weights that a file of the run has already.

A tensor's place in the checkpoint holds None, and the entry `lt_lightning` lists its path with its `storage.parts`.
Zeros are the pruned weights, the optimizer's moments of them, and the moments of words that no batch had.
"""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lt_lightning.runs.bases import Base, BaseFile, find_base_file
from lt_lightning.storage.parts import Parts, bits_set, join, pack_bits, split, unpack_bits

_KEY = "lt_lightning"
_SMALLEST = 64
"""Entries of a tensor that is worth its parts."""
_REWIND = "rewind_weights"


def shorten(checkpoint: Mapping[str, Any], lottery: str | None, base: Base | None, prefix: str) -> dict[str, Any]:
    """Return a checkpoint without what `rebuild` can restore; the given one is not changed.

    Args:
        checkpoint: the checkpoint.
        lottery: the `state_key` of a `PruningCallback` whose rewind weights are left out; None for none.
        base: weights of the run that are on disk; rewind weights of the checkpoint must be these.
        prefix: what stands before their names in the checkpoint, such as `network.`.
    """
    whole = dict(checkpoint)
    rewinds = False
    if lottery is not None and base is not None and _REWIND in checkpoint["callbacks"][lottery]:
        states = checkpoint["callbacks"]
        rewinds = states[lottery][_REWIND] is not None
        kept = {key: value for key, value in states[lottery].items() if key != _REWIND}
        whole["callbacks"] = {**states, lottery: kept}
    weights = {} if base is None else base.weights
    seen: dict[tuple[Any, ...], dict[str, Any]] = {}
    entries: list[tuple[list[str | int], dict[str, Any]]] = []

    def leave_out(value: Any, path: list[str | int]) -> Any:
        if type(value) in (dict, OrderedDict):
            twin = copy.copy(value)  # with the attributes of a state_dict
            for key, one in value.items():
                twin[key] = leave_out(one, [*path, key])
            return twin
        if type(value) is list:
            return [leave_out(one, [*path, place]) for place, one in enumerate(value)]
        if type(value) is not Tensor or not _is_plain(value):
            return value
        memory = (value.data_ptr(), value.dtype, value.shape)
        if memory not in seen:
            name = str(path[-1]).removeprefix(prefix)
            entry = _entry(value, name if name in weights else None, weights)
            if entry is None:
                return value
            seen[memory] = entry
        entries.append((path, seen[memory]))
        return None

    whole = leave_out(whole, [])
    about = {"base": None if base is None else base.to_json(), "lottery": lottery if rewinds else None}
    return {**whole, _KEY: {**about, "tensors": entries}}


def _is_plain(tensor: Tensor) -> bool:
    return tensor.layout == torch.strided and tensor.is_contiguous() and tensor.numel() >= _SMALLEST


def _entry(tensor: Tensor, name: str | None, weights: Mapping[str, Tensor]) -> dict[str, Any] | None:
    """Return what is stored of a tensor, or None if that is no less than the tensor."""
    about = {"shape": list(tensor.shape), "base": name}
    if tensor.dtype == torch.bool:
        return {**about, "bits": pack_bits(tensor)}
    alive = bits_set(tensor)
    if alive is not None and 8 * tensor.element_size() * int((~alive).sum()) <= tensor.numel():
        alive = None  # the bits would need more room than the zeros
    parts = split(tensor, alive, None if name is None else weights[name])
    if parts.rows is None and parts.values is not None and parts.values.shape == tensor.shape:
        return None
    return {**about, **parts._asdict()}


def rebuild(checkpoint: dict[str, Any], base: Base | None) -> dict[str, Any]:
    """Return the checkpoint that `shorten` shortened; one of an earlier version stays as it is.

    Args:
        checkpoint: the shortened one, which is changed.
        base: the weights that it refers to.
    """
    about = checkpoint.pop(_KEY, None)
    if about is None:
        return checkpoint
    weights = {} if base is None else base.weights
    for path, entry in about["tensors"]:
        holder: Any = checkpoint
        for key in path[:-1]:
            holder = holder[key]
        holder[path[-1]] = _tensor(entry, weights)
    if about["lottery"] is not None:
        checkpoint["callbacks"][about["lottery"]][_REWIND] = dict(weights)
    return checkpoint


def _tensor(entry: Mapping[str, Any], weights: Mapping[str, Tensor]) -> Tensor:
    if "bits" in entry:
        return unpack_bits(entry["bits"], entry["shape"])
    parts = Parts(entry["values"], entry["rows"], entry["alive"])
    return join(parts, entry["shape"], weights.get(entry["base"]))[0]


def find_reference(path: Path) -> BaseFile | None:
    """Return the file of the run that a checkpoint in `state/` refers to; None if it refers to none.

    Raises:
        SettingError: the reference is none to a file of the run.
    """
    return reference_in(path, torch.load(path, weights_only=True, mmap=True))  # the tensors themselves are not read


def reference_in(path: Path, checkpoint: Mapping[str, Any]) -> BaseFile | None:
    """Return the file of the run that the checkpoint at `path`, with this content, refers to; None for none.

    Raises:
        SettingError: the reference is none to a file of the run.
    """
    about = checkpoint.get(_KEY)
    return find_base_file(path, about) if isinstance(about, dict) else None
