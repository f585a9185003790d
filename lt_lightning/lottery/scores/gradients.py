"""Compute gradients of losses, their squares per text, and products with the Hessian."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from lt_lightning.lottery.mask import Mask
from lt_lightning.lottery.scores.loss_modes import DividedLogits, SeparateRows
from lt_lightning.lottery.scores.losses import Loss, Losses
from lt_lightning.lottery.settings import LotteryError


def mean_gradient(losses: Losses, parameters: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the gradient of the mean loss over all rows, by parameter name.

    Batches count by their rows, or equally where the numbers of rows are unknown. Gradients are dense, of the
    parameters' shapes, in float32 or float64, and zero where the loss does not depend on a parameter.

    Raises:
        LotteryError: if the number of rows is known of some batches only, or no batch has rows.
    """
    mean = _Mean(parameters)
    for loss in losses:
        value = loss()
        mean.add(_gradients([value], parameters), loss.rows)
    return losses.reduce(mean.values())


def movement_of(losses: Losses, parameters: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return −Σ g ⊙ w of present weights, g the gradient of each batch's loss."""
    total = _zeros(parameters)
    for loss in losses:
        for name, gradient in _gradients([loss()], parameters).items():
            total[name].add_(gradient)
    return losses.reduce({name: -value * parameters[name].detach() for name, value in total.items()})


def hessian_gradient_product(
    losses: Losses, parameters: Mapping[str, Tensor], mask: Mask, temperature: float
) -> dict[str, Tensor]:
    """Return H g, the Hessian of the mean loss times its gradient, of the living entries, by parameter name.

    Args:
        losses: the losses; they are computed twice.
        parameters: the parameters.
        mask: the living entries; gradients of others count as zero.
        temperature: the number by which logits are divided before a loss is computed from them.

    Raises:
        LotteryError: if `temperature` is not positive, or an operation has no second derivative.
    """
    if not isinstance(temperature, int | float) or not 0 < temperature < float("inf"):
        raise LotteryError(f"temperature: {temperature!r} is not a number above 0; give one, such as 200")
    mean = _Mean(parameters)
    with ExitStack() as stack:
        stack.enter_context(DividedLogits(temperature))
        # Neither oneDNN's recurrent layers nor fused attention have second derivatives.
        stack.enter_context(_without_onednn())
        stack.enter_context(sdpa_kernel(SDPBackend.MATH))
        first = mean_gradient(losses, parameters)
        along = {name: value.masked_fill(~mask[name].to(value.device), 0) for name, value in first.items()}
        for loss in losses:
            mean.add(_second_gradients(loss(), parameters, along), loss.rows)
    return losses.reduce(mean.values())


def mean_squared_gradient(losses: Losses, parameters: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the mean over rows of the square of each row's own gradient, by parameter name.

    A loss of one row is differentiated as it is. A batch's mean loss is taken apart where a loss function of torch, or
    a mean, computes it from one value per row; a loss of an unknown number of rows that neither computes is one row.

    Raises:
        LotteryError: if a batch's loss cannot be taken apart.
    """
    total, rows = _zeros(parameters), 0
    for loss in losses.by_row():
        for value, is_last in _marked_last(_row_values(loss)):
            for name, gradient in _gradients([value], parameters, keep=not is_last).items():
                total[name].add_(_squared(gradient))
            rows += 1
    if not rows:
        raise LotteryError("losses: no batch has rows")
    return losses.reduce({name: value / rows for name, value in total.items()})


_SAME: Any = None
"""Leaves a flag as it is; torch's annotation omits it."""


@contextmanager
def _without_onednn() -> Iterator[None]:
    # `torch.backends.mkldnn.flags` also sets a flag of other devices, and warns.
    was_enabled = torch.backends.mkldnn.set_flags(False, _fp32_precision=_SAME)[0]
    try:
        yield
    finally:
        torch.backends.mkldnn.set_flags(was_enabled, _fp32_precision=_SAME)


class _Mean:
    """A mean of gradients, weighted by rows."""

    def __init__(self, parameters: Mapping[str, Tensor]) -> None:
        self._sums = _zeros(parameters)
        self._rows = 0
        self._known: bool | None = None

    def add(self, gradients: Mapping[str, Tensor], rows: int | None) -> None:
        """Add the gradients of a batch's mean loss."""
        known = rows is not None
        if self._known not in (None, known):
            raise LotteryError("losses: the number of rows is known of some batches only; give it for all or for none")
        self._known = known
        count = 1 if rows is None else rows
        for name, gradient in gradients.items() if count else ():
            self._sums[name].add_(gradient, alpha=count)
        self._rows += count

    def values(self) -> dict[str, Tensor]:
        """Return the mean."""
        if not self._rows:
            raise LotteryError("losses: no batch has rows")
        return {name: total.div_(self._rows) for name, total in self._sums.items()}


def _zeros(parameters: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return zeros to add gradients to, of at least single precision."""
    return {
        name: torch.zeros(p.shape, dtype=torch.promote_types(p.dtype, torch.float32), device=p.device)
        for name, p in parameters.items()
    }


def _gradients(losses: Sequence[Tensor], parameters: Mapping[str, Tensor], *, keep: bool = False) -> dict[str, Tensor]:
    """Return the gradients of a sum, dense or sparse, for the parameters that it depends on."""
    varying = [loss for loss in losses if loss.requires_grad]
    if not varying:
        return {}
    found = torch.autograd.grad(varying, list(parameters.values()), retain_graph=keep, allow_unused=True)
    return {name: one for name, one in zip(parameters, found, strict=True) if one is not None}


def _second_gradients(loss: Tensor, parameters: Mapping[str, Tensor], along: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the loss's Hessian times the vector `along`."""
    if not loss.requires_grad:
        return {}
    try:
        first = torch.autograd.grad(loss, list(parameters.values()), create_graph=True, allow_unused=True)
        known = [(name, one) for name, one in zip(parameters, first, strict=True) if one is not None]
        if _has_gaps([gradient for _, gradient in known]):
            raise _no_second_derivative("once_differentiable")
        # The real part: of complex numbers, autograd gives the conjugate.
        products = [(gradient * along[name].to(gradient.dtype).conj()).sum().real for name, gradient in known]
        return _gradients(products, parameters)
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        if any(words in reason for words in ("differentiate", "derivative", "not implemented", "double backward")):
            raise _no_second_derivative(reason) from error
        raise


def _has_gaps(gradients: Iterable[Tensor]) -> bool:
    """Return whether autograd would leave out a part of the gradients' own gradients.

    Functions marked as once differentiable put a node into the graph that raises an error, but `torch.autograd.grad`
    only visits the nodes between its arguments, and this one is not between them.
    """
    waiting, seen = [gradient.grad_fn for gradient in gradients], set()
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        if node.name() == "torch::autograd::Error":
            return True
        seen.add(node)
        waiting.extend(following for following, _ in node.next_functions)
    return False


def _no_second_derivative(reason: str) -> LotteryError:
    return LotteryError(
        f"criterion: grasp needs second derivatives, which an operation of the network lacks ({reason[:120]}); use "
        "snip, or another criterion"
    )


def _squared(gradient: Tensor) -> Tensor:
    """Return the squares of a dense or sparse gradient's entries."""
    if not gradient.is_sparse:
        return gradient.abs().square()
    whole = gradient.coalesce()  # a word that a text has twice has one gradient
    squares = whole.values().abs().square()
    return torch.sparse_coo_tensor(whole.indices(), squares, whole.shape, check_invariants=False, is_coalesced=True)


def _row_values(loss: Loss) -> Sequence[Tensor]:
    """Return the loss of each row of a batch."""
    if loss.rows == 1:
        return [loss()]
    with SeparateRows() as separate:
        value = loss()
    rows = separate.rows_of(value)
    if rows is not None and loss.rows in (None, len(rows)):
        return rows.unbind()
    if loss.rows == 1 or (loss.rows is None and not separate.seen):
        return [value]
    if loss.rows == 0:
        return []
    raise LotteryError(
        "losses: fisher needs the loss of each row, and a batch's loss could not be taken apart; give losses of one "
        "row each, as pairs (function, 1)"
    )


def _marked_last(values: Iterable[Tensor]) -> Iterable[tuple[Tensor, bool]]:
    """Yield values, and whether each is the last."""
    every = list(values)
    return ((value, number == len(every) - 1) for number, value in enumerate(every))
