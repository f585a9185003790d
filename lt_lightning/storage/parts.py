"""Store a tensor as its difference from a base, exact to the bit: living entries alone, changed rows alone.

A tensor is rebuilt in three steps: begin with the base, or with zeros; set the entries that do not live to zero; write
the stored values to the living entries of the changed rows, or of all rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

_INTEGERS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
"""The integer type of each size of an entry in bytes: as integers, -0.0 differs from 0.0 and NaN equals itself."""
_BYTES_OF_ROW_NUMBER = 4


class Parts(NamedTuple):
    """The stored parts of a tensor.

    Attributes:
        values: the living entries of the changed rows in C order, (count,); or the whole tensor in its own shape, whose
            entries are then taken as they are. None if nothing differs from the base.
        rows: the indices of the changed rows, (rows,) int32, ascending; None for all rows.
        alive: the living entries as bits, (ceil(entries / 8),) uint8, lowest bit first; None if all live.
    """

    values: Tensor | None
    rows: Tensor | None
    alive: Tensor | None

    @property
    def uses_base(self) -> bool:
        """Return whether the tensor cannot be rebuilt without the base."""
        return self.values is None or self.rows is not None


def split(tensor: Tensor, alive: Tensor | None = None, base: Tensor | None = None) -> Parts:
    """Return the parts from which `join` rebuilds a tensor to the bit.

    Args:
        tensor: any dense tensor.
        alive: the living entries, a boolean tensor of its shape; None if all live. Entries that do not live may have
            any value, but only zeros are left out.
        base: a tensor that may equal it in part; ignored if it has another shape or type.
    """
    tensor = tensor.detach().cpu().contiguous()
    alive = None if alive is None or bool(alive.all()) else alive.detach().cpu().contiguous()
    bits = None if alive is None else pack_bits(alive)
    kind = _INTEGERS.get(tensor.element_size())
    if kind is None:
        return Parts(tensor, None, bits)
    numbers = tensor.view(kind)
    if alive is not None and numbers.masked_fill(alive, 0).any():
        return Parts(tensor, None, bits)  # such as -0.0
    if base is not None and base.shape == tensor.shape and base.dtype == tensor.dtype:
        same = base.detach().cpu().contiguous().view(kind)
        changed = numbers != (same if alive is None else same.masked_fill(~alive, 0))
        if not changed.any():
            return Parts(None, None, bits)
        if tensor.ndim:
            rows = changed.reshape(len(tensor), -1).any(1).nonzero().reshape(-1)
            values = _living(numbers[rows], None if alive is None else alive[rows])
            whole = tensor.numel() if alive is None else int(alive.sum())
            if tensor.element_size() * (whole - values.numel()) > _BYTES_OF_ROW_NUMBER * len(rows):
                return Parts(values.view(tensor.dtype), rows.int(), bits)
    if alive is None:
        return Parts(tensor, None, None)
    return Parts(_living(numbers, alive).view(tensor.dtype), None, bits)


def join(parts: Parts, shape: Sequence[int], base: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
    """Rebuild a tensor from its parts; return it and its living entries, None if all live.

    Raises:
        ValueError: the parts do not fit the shape, or there is no base of this shape though they need one.
    """
    shape, values, rows = tuple(shape), parts.values, parts.rows
    alive = None if parts.alive is None else unpack_bits(parts.alive, shape)
    if values is not None and rows is None and tuple(values.shape) == shape:
        return values, alive
    if parts.uses_base:
        if base is None or tuple(base.shape) != shape:
            raise ValueError("they refer to a base that does not have it in this shape")
        kind = base.dtype
    else:
        assert values is not None
        kind = values.dtype
    whole = _INTEGERS.get(kind.itemsize)
    if whole is None or (values is not None and (values.dtype != kind or values.ndim != 1)):
        raise ValueError("its values have another type or shape")
    if not parts.uses_base:
        _check_count(values, prod(shape) if alive is None else int(alive.sum()))
        numbers = torch.zeros(shape, dtype=whole)
    else:
        assert base is not None
        numbers = base.detach().cpu().contiguous().view(whole).clone()
        if alive is not None:
            numbers.masked_fill_(~alive, 0)
    if values is not None:
        within = numbers if rows is None else numbers[_checked(rows, shape)]
        places = torch.ones_like(within, dtype=torch.bool) if alive is None else alive if rows is None else alive[rows]
        _check_count(values, int(places.sum()))
        within[places] = values.contiguous().view(whole)
        if rows is not None:
            numbers[rows] = within
    return numbers.view(kind), alive


def bits_set(tensor: Tensor) -> Tensor | None:
    """Return which entries of a contiguous tensor are not 0 to the bit, as -0.0 is not; None for types of 16 bytes."""
    kind = _INTEGERS.get(tensor.element_size())
    return None if kind is None else tensor.detach().view(kind) != 0


def _living(numbers: Tensor, alive: Tensor | None) -> Tensor:
    return numbers.reshape(-1) if alive is None else numbers[alive]


def _checked(rows: Tensor, shape: tuple[int, ...]) -> Tensor:
    """Return the indices of rows after checking that they are ascending and inside the shape."""
    if rows.dtype != torch.int32 or rows.ndim != 1 or not shape:
        raise ValueError("its rows are no list of numbers")
    if len(rows) and (rows[0] < 0 or rows[-1] >= shape[0] or bool((rows[1:] <= rows[:-1]).any())):
        raise ValueError("its rows are not in order, or outside of it")
    return rows


def _check_count(values: Tensor | None, count: int) -> None:
    if values is None or values.numel() != count:
        raise ValueError(f"it has {0 if values is None else values.numel():,} values for {count:,} entries")


def pack_bits(alive: Tensor) -> Tensor:
    """Return a boolean tensor as bits, lowest first: (ceil(entries / 8),) uint8.

    >>> pack_bits(torch.tensor([[True, False], [False, True]]))
    tensor([9], dtype=torch.uint8)
    """
    return torch.from_numpy(np.packbits(alive.detach().cpu().reshape(-1).numpy(), bitorder="little"))


def unpack_bits(bits: Tensor, shape: Sequence[int]) -> Tensor:
    """Return the boolean tensor of a shape that `pack_bits` packed.

    Raises:
        ValueError: the bits are not those of such a shape.
    """
    count = prod(shape)
    if bits.dtype != torch.uint8 or tuple(bits.shape) != ((count + 7) // 8,):
        raise ValueError("its mask has another size")
    every = np.unpackbits(bits.numpy(), bitorder="little")
    if every[count:].any():
        raise ValueError("its mask has bits behind the last entry")
    return torch.from_numpy(every[:count].astype(bool)).reshape(tuple(shape))
