"""Divide tensors into the units of a pattern, score the units, and take the lowest out."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lt_lightning.lottery.patterns import Block, Rows, Unstructured


@dataclass(frozen=True)
class Units:
    """A tensor divided into units of `size` entries, as a grid of (units, entries per unit).

    Attributes:
        grid: the shape (A, R, B, C) of the tensor's entries; unit (a, b) holds the entries (a, :, b, :).
        shape: the shape of the tensor.
    """

    grid: tuple[int, int, int, int]
    shape: tuple[int, ...]

    @classmethod
    def of(cls, pattern: Unstructured | Block | Rows, name: str, shape: Sequence[int]) -> Units:
        """Return the units of a parameter; raise LotteryError if its shape does not divide."""
        pattern.check(name, shape)
        shape = tuple(shape)
        if len(shape) < 2 or isinstance(pattern, Unstructured):
            return cls((math.prod(shape), 1, 1, 1), shape)
        rest = math.prod(shape[1:])
        if isinstance(pattern, Rows):
            return cls((shape[0], 1, 1, rest), shape)
        return cls((shape[0] // pattern.rows, pattern.rows, rest // pattern.columns, pattern.columns), shape)

    @property
    def count(self) -> int:
        """Return the number of units."""
        return self.grid[0] * self.grid[2]

    @property
    def size(self) -> int:
        """Return the number of entries of each unit."""
        return self.grid[1] * self.grid[3]

    def split(self, tensor: Tensor) -> Tensor:
        """Return a tensor's entries as (units, entries per unit)."""
        return tensor.reshape(self.grid).transpose(1, 2).reshape(self.count, self.size)

    def join(self, units: Tensor) -> Tensor:
        """Return a tensor in which each entry has the value of its unit, (units,)."""
        a, r, b, c = self.grid
        return units.reshape(a, 1, b, 1).expand(a, r, b, c).reshape(self.shape)

    def living(self, alive: Tensor) -> Tensor:
        """Return the number of living entries of each unit."""
        return self.split(alive).sum(dim=1)

    def score(self, pattern: Unstructured | Block | Rows, scores: Tensor, alive: Tensor) -> Tensor:
        """Return the score of each unit, in double precision where units have several entries.

        Args:
            pattern: its units score the sum of their living entries, those of `rows:l2` the root of the sum of squares.
            scores: the scores of the entries.
            alive: which of them are alive.
        """
        if self.size == 1:
            return scores.reshape(-1)
        sums = self._sums(pattern, scores, alive)
        return sums.sqrt() if _is_l2(pattern) else sums

    def mean_score(self, pattern: Unstructured | Block | Rows, scores: Tensor, alive: Tensor) -> Tensor:
        """Return the score of each unit per entry (`rows:l2`: the root of the mean square), in double precision."""
        if self.size == 1:
            return scores.reshape(-1).double()
        means = self._sums(pattern, scores, alive) / self.size
        return means.sqrt() if _is_l2(pattern) else means

    def _sums(self, pattern: Unstructured | Block | Rows, scores: Tensor, alive: Tensor) -> Tensor:
        """Return the sum of each unit's living scores, or of their squares."""
        split = self.split(scores.masked_fill(~alive, 0)).double()
        return (split.square() if _is_l2(pattern) else split).sum(dim=1)


def _is_l2(pattern: Unstructured | Block | Rows) -> bool:
    return isinstance(pattern, Rows) and pattern.norm == "l2"


def within(scores: Tensor, cost: Tensor, limit: int) -> Tensor:
    """Return which units go: the lowest scores first, ties by position, while their total cost stays within a limit.

    Args:
        scores: (units,); NaN ranks above every number.
        cost: (units,) whole numbers; units that cost nothing are no candidates.
        limit: the largest total cost.

    Examples:
        >>> within(torch.tensor([3.0, 1.0, 2.0]), torch.tensor([1, 4, 4]), 6)
        tensor([False,  True, False])
    """
    candidates = cost.nonzero().squeeze(1)
    # 0.0 is added, so that −0.0 is no lower than 0.0 wherever the sort runs.
    order = candidates[(scores[candidates] + 0.0).sort(stable=True).indices]
    gone = torch.zeros_like(cost, dtype=torch.bool)
    gone[order[cost[order].cumsum(0) <= limit]] = True
    return gone


def prune_units(
    pattern: Unstructured | Block | Rows, scores: Mapping[str, Tensor], mask: Mapping[str, Tensor], limit: int
) -> dict[str, Tensor]:
    """Prune whole units of parameters that compete, the lowest mean score first, up to `limit` entries.

    Returns:
        For each parameter of `mask` a new boolean tensor.
    """
    home = next(iter(mask.values())).device
    units = {name: Units.of(pattern, name, alive.shape) for name, alive in mask.items()}
    ranked = [units[name].mean_score(pattern, scores[name], alive).to(home) for name, alive in mask.items()]
    costs = [units[name].living(alive).to(home) for name, alive in mask.items()]
    gone = within(torch.cat(ranked), torch.cat(costs), limit).split([unit.count for unit in units.values()])
    return {
        name: alive & ~units[name].join(part).to(alive.device)
        for (name, alive), part in zip(mask.items(), gone, strict=True)
    }


def prune_count_of_units(
    pattern: Unstructured | Block | Rows, name: str, scores: Tensor, alive: Tensor, count: int
) -> Tensor:
    """Return `alive` without the `count` lowest-scoring units of those with a living entry."""
    units = Units.of(pattern, name, alive.shape)
    cost = (units.living(alive) > 0).long()
    return alive & ~units.join(within(units.score(pattern, scores, alive), cost, count))


def keep_n_of_m(m: int, stay: int, scores: Tensor, alive: Tensor) -> Tensor:
    """Return `alive` with at most `stay` living entries in each group of `m` consecutive inputs.

    The lowest scores go first, among equals the first positions; NaN ranks above every number.

    Args:
        m: the size of a group; it divides axis 1.
        stay: how many of each group stay at most.
        scores: of the shape of `alive`.
        alive: (outputs, inputs, …); tensors of one dimension are returned as they are.
    """
    if alive.ndim < 2 or stay >= m or not alive.numel():
        return alive.clone(memory_format=torch.contiguous_format)
    grouped = to_groups(alive, m)
    order = rank_in_groups(to_groups(scores, m), grouped)
    return from_groups(grouped & (order >= m - stay), alive.shape)


def to_groups(tensor: Tensor, m: int) -> Tensor:
    """Return a tensor's entries as (groups, m): groups of consecutive positions on axis 1."""
    return tensor.movedim(1, -1).reshape(-1, m)


def from_groups(groups: Tensor, shape: Sequence[int]) -> Tensor:
    """Return (groups, m) entries in the shape from which `to_groups` took them."""
    outputs, inputs, *rest = shape
    return groups.reshape(outputs, *rest, inputs).movedim(-1, 1).contiguous()


def rank_in_groups(scores: Tensor, among: Tensor) -> Tensor:
    """Return each entry's rank in its group, ascending from 0: first those not `among`, then by score and position.

    Args:
        scores: (groups, m).
        among: (groups, m) booleans.
    """
    by_score = (scores + 0.0).argsort(dim=1, stable=True)
    among_first = among.gather(1, by_score).to(torch.uint8).argsort(dim=1, stable=True)
    order = by_score.gather(1, among_first)
    return torch.empty_like(order).scatter_(
        1, order, torch.arange(scores.shape[1], device=order.device).expand_as(order)
    )
