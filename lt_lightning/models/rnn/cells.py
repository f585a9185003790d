"""The equations of recurrent cells, a pure function each, for one position of a text.

Matrices and biases are stacked as in torch: one block of `hidden` rows per gate. In the formulas x is the input, h the
state, σ the logistic function and ⊙ the product of entries; W and b are the gate's blocks of `weight_ih` and `bias_ih`,
U and d those of `weight_hh` and `bias_hh`. (Two biases where one would do, because torch has two.) A new cell is a
function here and its line in `CELLS`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

State = tuple[Float[Tensor, "batch hidden"], ...]
"""The state after a position: (h,), or (h, c) of an LSTM. The first is the cell's output."""


class Weights(NamedTuple):
    """The parameters of a cell, of which it has `blocks` blocks of `hidden` rows."""

    weight_ih: Float[Tensor, "rows input"]
    weight_hh: Float[Tensor, "rows hidden"]
    bias_ih: Float[Tensor, " rows"]
    bias_hh: Float[Tensor, " rows"]

    def of_input(self, inputs: Float[Tensor, "batch input"]) -> Float[Tensor, "batch rows"]:
        """Return W x + b of all blocks."""
        return F.linear(inputs, self.weight_ih, self.bias_ih)

    def of_state(self, h: Float[Tensor, "batch hidden"]) -> Float[Tensor, "batch rows"]:
        """Return U h + d of all blocks."""
        return F.linear(h, self.weight_hh, self.bias_hh)


Input = Float[Tensor, "batch input"]
Step = Callable[[Input, State, Weights], State]


def rnn_step(inputs: Input, state: State, weights: Weights) -> State:
    """Compute the simple recurrent network: h' = tanh(W x + b + U h + d).

    See: Elman 1990, https://doi.org/10.1207/s15516709cog1402_1.
    """
    (h,) = state
    return (torch.tanh(weights.of_input(inputs) + weights.of_state(h)),)


def gru_step(inputs: Input, state: State, weights: Weights) -> State:
    """Compute the gated recurrent unit of torch and cuDNN; the blocks are r, z, n.

        r  = σ(Wr x + br + Ur h + dr)           how much of the past the candidate sees
        z  = σ(Wz x + bz + Uz h + dz)           how much of the state is kept
        n  = tanh(Wn x + bn + r ⊙ (Un h + dn))  the candidate
        h' = (1 − z) ⊙ n + z ⊙ h

    Unlike in `gru_chung_step`, z = 1 keeps the state, and r acts after the matrix Un.

    See: Cho et al. 2014, https://arxiv.org/abs/1406.1078; in this form
    https://docs.pytorch.org/docs/stable/generated/torch.nn.GRU.html.
    """
    (h,) = state
    reset_x, update_x, new_x = weights.of_input(inputs).chunk(3, dim=1)
    reset_h, update_h, new_h = weights.of_state(h).chunk(3, dim=1)
    r = torch.sigmoid(reset_x + reset_h)
    z = torch.sigmoid(update_x + update_h)
    n = torch.tanh(new_x + r * new_h)
    return ((1 - z) * n + z * h,)


def gru_chung_step(inputs: Input, state: State, weights: Weights) -> State:
    """Compute the gated recurrent unit of Chung et al. and many lectures; the blocks are r, z, n.

        r  = σ(Wr x + br + Ur h + dr)           how much of the past the candidate sees
        z  = σ(Wz x + bz + Uz h + dz)           how much of the state is replaced
        n  = tanh(Wn x + bn + Un (r ⊙ h) + dn)  the candidate
        h' = (1 − z) ⊙ h + z ⊙ n

    Unlike in `gru_step`, z = 1 replaces the state, and r acts before the matrix Un. Weights of one load into the other,
    but compute another function. Negating the z block of all four tensors turns z into 1 − z and removes the first
    difference; the second remains unless Un and dn are zero.

    See: Chung et al. 2014, https://arxiv.org/abs/1412.3555.
    """
    (h,) = state
    reset_x, update_x, new_x = weights.of_input(inputs).chunk(3, dim=1)
    reset_weight, update_weight, new_weight = weights.weight_hh.chunk(3)
    reset_bias, update_bias, new_bias = weights.bias_hh.chunk(3)
    r = torch.sigmoid(reset_x + F.linear(h, reset_weight, reset_bias))
    z = torch.sigmoid(update_x + F.linear(h, update_weight, update_bias))
    n = torch.tanh(new_x + F.linear(r * h, new_weight, new_bias))
    return ((1 - z) * h + z * n,)


def lstm_step(inputs: Input, state: State, weights: Weights) -> State:
    """Compute long short-term memory with forget gates; the blocks are i, f, g, o.

        i  = σ(Wi x + bi + Ui h + di)     how much of the candidate is written
        f  = σ(Wf x + bf + Uf h + df)     how much of the memory is kept
        g  = tanh(Wg x + bg + Ug h + dg)  the candidate
        o  = σ(Wo x + bo + Uo h + do)     how much of the memory is shown
        c' = f ⊙ c + i ⊙ g
        h' = o ⊙ tanh(c')

    See: Hochreiter and Schmidhuber 1997, https://doi.org/10.1162/neco.1997.9.8.1735; for the forget gate Gers et al.
    2000, https://doi.org/10.1162/089976600300015015.
    """
    h, c = state
    i, f, g, o = (weights.of_input(inputs) + weights.of_state(h)).chunk(4, dim=1)
    c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
    return torch.sigmoid(o) * torch.tanh(c), c


@dataclass(frozen=True)
class Cell:
    """A kind of cell."""

    step: Step  # its equations
    blocks: int  # the number of blocks in its matrices and biases
    states: int = 1  # the number of tensors in its state


CELLS: Mapping[str, Cell] = MappingProxyType({
    "rnn": Cell(rnn_step, blocks=1),
    "gru": Cell(gru_step, blocks=3),
    "gru_chung": Cell(gru_chung_step, blocks=3),
    "lstm": Cell(lstm_step, blocks=4, states=2),
})  # fmt: skip


def find_cell(name: str) -> Cell:
    """Return the cell of that name.

    Raises:
        ValueError: there is no such cell.
    """
    if name not in CELLS:
        raise ValueError(f"cell {name!r} is none of {', '.join(CELLS)}")
    return CELLS[name]
