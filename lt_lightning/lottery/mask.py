"""Define the mask: which entries of which parameters are alive."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from os import PathLike

import torch
from torch import Tensor

from lt_lightning.lottery.settings import LotteryError


class Mask(Mapping[str, Tensor]):
    """A boolean tensor for each prunable parameter by name, of its shape; True = alive.

    A mask is immutable; pruning returns a new one.

    Raises:
        TypeError: if a tensor is not boolean, or a name no string.
        LotteryError: if a name is empty.

    Examples:
        >>> mask = Mask({"weight": torch.tensor([True, False, True, True])})
        >>> mask.alive, mask.total, mask.sparsity
        (3, 4, 0.25)
    """

    __hash__ = None  # pyright: ignore[reportAssignmentType]

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        for name, tensor in tensors.items():
            if not isinstance(name, str):
                raise TypeError(f"a mask names parameters by strings, not {name!r}")
            if not name:
                raise LotteryError("a mask needs the name of a parameter for each tensor, but one name is empty")
            if not isinstance(tensor, Tensor) or tensor.dtype != torch.bool:
                kind = tensor.dtype if isinstance(tensor, Tensor) else type(tensor).__name__
                raise TypeError(f"mask of {name!r} must be a boolean tensor, not {kind}")
        self._tensors = dict(tensors)

    @classmethod
    def ones(cls, params: Mapping[str, Tensor] | Iterable[tuple[str, Tensor]]) -> Mask:
        """Return a mask in which every entry is alive; `module.named_parameters()` will do as `params`."""
        return cls({name: torch.ones_like(param, dtype=torch.bool) for name, param in dict(params).items()})

    def __getitem__(self, name: str) -> Tensor:
        return self._tensors[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._tensors)

    def __len__(self) -> int:
        return len(self._tensors)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Mask):
            return NotImplemented
        return self.keys() == other.keys() and all(
            torch.equal(self[name], other[name].to(self[name].device)) for name in self
        )

    def __repr__(self) -> str:
        return f"Mask({len(self)} parameters, {self.alive:,} of {self.total:,} alive)"

    @cached_property
    def counts(self) -> Mapping[str, int]:
        """Return the number of living entries by parameter name."""
        if not self:
            return {}
        home = next(iter(self.values())).device
        # One transfer for all tensors; summing booleans takes ten times as long.
        counts = torch.stack([tensor.count_nonzero().to(home) for tensor in self.values()])
        return dict(zip(self, counts.tolist(), strict=True))

    @property
    def alive(self) -> int:
        """Return the number of living entries."""
        return sum(self.counts.values())

    @property
    def total(self) -> int:
        """Return the number of prunable entries, living or pruned."""
        return sum(tensor.numel() for tensor in self.values())

    @property
    def sparsity(self) -> float:
        """Return the share of pruned entries, in [0, 1]; 0 for an empty mask."""
        return 1 - self.alive / self.total if self.total else 0.0

    @property
    def collapsed(self) -> list[str]:
        """Return the names of the tensors of two or more dimensions that have entries, and none alive."""
        return [
            name for name, alive in self.counts.items() if not alive and self[name].dim() > 1 and self[name].numel()
        ]

    def is_subset_of(self, other: Mask) -> bool:
        """Return whether every living entry is alive in `other`."""
        return self.keys() == other.keys() and all(not (self[name] & ~other[name]).any() for name in self)

    @torch.no_grad()
    def apply_(self, params: Mapping[str, Tensor] | Iterable[tuple[str, Tensor]]) -> None:
        """Set the pruned entries of `params` to 0.0, in place; other parameters are ignored.

        Raises:
            LotteryError: if a parameter that the mask names is missing or has another shape.
        """
        params = dict(params)
        for name, tensor in self.items():
            if name not in params:
                raise LotteryError(f"the mask names the parameter {name!r}, which the module does not have")
            if params[name].shape != tensor.shape:
                shapes = f"{tuple(tensor.shape)}, the parameter {tuple(params[name].shape)}"
                raise LotteryError(f"the mask of {name!r} has shape {shapes}: they are of different models")
            keep_living(params[name], as_bits(tensor.to(params[name].device), params[name]))

    def to(self, device: torch.device | str) -> Mask:
        """Return the mask on another device."""
        return Mask({name: tensor.to(device) for name, tensor in self.items()})

    def beside(self, params: Mapping[str, Tensor]) -> Mask:
        """Return the mask on the devices of `params`; raise LotteryError if a parameter is missing."""
        missing = [name for name in self if name not in params]
        if missing:
            raise LotteryError(
                f"the mask names the parameter {missing[0]!r}, which the module no longer has: use the same module in "
                "all rounds"
            )
        return Mask({name: alive.to(params[name].device) for name, alive in self.items()})

    def extended(self, params: Mapping[str, Tensor]) -> Mask:
        """Return the mask with those of `params` that it does not name, all alive."""
        new = {name: param for name, param in params.items() if name not in self}
        return Mask({**self, **Mask.ones(new)}) if new else self

    def save(self, path: str | PathLike[str]) -> None:
        """Write the mask to a file that `load` reads."""
        torch.save({name: tensor.cpu() for name, tensor in self.items()}, path)

    @classmethod
    def load(cls, path: str | PathLike[str]) -> Mask:
        """Read a mask from a file; nothing in the file is executed (`weights_only`).

        Raises:
            LotteryError: if the file is not a mask that `save` wrote.
        """
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # torch warns about other programs' pickles
                return cls(torch.load(path, map_location="cpu", weights_only=True))
        except OSError:
            raise
        except Exception as error:  # the unpickler may raise anything
            raise LotteryError(f"{path}: not a mask that Mask.save wrote; make it again") from error


_INTEGERS = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
"""Integers by their width in bytes."""


def as_bits(alive: Tensor, like: Tensor) -> Tensor:
    """Return a mask as bytes: −1 (all bits) if alive, else 0; `keep_living` extends them to the width of numbers.

    If `like` is complex, whose numbers are pairs, the result has a last dimension of size 1 for both.
    """
    return (alive.unsqueeze(-1) if like.is_complex() else alive).view(torch.int8).neg()


def keep_living(numbers: Tensor, bits: Tensor) -> None:
    """Set to zero, in place, the numbers whose bits are 0."""
    numbers = torch.view_as_real(numbers) if numbers.is_complex() else numbers
    numbers.view(_INTEGERS[numbers.element_size()]).bitwise_and_(bits)
