"""Lay out a ticket's weights and masks as the tensors of its file, and rebuild them.

The parameter or buffer NAME has up to three tensors, the `storage.parts` of it: `values/NAME`, `rows/NAME` and
`mask/NAME`. `docs/runs.md` describes them, with a program that reads them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from lt_lightning.lottery import Mask
from lt_lightning.runs.masks import MASK
from lt_lightning.storage.parts import Parts, join, split

_VALUES, _ROWS = "values/", "rows/"
_PREFIXES = (_VALUES, _ROWS, MASK)  # in the order of `Parts`
_MOST_DIMENSIONS, _LARGEST = 64, 1 << 48


def lay_out(
    weights: Mapping[str, Tensor], mask: Mapping[str, Tensor], base: Mapping[str, Tensor]
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return the tensors of a ticket's file, and what its content tells of each parameter and buffer.

    Args:
        weights: the parameters and buffers by name.
        mask: the living entries of the prunable ones.
        base: the weights that the file may refer to; empty if none.
    """
    tensors, about = {}, {}
    for name, weight in weights.items():
        parts = split(weight, mask.get(name), base.get(name))
        stored = zip(_PREFIXES, parts, strict=True)
        tensors |= {prefix + name: part for prefix, part in stored if part is not None}
        about[name] = {"shape": list(weight.shape), "prunable": name in mask, "base": parts.uses_base}
    return tensors, about


def rebuild(
    tensors: Mapping[str, Tensor], about: Any, base: Mapping[str, Tensor]
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Return the weights and the masks that `lay_out` laid out.

    Args:
        tensors: the tensors of the file.
        about: what its content tells of each parameter and buffer.
        base: the weights that it refers to.

    Raises:
        ValueError: the tensors, the content and the base do not agree; the message names the parameter.
    """
    weights, masks, left = {}, {}, dict(tensors)
    if not isinstance(about, dict):
        raise ValueError("it does not tell of its parameters")
    for name, one in about.items():
        try:
            shape = _shape(one)
            parts = Parts(*(left.pop(prefix + name, None) for prefix in _PREFIXES))
            if parts.uses_base != one["base"] or (parts.alive is not None and not one["prunable"]):
                raise ValueError("it says otherwise")
            weights[name], alive = join(parts, shape, base.get(name))
        except (ValueError, RuntimeError, OverflowError) as error:
            raise ValueError(f"the parts of {name!a} do not agree ({str(error).splitlines()[0]})") from None
        if one["prunable"]:
            masks[name] = Mask.ones({name: weights[name]})[name] if alive is None else alive
    if left:
        raise ValueError(f"{min(left)!a} belongs to no parameter")
    return weights, masks


def _shape(about: Any) -> list[int]:
    shape = about.get("shape") if isinstance(about, dict) else None
    if not isinstance(shape, list) or len(shape) > _MOST_DIMENSIONS:
        raise ValueError("it has no shape")
    if not all(type(size) is int and 0 <= size <= _LARGEST for size in shape):
        raise ValueError("its shape is none")
    if not all(isinstance(about.get(key), bool) for key in ("prunable", "base")):
        raise ValueError("it does not tell what is stored")
    return shape
