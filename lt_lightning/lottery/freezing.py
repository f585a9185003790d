"""Keeping pruned entries at exactly zero while an optimizer works."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn, optim

from lt_lightning.lottery.mask import Mask
from lt_lightning.lottery.settings import LotteryError

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
    may rely on pruned entries being zero, and write the parameters through autograd's view of them alone, so that
    their version counters count each write.
    """

    def skip_pruned(self, alive: Any) -> None:
        """Leave pruned entries out from now on."""


class Freezer:
    """Holds the pruned entries of one module still for one round.

    A mask is laid out once as bits, all set for a living entry and none for a pruned one, where its parameter is. A
    step then costs a few bitwise ANDs a parameter, in place, and nothing goes through the host. Unlike a product it
    makes zeros of infinities and NaN as well. Parameters without a pruned entry cost nothing.

    Args:
        params: the prunable parameters by name.
        mask: which of their entries are alive.

    Attributes:
        steps: the optimizer steps taken under `watch`.
    """

    def __init__(self, params: Mapping[str, Tensor], mask: Mask) -> None:
        pruned = [name for name, alive in mask.counts.items() if alive < mask[name].numel()]
        self.steps = 0
        self._alive = {name: mask[name] for name in pruned}
        self._params = [params[name] for name in pruned]
        self._bits = [_as_bits(mask[name].to(params[name].device), params[name]) for name in pruned]
        # The versions of the parameters that are written through autograd's view alone, by their positions.
        self._versions: dict[int, int] = {}

    @torch.no_grad()
    def freeze_gradients(self) -> None:
        """Set the gradients of the pruned entries to zero; call it before gradients are clipped."""
        for param, bits in zip(self._params, self._bits, strict=True):
            if param.grad is None:
                continue
            param.grad = _masked(param.grad, bits)

    @torch.no_grad()
    def freeze_weights(self, *, written: bool = False) -> None:
        """Set the pruned entries themselves to zero.

        Args:
            written: leave out the parameters of `SkipsPruned` code that have not been written since the last call.
                All others are always set, as a write to `param.data` leaves no trace.
        """
        for index, (param, bits) in enumerate(zip(self._params, self._bits, strict=True)):
            if written and self._versions.get(index) == param._version:
                continue
            # As zeros are written over zeros, a loss that was computed before keeps its gradient: autograd need not
            # know.
            _keep(param.data, bits)
            if index in self._versions:
                self._versions[index] = param._version

    @torch.no_grad()
    def freeze_moments(self, optimizer: optim.Optimizer) -> None:
        """Forget what `optimizer` remembers of the pruned entries, which would go on moving them."""
        state = getattr(optimizer, "state", None)
        if not isinstance(state, Mapping):
            return  # an optimizer that is not torch's may keep its state elsewhere; its weights are put back
        for param, bits in zip(self._params, self._bits, strict=True):
            moments = state.get(param, {})
            for name, moment in moments.items() if isinstance(moments, Mapping) else ():
                if name == "step" or not isinstance(moment, Tensor) or moment.shape != param.shape:
                    continue
                pruned = (bits == 0).view(moment.shape)
                if moment.is_sparse:
                    moment.mul_(pruned.logical_not().to(moment.dtype))
                else:
                    moment.masked_fill_(pruned.to(moment.device), 0)  # its type may differ from the parameter's

    def tell(self, module: nn.Module, *, over: bool = False) -> None:
        """Let the parts of `module` that can (`SkipsPruned`) leave pruned entries out, until the round is over.

        Args:
            module: the one whose parameters these are, by the names that it gives them.
            over: that it is over: weights may change now.
        """
        places = {name: index for index, name in enumerate(self._alive)}
        for prefix, part in module.named_modules():
            if isinstance(part, SkipsPruned):
                begin = f"{prefix}." if prefix else ""
                names = [name for name in self._alive if name.startswith(begin)]
                part.skip_pruned(None if over else {name[len(begin) :]: self._alive[name] for name in names})
                for name in names:
                    self._versions[places[name]] = self._params[places[name]]._version

    def watch(self, optimizers: Iterable[optim.Optimizer]) -> list[Handle]:
        """Make `optimizers` leave the pruned entries at zero after each of their steps, and count the steps.

        One that skips pruned entries by itself (`SkipsPruned`) is told which they are. As a step begins, the pruned
        entries are set to zero, too: Lightning computes the loss inside of it, after all hooks of the module.

        Returns:
            Handles; `remove()` each when the round is over.

        Raises:
            LotteryError: if an optimizer has no hooks and does not let its `step` be replaced.
        """
        handles = []
        for optimizer in optimizers:
            self.freeze_moments(optimizer)
            keeps = _keeps_zeros(optimizer)
            if isinstance(optimizer, SkipsPruned):
                keeps = True
                optimizer.skip_pruned(dict(zip(self._params, self._alive.values(), strict=True)))
                self._versions.update(
                    (index, param._version)
                    for index, param in enumerate(self._params)
                    if any(param is one for group in optimizer.param_groups for one in group["params"])
                )

            def before() -> None:
                self.freeze_weights(written=True)

            def after(keeps: bool = keeps) -> None:
                self.steps += 1
                if keeps:
                    self._versions.update((index, self._params[index]._version) for index in self._versions)
                self.freeze_weights(written=True)

            handles.extend(_hook_step(optimizer, before, after))
        return handles

    def watch_gradients(self) -> list[Handle]:
        """Freeze each gradient as soon as it is there, for code that clips and steps without telling.

        Returns:
            Handles; `remove()` each when the round is over.
        """

        def hook(bits: Tensor) -> Callable[[Tensor], None]:
            @torch.no_grad()
            def freeze(param: Tensor) -> None:
                if param.grad is not None:
                    param.grad = _masked(param.grad, bits)

            return freeze

        return [
            param.register_post_accumulate_grad_hook(hook(bits))
            for param, bits in zip(self._params, self._bits, strict=True)
            if param.requires_grad
        ]


class Handle(Protocol):
    """A hook that can be removed."""

    def remove(self) -> None:
        """End it."""


def _hook_step(optimizer: optim.Optimizer, before: Callable[[], None], after: Callable[[], None]) -> list[Handle]:
    """Call functions before and after each step of an optimizer, also of one that is not torch's."""
    try:
        return [
            optimizer.register_step_pre_hook(lambda *_: before()),
            optimizer.register_step_post_hook(lambda *_: after()),
        ]
    except AttributeError:  # a wrapper, or a subclass that does not initialise its base
        return [_ReplacedStep(optimizer, before, after)]


class _ReplacedStep:
    """Stands in for the method `step` of an object that has no hooks."""

    def __init__(self, optimizer: Any, before: Callable[[], None], after: Callable[[], None]) -> None:
        step = optimizer.step
        self._optimizer, self._own = optimizer, getattr(optimizer, "__dict__", {}).get("step")

        def hooked(*arguments: Any, **named: Any) -> Any:
            before()
            result = step(*arguments, **named)
            after()
            return result

        try:
            optimizer.step = hooked
        except AttributeError:
            raise LotteryError(
                f"optimizer: {type(optimizer).__name__} has no hooks and a step that cannot be replaced, so nothing "
                "would keep pruned weights at zero; make it a torch.optim.Optimizer"
            ) from None

    def remove(self) -> None:
        if self._own is None:
            del self._optimizer.step
        else:
            self._optimizer.step = self._own


def _keeps_zeros(optimizer: optim.Optimizer) -> bool:
    """Return whether `optimizer` moves no zero by itself.

    Those that divide by their moments add ε, which is nothing in half precision (1e-8 is): 0 / 0 is not a number.
    """
    return type(optimizer) in _KEEPS_ZEROS and all(
        torch.tensor(group.get("eps", 1.0), dtype=param.dtype).abs() > 0
        for group in optimizer.param_groups
        for param in group["params"]
    )


def _as_bits(alive: Tensor, like: Tensor) -> Tensor:
    """Return a mask as integers as wide as the numbers of `like`: −1, all bits, for a living entry, 0 for a pruned one.

    Complex numbers are pairs: of their bits the last dimension, of size 1, stands for both.
    """
    alive, like = (alive.unsqueeze(-1), torch.view_as_real(like.detach())) if like.is_complex() else (alive, like)
    width = {1: torch.int8, 2: torch.int16, 4: torch.int32, 8: torch.int64}[like.element_size()]
    return alive.to(width).neg_()


def _keep(numbers: Tensor, bits: Tensor) -> None:
    """Set to zero, in place, the numbers whose bits are 0."""
    (torch.view_as_real(numbers) if numbers.is_complex() else numbers).view(bits.dtype).bitwise_and_(bits)


def _masked(grad: Tensor, bits: Tensor) -> Tensor:
    """Return a gradient with its pruned entries at zero: itself, or where it cannot be changed in place another.

    A sparse one, as of an embedding with `sparse=True`, stays sparse.
    """
    if grad.is_sparse:
        grad = grad.coalesce()
        places = grad.indices()
        # A mask of rows is a copy of whole rows; the values are changed themselves.
        _keep(grad.values(), bits.index_select(0, places[0]) if len(places) == 1 else bits[tuple(places)])
        return grad
    grad = grad.resolve_conj()
    _keep(grad, bits)
    return grad
