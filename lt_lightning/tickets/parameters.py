"""The parameters of a packed ticket: living values and their places."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np

from lt_lightning.errors import shown
from lt_lightning.tickets.places import Form, pack, unpack
from lt_lightning.tickets.rounding import BITS, HALF, Codes, read_codes, round_values

_FORMS: tuple[Form, ...] = ("rice", "bits", "gaps")


@dataclass(frozen=True)
class Parameter:
    """A parameter of a network; its entries outside `places` are zero."""

    shape: tuple[int, ...]  # the shape in torch
    values: np.ndarray  # (living,) float32 or float16
    places: np.ndarray | None  # (living,) int64, in C order, ascending; None if all entries live
    prunable: bool  # whether the run's mask covers it
    codes: Codes | None = None  # what gives `values`, if they are rounded to 8 or 4 bits

    @property
    def rows(self) -> np.ndarray:
        """Return the place on the first axis of each living entry, (living,) int64."""
        places = np.arange(len(self.values)) if self.places is None else self.places
        return places // max(1, prod(self.shape[1:]))

    def rounded(self, bits: int) -> Parameter:
        """Return the parameter with float32 values rounded to 16, 8 or 4 bits; to 16 where codes take no less room.

        Raises:
            ValueError: a value is too large for float16.
        """
        codes = None if bits == HALF else round_values(self.values, self.rows, self.shape[0], bits)
        if codes is not None:
            return replace(self, values=codes.values(self.rows), codes=codes)
        with np.errstate(over="raise"):
            try:
                return replace(self, values=self.values.astype(np.float16))
            except FloatingPointError:
                raise ValueError("a weight is too large for float16") from None

    def dense(self) -> np.ndarray:
        """Return all entries as float32 of `shape`."""
        if self.places is None:
            return self.values.astype(np.float32).reshape(self.shape)
        dense = np.zeros(prod(self.shape), np.float32)
        dense[self.places] = self.values
        return dense.reshape(self.shape)

    def arrays(self, name: str) -> dict[str, np.ndarray]:
        """Return the tensors of a file that hold the parameter: its values and, if entries are dead, their places."""
        if self.codes is not None:
            values = self.codes.arrays(name)
        else:
            values = {name: self.values.reshape(self.shape if self.places is None else -1)}
        if self.places is None:
            return values
        form, packed = pack(self.places, prod(self.shape))
        return {**values, f"{name}/{form}": packed}

    @property
    def stated(self) -> dict[str, Any]:
        """Return the entry of the parameter in a file's header."""
        bits = {} if self.codes is None else {"bits": self.codes.bits}
        return {"shape": list(self.shape), "prunable": self.prunable, **bits}


def read_parameter(name: str, shape: tuple[int, ...], stated: Any, arrays: Mapping[str, np.ndarray]) -> Parameter:
    """Return a parameter of a file.

    Args:
        name: its name.
        shape: the shape that it must have.
        stated: its entry in the header.
        arrays: the tensors of the file.

    Raises:
        ValueError: the header or the tensors do not hold such a parameter.
    """
    found = stated.get("shape") if isinstance(stated, Mapping) else stated
    if not isinstance(stated, Mapping) or found != list(shape):
        raise ValueError(f"{name!a} has the shape {shown(found)}, its settings need {list(shape)}")
    values, places = arrays.get(name), read_places(name, prod(shape), arrays)
    prunable, bits = stated.get("prunable") is True, stated.get("bits")
    if bits is not None:
        if type(bits) is not int or bits not in BITS:
            raise ValueError(f"{name!a} has weights of {shown(bits)} bits, not of {' or '.join(map(str, BITS))}")
        living = prod(shape) if places is None else len(places)
        codes = read_codes(name, bits, living, shape[0], arrays)
        coded = Parameter(shape, codes.numbers, places, prunable, codes)
        with np.errstate(over="ignore"):  # checked below
            coded = replace(coded, values=codes.values(coded.rows))
        if not np.isfinite(coded.values).all():
            raise ValueError(f"{name!a} has values that are not finite")
        return coded
    if values is None or values.dtype not in (np.float32, np.float16):
        raise ValueError(f"{name!a} has no values")
    if values.shape != (shape if places is None else places.shape):
        living = list(shape) if places is None else f"{len(places):,} places"
        raise ValueError(f"{name!a} has values of shape {list(values.shape)} for {living}")
    if not np.isfinite(values).all():
        raise ValueError(f"{name!a} has values that are not finite")
    return Parameter(shape, values.reshape(-1), places, prunable)


def read_places(name: str, total: int, arrays: Mapping[str, np.ndarray]) -> np.ndarray | None:
    """Return the places of the living entries among `total`; None if the file has none of this name.

    Raises:
        ValueError: the bytes are not such places.
    """
    for form in _FORMS:
        packed = arrays.get(f"{name}/{form}")
        if packed is not None:
            if packed.dtype != np.uint8 or packed.ndim != 1:
                raise ValueError(f"{name!a} has places that are not bytes")
            try:
                return unpack(form, packed, total)
            except ValueError as error:
                raise ValueError(f"the places of {name!a}: {error}") from None
    return None
