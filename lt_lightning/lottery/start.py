"""Start a lottery from a mask and weights instead of the whole network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from lt_lightning.lottery.mask import Mask
from lt_lightning.lottery.rewinding import named_state, restore
from lt_lightning.lottery.settings import LotteryError


@dataclass(frozen=True)
class Start:
    """The mask and weights of round 0, such as a ticket of another run.

    Attributes:
        mask: the living entries of some of the prunable parameters; others are all alive.
        weights: first values of some parameters and buffers by name; others keep their values.

    Raises:
        LotteryError: if `mask` is not a mask or a mapping of boolean tensors, or weights are not finite tensors.
    """

    mask: Mask
    weights: Mapping[str, Tensor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "mask", _as_mask(self.mask))
        if not isinstance(self.weights, Mapping):
            raise LotteryError(f"start: weights are tensors by name, not {type(self.weights).__name__}")
        for name, value in self.weights.items():
            if not isinstance(value, Tensor):
                raise LotteryError(f"start: the weight of {name!r} must be a tensor, not {type(value).__name__}")
            if not value.isfinite().all():
                raise LotteryError(f"start: the weight of {name!r} has values that are not finite")

    def check(self, module: nn.Module, params: Mapping[str, nn.Parameter]) -> None:
        """Raise LotteryError if the mask or the weights do not fit `module`, of which `params` are pruned."""
        for name, alive in self.mask.items():
            if name not in params:
                raise LotteryError(
                    f"start: the mask names {name!r}, which is none of the parameters that are pruned: "
                    f"{', '.join(params)}; leave it out, or prune it"
                )
            _require_shape("mask", name, alive, params[name])
        there = dict(named_state(module))
        for name, value in self.weights.items():
            if name not in there:
                raise LotteryError(f"start: there are weights of {name!r}, which the module does not have")
            _require_shape("weight", name, value, there[name])

    @torch.no_grad()
    def begin_(self, module: nn.Module, params: Mapping[str, nn.Parameter]) -> Mask:
        """Write these weights times this mask into `module`, and return the mask of all `params` on their devices."""
        restore(module, self.weights)
        whole, own = Mask.ones(params), {name: alive.to(params[name].device) for name, alive in self.mask.items()}
        mask = Mask({**whole, **own})
        mask.apply_(params)
        return mask


def _as_mask(given: object) -> Mask:
    if isinstance(given, Mask):
        return given
    if not isinstance(given, Mapping):
        raise LotteryError(f"start: give a Mask, or boolean tensors by parameter name, not {type(given).__name__}")
    try:
        return Mask(given)
    except TypeError as error:
        raise LotteryError(f"start: {error}") from None


def _require_shape(what: str, name: str, given: Tensor, there: Tensor) -> None:
    if given.shape != there.shape:
        shapes = f"{tuple(given.shape)}, the module's {tuple(there.shape)}"
        raise LotteryError(f"start: the {what} of {name!r} has shape {shapes}: they are of different models")
