"""Compute one step of torch's recurrent cells and its gradient, in place.

`models.rnn.cells` has the same cells as formulas, which autograd differentiates; these are for `ragged_rnn`. The blocks
of a gate matrix are in torch's order.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import torch
from torch import Tensor

_slope_of_sigmoid = torch.ops.aten.sigmoid_backward.grad_input
_slope_of_tanh = torch.ops.aten.tanh_backward.grad_input
Tensors = Sequence[Tensor]


@dataclass(frozen=True)
class Gates:
    """The steps of a cell; tensors have the axes directions, texts, entries.

    Attributes:
        states: the number of state tensors: h, and the LSTM's c.
        kept: the number of tensors of a state's size that a step keeps for `backward`; the states are the first.
        split_biases: whether the hidden bias is not just added to the inputs', as in a GRU's new state.
        forward: takes the inputs' part of the gates, the states, the kept tensors, the transposed hidden weights and
            their bias; writes the gates, the new states and the kept tensors.
        backward: takes the gates, the states before the step, the kept tensors, the gradients of the states after it,
            the gradients of the gates before their functions (of the inputs' and of the hidden part) and the hidden
            weights; writes these gradients, and over those of the states after the step those before it.
    """

    states: int
    kept: int
    split_biases: bool
    forward: Callable[[Tensor, Tensors, Tensors, Tensor, Tensor], None]
    backward: Callable[[Tensor, Tensors, Tensors, Tensors, Tensor, Tensor, Tensor], None]


def _tanh_forward(gates: Tensor, states: Tensors, kept: Tensors, weight: Tensor, _bias: Tensor) -> None:
    (h,), (hs,) = states, kept
    torch.tanh(gates.baddbmm_(h, weight), out=hs)
    h.copy_(hs)


def _tanh_backward(
    _gates: Tensor, _earlier: Tensors, kept: Tensors, back: Tensors, slopes: Tensor, _inner: Tensor, weight: Tensor
) -> None:
    (dh,), (hs,) = back, kept
    _slope_of_tanh(dh, hs, grad_input=slopes)
    _cross(slopes, weight, dh)


def _lstm_forward(gates: Tensor, states: Tensors, kept: Tensors, weight: Tensor, _bias: Tensor) -> None:
    (h, c), (hs, cs, tanh) = states, kept
    gates.baddbmm_(h, weight)
    size = h.shape[2]
    gates[:, :, : 2 * size].sigmoid_()
    gates[:, :, 2 * size : 3 * size].tanh_()
    gates[:, :, 3 * size :].sigmoid_()
    i, f, g, o = gates.chunk(4, dim=2)
    c.mul_(f).addcmul_(i, g)
    cs.copy_(c)
    torch.tanh(c, out=tanh)
    torch.mul(o, tanh, out=hs)
    h.copy_(hs)


def _lstm_backward(
    gates: Tensor, earlier: Tensors, kept: Tensors, back: Tensors, slopes: Tensor, _inner: Tensor, weight: Tensor
) -> None:
    (dh, dc), (_, before), (_, _, tanh) = back, earlier, kept
    i, f, g, o = gates.chunk(4, dim=2)
    di, df, dg, do = slopes.chunk(4, dim=2)
    _slope_of_sigmoid(dh * tanh, o, grad_input=do)
    dc.add_(torch.ops.aten.tanh_backward(dh * o, tanh))
    _slope_of_sigmoid(dc * g, i, grad_input=di)
    _slope_of_sigmoid(dc * before, f, grad_input=df)
    _slope_of_tanh(dc * i, g, grad_input=dg)
    _drop_vanished(dc.mul_(f))
    _cross(slopes, weight, dh)


def _gru_forward(gates: Tensor, states: Tensors, kept: Tensors, weight: Tensor, bias: Tensor) -> None:
    (h,), (hs, new) = states, kept
    size = h.shape[2]
    hidden = torch.baddbmm(bias[:, None], h, weight)
    gates[:, :, : 2 * size].add_(hidden[:, :, : 2 * size]).sigmoid_()
    r, z, n = gates.chunk(3, dim=2)
    new.copy_(hidden[:, :, 2 * size :])
    n.addcmul_(r, new).tanh_()
    torch.lerp(n, h, z, out=hs)
    h.copy_(hs)


def _gru_backward(
    gates: Tensor, earlier: Tensors, kept: Tensors, back: Tensors, slopes: Tensor, inner: Tensor, weight: Tensor
) -> None:
    (dh,), (before,), (_, new) = back, earlier, kept
    r, z, n = gates.chunk(3, dim=2)
    dr, dz, dn = slopes.chunk(3, dim=2)
    _slope_of_sigmoid(dh * (before - n), z, grad_input=dz)
    _slope_of_tanh(dh - dh * z, n, grad_input=dn)
    _slope_of_sigmoid(dn * new, r, grad_input=dr)
    size = dh.shape[2]
    inner[:, :, : 2 * size].copy_(slopes[:, :, : 2 * size])
    torch.mul(dn, r, out=inner[:, :, 2 * size :])
    _drop_vanished(dh.mul_(z).baddbmm_(inner, weight))


def _cross(slopes: Tensor, weight: Tensor, dh: Tensor) -> None:
    """Compute the gradient of the state before the step through the gates."""
    _drop_vanished(dh.baddbmm_(slopes, weight, beta=0))


def _drop_vanished(gradient: Tensor) -> None:
    """Zero gradients that are too small to matter, in place.

    Gradients fade through time, and below `tiny` a processor is many times slower and less precise; the products of
    slightly larger ones with weights and slopes fall below it. They are negligible beside the gradients of later steps.
    """
    limits = torch.finfo(gradient.dtype)
    torch.ops.aten.hardshrink.out(gradient, limits.tiny / limits.eps, out=gradient)


GATES: Mapping[str, Gates] = MappingProxyType(
    {
        "RNN_TANH": Gates(1, 1, False, _tanh_forward, _tanh_backward),
        "LSTM": Gates(2, 3, False, _lstm_forward, _lstm_backward),
        "GRU": Gates(1, 2, True, _gru_forward, _gru_backward),
    }
)
"""Cells by torch's `mode`."""
