"""Keeping pruned entries at exactly zero while an optimizer works."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, optim

from lt_lightning.lottery.mask import Mask

# A zero weight with a zero gradient and zero moments stays exactly zero under these, weight decay included; whatever
# else comes along (Muon mixes whole rows, say) has its pruned weights put back to zero after each step.
_KEEPS_ZEROS = frozenset(
    {
        optim.SGD,
        optim.Adam,
        optim.AdamW,
        optim.Adamax,
        optim.NAdam,
        optim.RAdam,
        optim.RMSprop,
        optim.Adagrad,
        optim.Adadelta,
    }
)


class Freezer:
    """Holds the pruned entries of one module still for one round.

    Masks are laid out once as numbers of the parameters' type, where the parameters are, so that a step costs one
    multi-tensor multiplication and nothing goes through the host. Parameters without a pruned entry cost nothing.

    Args:
        params: the prunable parameters by name.
        mask: which of their entries are alive.
    """

    def __init__(self, params: Mapping[str, Tensor], mask: Mask) -> None:
        pruned = [name for name, alive in mask.counts.items() if alive < mask[name].numel()]
        self._params = [params[name] for name in pruned]
        self._masks = [mask[name].to(params[name].device, params[name].dtype) for name in pruned]

    @torch.no_grad()
    def freeze_gradients(self) -> None:
        """Set the gradients of the pruned entries to zero; call it before gradients are clipped."""
        dense: list[Tensor] = []
        masks: list[Tensor] = []
        for param, mask in zip(self._params, self._masks, strict=True):
            if param.grad is None:
                continue
            if param.grad.is_sparse:
                param.grad = _masked_sparse(param.grad, mask)
            else:
                dense.append(param.grad)
                masks.append(mask)
        if dense:
            torch._foreach_mul_(dense, masks)  # pyright: ignore[reportPrivateImportUsage]

    @torch.no_grad()
    def freeze_weights(self) -> None:
        """Set the pruned entries themselves to zero, even those that are not finite."""
        for param, mask in zip(self._params, self._masks, strict=True):
            param.masked_fill_(mask == 0, 0)

    @torch.no_grad()
    def freeze_moments(self, optimizer: optim.Optimizer) -> None:
        """Forget what `optimizer` remembers of the pruned entries, which would go on moving them."""
        for param, mask in zip(self._params, self._masks, strict=True):
            for moment in optimizer.state.get(param, {}).values():
                if isinstance(moment, Tensor) and moment.shape == mask.shape:
                    moment.mul_(mask)

    def watch(self, optimizers: Iterable[optim.Optimizer]) -> list[torch.utils.hooks.RemovableHandle]:
        """Make `optimizers` leave the pruned entries at zero after each of their steps.

        Returns:
            Handles; `remove()` each when the round is over.
        """
        handles = []
        for optimizer in optimizers:
            self.freeze_moments(optimizer)
            if self._params and not _keeps_zeros(optimizer):
                handles.append(optimizer.register_step_post_hook(lambda *_: self.freeze_weights()))
        return handles


def _keeps_zeros(optimizer: optim.Optimizer) -> bool:
    """Whether `optimizer` moves no zero by itself.

    Those that divide by their moments add ε, which is nothing in half precision (1e-8 is): 0 / 0 is not a number.
    """
    return type(optimizer) in _KEEPS_ZEROS and all(
        torch.tensor(group.get("eps", 1.0), dtype=param.dtype) > 0
        for group in optimizer.param_groups
        for param in group["params"]
    )


def _masked_sparse(grad: Tensor, mask: Tensor) -> Tensor:
    """The sparse gradient `grad`, as of an embedding with `sparse=True`, with its pruned entries at zero."""
    grad = grad.coalesce()
    grad.values().mul_(mask[tuple(grad.indices())])  # the values themselves, not a copy
    return grad
