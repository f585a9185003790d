"""Measure linear mode connectivity: the line between two sets of weights, and the error barrier on it.

See: Frankle et al. 2020, https://arxiv.org/abs/1912.05671.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from lt_lightning.lottery.settings import LotteryError


def interpolate(one: Mapping[str, Tensor], other: Mapping[str, Tensor], alpha: float) -> dict[str, Tensor]:
    """Return the weights at a point on the line between two networks: (1 − alpha) · one + alpha · other.

    Both ends are exact, equal entries stay as they are, and entries that are zero in both stay zero: an average of two
    networks under one mask is under that mask. Whole numbers and booleans, such as BatchNorm's counters, are those of
    the nearer end.

    Args:
        one: the weights at `alpha` 0, by name.
        other: the weights at `alpha` 1: the same names and shapes.
        alpha: the position on the line, in [0, 1].

    Raises:
        LotteryError: the names or shapes differ, or `alpha` is outside of [0, 1].

    Examples:
        >>> interpolate({"w": torch.tensor([0.0, 4.0])}, {"w": torch.tensor([0.0, 8.0])}, 0.25)
        {'w': tensor([0., 5.])}
    """
    if not 0 <= alpha <= 1:
        raise LotteryError(f"alpha: {alpha} is not in [0, 1]; 0 is one end of the line, 1 the other")
    for name in dict.fromkeys([*one, *other]):
        shapes = [tuple(weights[name].shape) if name in weights else None for weights in (one, other)]
        if shapes[0] != shapes[1]:
            found, there = ("none" if shape is None else shape for shape in shapes)
            raise LotteryError(f"interpolate: {name!r} has shape {found} at one end and {there} at the other")
    return {name: _between(value, other[name].to(value.device), alpha) for name, value in one.items()}


def _between(one: Tensor, other: Tensor, alpha: float) -> Tensor:
    if alpha in (0, 1) or not (one.is_floating_point() or one.is_complex()):
        return (one if alpha < 0.5 else other).detach().clone()
    return torch.lerp(one.detach(), other.detach().to(one.dtype), alpha)


def line(points: int) -> list[float]:
    """Return evenly spaced positions on a line, with both ends.

    Raises:
        LotteryError: there are fewer than two.

    Examples:
        >>> line(5)
        [0.0, 0.25, 0.5, 0.75, 1.0]
    """
    if points < 2:
        raise LotteryError(f"points: {points} is too few; give at least 2, the ends")
    return [place / (points - 1) for place in range(points)]


def instability(errors: Sequence[float]) -> float:
    """Return the highest error on a line minus the mean error of its ends; NaN if an error is NaN.

    It is 0 or more, and 0 exactly if all errors are equal. Frankle et al. call networks stable below 0.02 of the error
    rate, 2 percentage points.

    Args:
        errors: the errors from one end of the line to the other, in order.

    Raises:
        LotteryError: there are fewer than two.

    Examples:
        >>> instability([0.25, 0.75, 0.5])
        0.375
    """
    if len(errors) < 2:
        raise LotteryError(f"errors: {len(errors)} are too few; give those of both ends, and of points between")
    if any(math.isnan(error) for error in errors):
        return math.nan
    return max(errors) - (errors[0] + errors[-1]) / 2
