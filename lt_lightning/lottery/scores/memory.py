"""Remember what some criteria ask for and weights do not show: the first weights, and the movement of a round."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

import torch
from torch import Tensor

from lt_lightning.lottery.criteria import Criterion
from lt_lightning.lottery.scores.scoring import asks_for
from lt_lightning.lottery.selection import all_finite


class Memory:
    """The first weights and the movement, each empty unless a criterion asks for it.

    Args:
        criterion: the criterion of a lottery.
        initial: the first weights by parameter name.

    Attributes:
        has_movement: whether the criterion asks for the movement.
        initial: the first weights by parameter name.
        movement: −Σ g ⊙ w over the steps of the round, by parameter name; empty before the first step.
    """

    def __init__(self, criterion: str | Criterion, initial: Mapping[str, Tensor] | None = None) -> None:
        self._criterion = criterion
        self._has_initial = asks_for(criterion, "initial")
        self.has_movement = asks_for(criterion, "movement")
        self.initial = dict(initial or {})
        self.movement: dict[str, Tensor] = {}

    def start(self, params: Mapping[str, Tensor]) -> None:
        """Remember these weights as the first ones."""
        if self._has_initial:
            self.initial = {name: param.detach().clone() for name, param in params.items()}

    def renewed(self, params: Mapping[str, Tensor]) -> Memory:
        """Return the memory of the next round; weights that are new since the first begin with it."""
        new = {name: param.detach().clone() for name, param in params.items() if name not in self.initial}
        return Memory(self._criterion, {**self.initial, **new} if self._has_initial else None)

    @torch.no_grad()
    def add_step(self, params: Mapping[str, Tensor], stepping: Collection[Tensor] | None = None) -> None:
        """Add the movement of an optimizer step that is about to be taken, from the parameters' gradients.

        A step whose gradients are not finite, which a gradient scaler skips, is not added.

        Args:
            params: the prunable parameters.
            stepping: the parameters of the optimizer; None for all.
        """
        own = None if stepping is None else {id(param) for param in stepping}
        grads = {
            name: param.grad
            for name, param in params.items()
            if param.grad is not None and (own is None or id(param) in own)
        }
        finite = all_finite(grads.values())
        # On a GPU the answer stays on the device, so that the host need not wait for it in each step.
        waits = finite.device.type == "cpu" or any(grad.is_sparse for grad in grads.values())
        if waits and not finite:
            return
        for name, param in params.items():
            if name not in self.movement:
                kind = torch.promote_types(param.dtype, torch.float32)
                self.movement[name] = torch.zeros(param.shape, dtype=kind, device=param.device)
        for name, grad in grads.items():
            product = grad * params[name]
            self.movement[name].sub_(product if waits else product.masked_fill(~finite.to(product.device), 0))

    def sources(self, params: Mapping[str, Tensor]) -> dict[str, Callable[[], Any]]:
        """Return what a criterion asks for, as `compute_scores` takes it: of parameters without a past, no movement."""
        found: dict[str, Callable[[], Any]] = {}
        if self.initial:
            found["initial"] = lambda: {name: self.initial.get(name, param.detach()) for name, param in params.items()}
        if self.movement:
            found["movement"] = lambda: {
                name: self.movement.get(name, torch.zeros_like(param)) for name, param in params.items()
            }
        return found

    def state_dict(self) -> dict[str, dict[str, Tensor]]:
        """Return what is remembered, on the CPU."""
        parts = {"initial": self.initial, "movement": self.movement}
        return {key: {name: one.cpu() for name, one in part.items()} for key, part in parts.items() if part}

    def load_state_dict(self, state: Mapping[str, Mapping[str, Tensor]]) -> None:
        """Load what `state_dict` returned."""
        self.initial, self.movement = dict(state.get("initial", {})), dict(state.get("movement", {}))

    def move_beside(self, params: Mapping[str, Tensor]) -> None:
        """Move everything to the devices of the parameters."""
        for part in (self.initial, self.movement):
            part.update({name: one.to(params[name].device) for name, one in part.items() if name in params})
