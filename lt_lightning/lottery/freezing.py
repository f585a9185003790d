"""Keeping pruned entries at exactly zero while an optimizer works."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn, optim

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


@runtime_checkable
class SkipsPruned(Protocol):
    """A module, or an optimizer, that does less where it is told that entries are pruned.

    A module has a method `skip_pruned(alive)` with boolean tensors by the names of its own parameters, or None to leave
    nothing out any more; an optimizer has one with boolean tensors by parameter, and moves no pruned entry then. Both
    may rely on pruned entries being zero.
    """

    def skip_pruned(self, alive: Any) -> None:
        """Leave pruned entries out from now on."""


class Freezer:
    """Holds the pruned entries of one module still for one round.

    A mask is laid out once as bits, all set for a living entry and none for a pruned one, where its parameter is. A
    step then costs one bitwise AND a parameter, in place, and nothing goes through the host. Unlike a product it
    makes zeros of infinities and NaN as well. Parameters without a pruned entry cost nothing.

    Args:
        params: the prunable parameters by name.
        mask: which of their entries are alive.
    """

    def __init__(self, params: Mapping[str, Tensor], mask: Mask) -> None:
        pruned = [name for name, alive in mask.counts.items() if alive < mask[name].numel()]
        self._alive = {name: mask[name] for name in pruned}
        self._params = [params[name] for name in pruned]
        self._bits = [_as_bits(mask[name].to(params[name].device), params[name]) for name in pruned]

    @torch.no_grad()
    def freeze_gradients(self) -> None:
        """Set the gradients of the pruned entries to zero; call it before gradients are clipped."""
        for param, bits in zip(self._params, self._bits, strict=True):
            if param.grad is None:
                continue
            if param.grad.is_sparse:
                param.grad = _masked_sparse(param.grad, bits)
            else:
                _keep(param.grad, bits)

    @torch.no_grad()
    def freeze_weights(self) -> None:
        """Set the pruned entries themselves to zero."""
        for param, bits in zip(self._params, self._bits, strict=True):
            _keep(param.detach(), bits)

    @torch.no_grad()
    def freeze_moments(self, optimizer: optim.Optimizer) -> None:
        """Forget what `optimizer` remembers of the pruned entries, which would go on moving them."""
        for param, bits in zip(self._params, self._bits, strict=True):
            for name, moment in optimizer.state.get(param, {}).items():
                if name == "step" or not isinstance(moment, Tensor) or moment.shape != bits.shape:
                    continue
                if moment.is_sparse:
                    moment.mul_((bits != 0).to(moment.dtype))
                else:
                    moment.masked_fill_(bits == 0, 0)  # its type may differ from the parameter's

    def tell(self, module: nn.Module, *, over: bool = False) -> None:
        """Let the parts of `module` that can (`SkipsPruned`) leave pruned entries out, until the round is over.

        Args:
            module: the one whose parameters these are, by the names that it gives them.
            over: that it is over: weights may change now.
        """
        for prefix, part in module.named_modules():
            if isinstance(part, SkipsPruned):
                begin = f"{prefix}." if prefix else ""
                names = [name for name in self._alive if name.startswith(begin)]
                part.skip_pruned(None if over else {name[len(begin) :]: self._alive[name] for name in names})

    def watch(self, optimizers: Iterable[optim.Optimizer]) -> list[torch.utils.hooks.RemovableHandle]:
        """Make `optimizers` leave the pruned entries at zero after each of their steps.

        One that skips pruned entries by itself (`SkipsPruned`) is told which they are.

        Returns:
            Handles; `remove()` each when the round is over.
        """
        handles = []
        for optimizer in optimizers:
            self.freeze_moments(optimizer)
            if isinstance(optimizer, SkipsPruned):
                optimizer.skip_pruned(dict(zip(self._params, self._alive.values(), strict=True)))
            elif self._params and not _keeps_zeros(optimizer):
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


def _as_bits(alive: Tensor, like: Tensor) -> Tensor:
    """A mask as integers as wide as the numbers of `like`: −1, all bits, for a living entry, and 0 for a pruned one."""
    width = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}[like.element_size()]
    return alive.to(width).neg_()


def _keep(numbers: Tensor, bits: Tensor) -> None:
    """Set to zero, in place, the numbers whose bits are 0."""
    numbers.view(bits.dtype).bitwise_and_(bits)


def _masked_sparse(grad: Tensor, bits: Tensor) -> Tensor:
    """The sparse gradient `grad`, as of an embedding with `sparse=True`, with its pruned entries at zero."""
    grad = grad.coalesce()
    places = grad.indices()
    # A mask of rows is a copy of whole rows; the values are changed themselves.
    _keep(grad.values(), bits.index_select(0, places[0]) if len(places) == 1 else bits[tuple(places)])
    return grad
