"""Keep pruned entries at exactly zero during training."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn, optim

from lt_lightning.lottery.mask import Mask, as_bits, keep_living
from lt_lightning.lottery.settings import LotteryError

# These keep a zero weight with a zero gradient and zero moments at zero, weight decay included. After a step of any
# other optimizer (Muon mixes whole rows, for example) pruned weights are set to zero again.
_KEEPS_ZEROS = frozenset(
    (optim.SGD, optim.Adam, optim.AdamW, optim.Adamax, optim.NAdam, optim.RAdam, optim.RMSprop, optim.Adagrad,
     optim.Adadelta)
)  # fmt: skip


@runtime_checkable
class SkipsPruned(Protocol):
    """A module or an optimizer that skips pruned entries.

    A module's `skip_pruned(alive)` takes boolean tensors by the names of its own parameters, or None to skip nothing;
    an optimizer's takes boolean tensors by parameter. Both may rely on pruned entries being zero, and must write
    parameters so that their version counters count each write.
    """

    def skip_pruned(self, alive: Any) -> None:
        """Skip pruned entries from now on."""


class Freezer:
    """Keep the pruned entries of a module at zero for one round.

    Masks are stored once as bytes on the parameters' devices: all bits of a living entry are ones, those of a pruned
    one zeros. A step costs a few bitwise ANDs in place; unlike a product, these also clear infinities and NaN.

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
        self._bits = [as_bits(mask[name].to(params[name].device), params[name]) for name in pruned]
        # Version counters of the parameters that only `SkipsPruned` code writes, by position.
        self._versions: dict[int, int] = {}

    @torch.no_grad()
    def freeze_gradients(self) -> None:
        """Set the gradients of pruned entries to zero; call it before clipping."""
        for param, bits in zip(self._params, self._bits, strict=True):
            if param.grad is None:
                continue
            param.grad = _masked(param.grad, bits)

    @torch.no_grad()
    def freeze_weights(self, *, written: bool = False) -> None:
        """Set pruned entries to zero.

        Args:
            written: skip parameters of `SkipsPruned` code that have not been written since the last call. A write to
                `param.data` of any other parameter leaves no trace.
        """
        for index, (param, bits) in enumerate(zip(self._params, self._bits, strict=True)):
            if written and self._versions.get(index) == param._version:
                continue
            # `.data`: a loss computed before keeps its gradient, as zeros overwrite zeros.
            keep_living(param.data, bits)
            if index in self._versions:
                self._versions[index] = param._version

    @torch.no_grad()
    def freeze_moments(self, optimizer: optim.Optimizer) -> None:
        """Set the moments of pruned entries in `optimizer` to zero, so that momentum does not move them."""
        state = getattr(optimizer, "state", None)
        if not isinstance(state, Mapping):
            return  # not torch's: its pruned weights are zeroed after each step
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
        """Let the `SkipsPruned` parts of `module` skip pruned entries or, if `over`, stop skipping them."""
        places = {name: index for index, name in enumerate(self._alive)}
        for prefix, part in module.named_modules():
            if isinstance(part, SkipsPruned):
                begin = f"{prefix}." if prefix else ""
                names = [name for name in self._alive if name.startswith(begin)]
                part.skip_pruned(None if over else {name[len(begin) :]: self._alive[name] for name in names})
                for name in names:
                    self._versions[places[name]] = self._params[places[name]]._version

    def watch(self, optimizers: Iterable[optim.Optimizer]) -> list[Handle]:
        """Set pruned entries to zero before and after each step of `optimizers`, and count the steps.

        Before the step because Lightning computes the loss inside of it, after all hooks of the module. A `SkipsPruned`
        optimizer gets the mask.

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
        """Freeze each gradient when it is accumulated, for code that clips and steps manually.

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
        """Remove the hook."""


def _hook_step(optimizer: optim.Optimizer, before: Callable[[], None], after: Callable[[], None]) -> list[Handle]:
    """Call functions before and after each step of any optimizer."""
    try:
        return [
            optimizer.register_step_pre_hook(lambda *_: before()),
            optimizer.register_step_post_hook(lambda *_: after()),
        ]
    except AttributeError:  # a wrapper, or a subclass that does not initialise its base
        return [_ReplacedStep(optimizer, before, after)]


class _ReplacedStep:
    """Replace the method `step` of an object without hooks."""

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
    """Return whether `optimizer` keeps zeros; where ε rounds to 0, as 1e-8 in half precision, 0 / 0 is NaN."""
    return type(optimizer) in _KEEPS_ZEROS and all(
        torch.tensor(group.get("eps", 1.0), dtype=param.dtype).abs() > 0
        for group in optimizer.param_groups
        for param in group["params"]
    )


def _masked(grad: Tensor, bits: Tensor) -> Tensor:
    """Return a gradient with pruned entries at zero, changed in place where possible; a sparse one stays sparse."""
    if grad.is_sparse:
        grad = grad.coalesce()
        places = grad.indices()
        # A mask of rows is a copy of whole rows; the values are changed themselves.
        keep_living(grad.values(), bits.index_select(0, places[0]) if len(places) == 1 else bits[tuple(places)])
        return grad
    grad = grad.resolve_conj()
    keep_living(grad, bits)
    return grad
