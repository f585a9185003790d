"""Run recurrent layers over texts of different lengths on the CPU, with the results of packed layers.

Torch's packed layers cut the batch into steps outside their kernels, and each step of the backward pass hands a
gradient of the whole batch's size to the one before, so the cost grows with the square of the length. Here the
positions of a batch lie in one matrix, step after step, texts from long to short: a step is a few consecutive rows
without padding, and everything that does not wait for the last step (inputs to gates, all gradients of weights and
inputs) is one product per layer. The backward direction reads each text reversed within its own length, so that both
directions take one product per step.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from lt_lightning.kernels.eligibility import can_replace
from lt_lightning.kernels.rnn_gates import GATES

LOOK = 8
"""Number of steps after which the backward pass checks whether the gradient has become zero."""


class Ragged(NamedTuple):
    """The positions of a batch whose texts are sorted from long to short and cut into steps."""

    order: Int64[Tensor, " batch"]  # the texts from long to short
    counts: list[int]  # the number of texts that have a word at each step; they are the first of `order`
    places: Int64[Tensor, " positions"]  # of each position, step after step, its index in batch × length
    mirror: Int64[Tensor, " positions"]  # of each position, the position in the reversed text
    before: Int64[Tensor, " later_positions"]  # of each position from the second step on, the one a step earlier


def arrange(lengths: Int64[Tensor, " batch"], width: int) -> Ragged:
    """Return the steps of texts of these lengths, padded to `width`.

    Raises:
        ValueError: a length is not in 1 … `width`.
    """
    if ((lengths < 1) | (lengths > width)).any():
        raise ValueError(f"lengths {lengths.tolist()}; each must be in 1 … {width}")
    ends, order = lengths.sort(descending=True, stable=True)
    step, row = (torch.arange(int(ends[0]))[:, None] < ends).nonzero().unbind(1)
    counts = step.bincount()
    firsts = counts.cumsum(0) - counts
    mirror = firsts[ends[row] - 1 - step] + row
    later = step > 0
    before = firsts[step[later] - 1] + row[later]
    return Ragged(order, counts.tolist(), order[row] * width + step, mirror, before)


def can_step(layers: nn.RNNBase, inputs: Tensor, state: Any) -> bool:
    """Return whether `read_ragged` supports these layers: `can_replace`, with biases and a cell of `GATES`."""
    given = () if state is None else (state,) if isinstance(state, Tensor) else tuple(state)
    usual = layers.mode in GATES and layers.bias and layers.proj_size == 0
    return usual and can_replace([layers], (inputs, *given, *layers.parameters()))


def read_ragged(
    layers: nn.RNNBase,
    inputs: Float[Tensor, "batch length inputs"],
    lengths: Int64[Tensor, " batch"],
    state: Any = None,
    *,
    outputs: bool = True,
) -> tuple[Float[Tensor, "batch length features"] | None, Any]:
    """Return the result of packed layers; see `run_recurrent`. Dropout between layers draws other numbers.

    `lengths` are the steps of each row, beyond which inputs are ignored; `state` is the first state, None for zeros;
    without `outputs`, None takes the place of the states after each step.

    Raises:
        ValueError: inputs of another width than the layers', or a length that is not in 1 … `length`.
    """
    if inputs.shape[2] != layers.input_size:
        raise ValueError(f"inputs of shape {tuple(inputs.shape)}; expected (batch, length, {layers.input_size})")
    batch, width, _ = inputs.shape
    ragged = arrange(lengths, width)
    directions = 2 if layers.bidirectional else 1
    states = GATES[layers.mode].states
    shape = (layers.num_layers * directions, batch, layers.hidden_size)
    given = [inputs.new_zeros(shape)] * states if state is None else [state] if states == 1 else list(state)
    firsts = [kind.index_select(1, ragged.order).split(directions) for kind in given]
    read = _Take.apply(inputs.reshape(batch * width, -1), ragged.places)
    ends: list[Sequence[Tensor]] = []
    for layer, first in enumerate(zip(*firsts, strict=True)):
        if layer > 0:
            read = F.dropout(read, layers.dropout, layers.training)
        names = [f"l{layer}", f"l{layer}_reverse"][:directions]
        weights = [
            torch.stack([getattr(layers, f"{kind}_{name}") for name in names])
            for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
        ]
        wanted = outputs or layer + 1 < layers.num_layers
        read, *last = _Layer.apply(layers.mode, ragged, wanted, read, *weights, *first)  # pyright: ignore[reportGeneralTypeIssues]
        ends.append(last)
    rank = ragged.order.argsort()
    lasts = tuple(torch.cat(list(kind)).index_select(1, rank) for kind in zip(*ends, strict=True))
    last = lasts if states == 2 else lasts[0]
    if not outputs:
        return None, last
    padded = read.new_zeros(batch * width, read.shape[1]).index_copy_(0, ragged.places, read)
    return padded.view(batch, width, -1), last


class _Take(torch.autograd.Function):
    """Select rows, each at most once, so that the gradient needs no sums."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, places: Tensor) -> Tensor:
        ctx.save_for_backward(places)
        ctx.count = len(rows)
        return rows.index_select(0, places)

    @staticmethod
    @once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]: once_differentiable's types say less
        ctx: Any, gradient: Tensor
    ) -> tuple[Tensor, None]:
        (places,) = ctx.saved_tensors
        return gradient.new_zeros(ctx.count, gradient.shape[1]).index_copy_(0, places, gradient), None


class _Layer(torch.autograd.Function):
    """A layer in all its directions; texts are in the order of `Ragged`, positions in that of its steps."""

    @staticmethod
    def forward(
        ctx: Any, mode: str, ragged: Ragged, wanted: bool, read: Float[Tensor, "positions inputs"], *tensors: Tensor
    ) -> tuple[Tensor | None, ...]:
        """Return the outputs, if they are wanted, and the last states.

        `tensors` are weight_ih, weight_hh, bias_ih and bias_hh with an axis of directions before torch's, and the first
        states (directions, batch, hidden).
        """
        weight_ih, weight_hh, bias_ih, bias_hh, *first = tensors
        cell = GATES[mode]
        both = torch.stack([read, read.index_select(0, ragged.mirror)]) if len(weight_ih) == 2 else read[None]
        bias = bias_ih if cell.split_biases else bias_ih + bias_hh
        gates = torch.baddbmm(bias[:, None], both, weight_ih.mT)
        # Each (directions, positions, hidden): the states after each step, then what else `backward` needs.
        kept = [gates.new_empty(*gates.shape[:2], weight_hh.shape[2]) for _ in range(cell.kept)]
        last = [state.clone() for state in first]
        across = weight_hh.mT
        start = 0
        for count in ragged.counts:
            step = slice(start, start + count)
            states = [state[:, :count] for state in last]
            cell.forward(gates[:, step], states, [kind[:, step] for kind in kept], across, bias_hh)
            start += count
        ctx.mode, ctx.ragged = mode, ragged
        ctx.save_for_backward(both, weight_ih, weight_hh, gates, *first, *kept)
        ctx.set_materialize_grads(False)
        if not wanted:
            return None, *last
        ahead, *back = kept[0]  # backward states are in the order of the reversed texts
        return torch.cat([ahead, *(way.index_select(0, ragged.mirror) for way in back)], dim=1), *last

    @staticmethod
    @once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]: once_differentiable's types say less
        ctx: Any, *upstream: Tensor | None
    ) -> tuple[Tensor | None, ...]:
        """Return the gradients of inputs, weights and first states."""
        cell, ragged = GATES[ctx.mode], ctx.ragged
        both, weight_ih, weight_hh, gates, *rest = ctx.saved_tensors
        first, kept = rest[: cell.states], rest[cell.states :]
        directions, batch, _ = first[0].shape
        back = [torch.zeros_like(first[0]) if kind is None else kind.clone() for kind in upstream[1:]]
        outer = upstream[0]
        if outer is not None:
            ahead, *reversed_ways = outer.chunk(directions, dim=1)
            outer = torch.stack([ahead, *(way.index_select(0, ragged.mirror) for way in reversed_ways)])
        slopes = torch.empty_like(gates)
        inner = torch.empty_like(gates) if cell.split_biases else slopes
        start = len(both[0])
        for past, (count, sooner) in enumerate(pairwise([*reversed(ragged.counts), 0])):
            # A gradient that enters only at the end may fade to zero long before the beginning of a long text.
            waiting = outer is not None or count < batch or past % LOOK
            if not waiting and not any(kind.any() for kind in back):
                break
            step = slice(start - count, start)
            states = [state[:, :count] for state in back]
            if outer is not None:
                states[0].add_(outer[:, step])
            # The texts that have a word at a step are the first of those that had one at the step before.
            since = slice(step.start - sooner, step.start - sooner + count)
            earlier = [kind[:, since] for kind in kept[: cell.states]] if sooner else first
            of_step = [kind[:, step] for kind in kept]
            cell.backward(gates[:, step], earlier, of_step, states, slopes[:, step], inner[:, step], weight_hh)
            start -= count
        alive = slice(start, None)
        needs, read = ctx.needs_input_grad, None
        if needs[3]:
            reads = torch.zeros_like(both)
            torch.bmm(slopes[:, alive], weight_ih, out=reads[:, alive])
            read = reads[0] if directions == 1 else reads[0] + reads[1].index_select(0, ragged.mirror)
        states_before = torch.cat([first[0], kept[0].index_select(1, ragged.before)], dim=1)
        bias = slopes[:, alive].sum(1)
        return (
            *(None, None, None, read),
            torch.bmm(slopes[:, alive].mT, both[:, alive]) if needs[4] else None,
            torch.bmm(inner[:, alive].mT, states_before[:, alive]) if needs[5] else None,
            bias,
            inner[:, alive].sum(1) if cell.split_biases else bias,
            *back,
        )
