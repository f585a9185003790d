"""One step of torch's recurrent cells and its way back, written into memory that is there already.

What `cells` has as formulas to be read, and autograd differentiates, is here with its derivatives, for `ragged`. The
blocks of a gate matrix are in torch's order.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import torch
from torch import Tensor

_slope_of_sigmoid = torch.ops.aten.sigmoid_backward.grad_input
_slope_of_tanh = torch.ops.aten.tanh_backward.grad_input


@dataclass(frozen=True)
class Gates:
    """A cell, step by step. In what follows a tensor has the axes directions, texts and entries.

    Attributes:
        states: how many kinds of state it has: h, and the LSTM's c.
        kept: how many matrices of a state's size a step leaves for the way back: its states, and what else it needs.
        split_biases: whether the hidden weights' bias is not just added to the inputs', as in a GRU's new state.
        forward: given the inputs' part of the gates, the states, what to keep, the transposed hidden weights and
            their bias, writes the gates' values, the new states and what is kept.
        backward: given the gates' values, the states before the step, what was kept, the gradients of the states after
            it, room for the gradients of the gates before their functions (of the inputs' part and the hidden part)
            and the hidden weights, writes these gradients, and the gradients of the states before over those after.
    """

    states: int
    kept: int
    split_biases: bool
    forward: Callable[[Tensor, Sequence[Tensor], Sequence[Tensor], Tensor, Tensor], None]
    backward: Callable[[Tensor, Sequence[Tensor], Sequence[Tensor], Sequence[Tensor], Tensor, Tensor, Tensor], None]


def _tanh_forward(
    gates: Tensor, states: Sequence[Tensor], kept: Sequence[Tensor], weight: Tensor, _bias: Tensor
) -> None:
    (h,), (hs,) = states, kept
    torch.tanh(gates.baddbmm_(h, weight), out=hs)
    h.copy_(hs)


def _tanh_backward(
    _gates: Tensor,
    _earlier: Sequence[Tensor],
    kept: Sequence[Tensor],
    back: Sequence[Tensor],
    slopes: Tensor,
    _inner: Tensor,
    weight: Tensor,
) -> None:
    (dh,), (hs,) = back, kept
    _slope_of_tanh(dh, hs, grad_input=slopes)
    _cross(slopes, weight, dh)


def _lstm_forward(
    gates: Tensor, states: Sequence[Tensor], kept: Sequence[Tensor], weight: Tensor, _bias: Tensor
) -> None:
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
    gates: Tensor,
    earlier: Sequence[Tensor],
    kept: Sequence[Tensor],
    back: Sequence[Tensor],
    slopes: Tensor,
    _inner: Tensor,
    weight: Tensor,
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


def _gru_forward(gates: Tensor, states: Sequence[Tensor], kept: Sequence[Tensor], weight: Tensor, bias: Tensor) -> None:
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
    gates: Tensor,
    earlier: Sequence[Tensor],
    kept: Sequence[Tensor],
    back: Sequence[Tensor],
    slopes: Tensor,
    inner: Tensor,
    weight: Tensor,
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
    """The gradient of the state before the step, by way of the gates."""
    _drop_vanished(dh.baddbmm_(slopes, weight, beta=0))


def _drop_vanished(gradient: Tensor) -> None:
    """Zero what is too small to count, in place: gradients fade through time, and there is no bottom but this.

    Below `tiny` a processor computes many times slower, and keeps fewer digits; the products of what is a little larger
    with weights and slopes fall below it. Beside any gradient that a weight's sum has from a later step it is nothing.
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
"""Cells by what torch calls their mode."""
