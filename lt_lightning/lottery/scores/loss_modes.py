"""Change how losses are computed inside functions that cannot be changed.

Losses reach a criterion as functions without arguments. These modes intercept torch's loss functions while one runs.
Compiled kernels step aside meanwhile (`torch.overrides.has_torch_function`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

_OF_LOGITS = frozenset(
    (F.cross_entropy, F.binary_cross_entropy_with_logits, torch.binary_cross_entropy_with_logits, F.log_softmax,
     torch.log_softmax, torch.special.log_softmax, Tensor.log_softmax)
)  # fmt: skip
"""Functions whose first argument is logits. Attention uses `softmax`, which is none of them."""

_OF_ROWS = frozenset(
    (F.cross_entropy, F.binary_cross_entropy_with_logits, F.binary_cross_entropy, F.nll_loss, F.mse_loss, F.l1_loss,
     F.smooth_l1_loss, F.huber_loss, F.soft_margin_loss, F.multi_margin_loss, F.poisson_nll_loss, F.gaussian_nll_loss)
)  # fmt: skip
"""Loss functions that have a value per entry of their first argument's first dimension, and its mean by default."""

_MEANS = frozenset((torch.mean, Tensor.mean))

_LINEAR = frozenset(("MulBackward0", "DivBackward0", "NegBackward0", "AddBackward0", "SubBackward0", "RsubBackward1"))
"""Names of autograd's nodes through which a loss may follow from a mean, if nothing else varies."""


class DividedLogits(TorchFunctionMode):
    """Divide the logits that loss functions get by a temperature."""

    def __init__(self, temperature: float) -> None:
        super().__init__()
        self._temperature = temperature

    def __torch_function__(
        self, func: Callable[..., Any], types: Iterable[type], args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Call `func`."""
        named = dict(kwargs or {})
        if func in _OF_LOGITS:
            if args:
                args = (args[0] / self._temperature, *args[1:])
            else:
                named["input"] = named["input"] / self._temperature
        return func(*args, **named)


class SeparateRows(TorchFunctionMode):
    """Compute the loss of each row wherever a mean over rows is computed.

    Attributes:
        seen: whether there was a mean, or a loss function, of several rows.
    """

    def __init__(self) -> None:
        super().__init__()
        self.seen = False
        self._means: list[tuple[Tensor, Tensor]] = []

    def __torch_function__(
        self, func: Callable[..., Any], types: Iterable[type], args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Call `func`."""
        named = dict(kwargs or {})
        if func in _MEANS and len(args) == 1 and not named:
            values = args[0]
        elif func in _OF_ROWS:
            first = args[0] if args else named.get("input")
            self.seen |= isinstance(first, Tensor) and first.dim() > 0 and len(first) > 1
            values = self._entries(func, args, named)
        else:
            values = None
        if not isinstance(values, Tensor) or values.dim() == 0:
            return func(*args, **named)
        self.seen |= len(values) > 1
        rows = values.flatten(1).mean(1) if values.dim() > 1 else values
        self._means.append((rows.mean(), rows))
        return self._means[-1][0]

    def rows_of(self, loss: Tensor) -> Tensor | None:
        """Return the losses of the rows whose mean `loss` is, shape `(rows,)`; None if it was computed otherwise.

        The loss may be a mean of several rows times a constant.
        """
        found = ((rows, _factor(loss, mean)) for mean, rows in self._means)
        return next((rows * factor for rows, factor in found if factor is not None), None)

    @staticmethod
    def _entries(func: Callable[..., Any], args: tuple[Any, ...], named: Mapping[str, Any]) -> Tensor | None:
        """Return a loss function's values before their mean; None if it computes something else than the mean."""
        # Positional arguments are input, target and what only a few have; means of weighted classes are others.
        is_mean = len(args) <= 2 and named.get("reduction", "mean") == "mean"
        is_plain = named.get("weight") is None and named.get("reduce") is None and named.get("size_average") is None
        target = args[1] if len(args) == 2 else named.get("target")
        if not is_mean or not is_plain or not isinstance(target, Tensor):
            return None
        ignored = func in (F.cross_entropy, F.nll_loss) and not target.is_floating_point()
        if ignored and bool((target == named.get("ignore_index", -100)).any()):
            return None
        return func(*args, **{**named, "reduction": "none"})


def _factor(loss: Tensor, mean: Tensor) -> Tensor | float | None:
    """Return the factor by which a loss follows from a mean; None if it does otherwise."""
    if loss is mean:
        return 1.0
    node, goal = loss.grad_fn, mean.grad_fn
    while node is not goal:
        varying = [place for place, (one, _) in enumerate(node.next_functions) if one is not None] if node else []
        # A quotient is linear in its numerator alone.
        if node is None or node.name() not in _LINEAR or len(varying) != 1 or ("Div" in node.name() and varying[0]):
            return None
        node = node.next_functions[varying[0]][0]
    return None if goal is None else torch.autograd.grad(loss, mean, retain_graph=True)[0]
