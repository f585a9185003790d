"""Run any cell of `cells` over texts, in layers and both directions.

Written to be read and checked, not for speed: `torch.nn.RNN`, `GRU` and `LSTM` compute the same from the same weights.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn

from lt_lightning.models.rnn.cells import State, Step, Weights, find_cell

States = Float[Tensor, "runs batch hidden"] | tuple[Float[Tensor, "runs batch hidden"], ...]
"""The states of all layers and directions, h or (h, c)."""


@torch.no_grad()
def draw_recurrent_weights(module: nn.Module) -> None:
    """Draw the weights of a `Recurrent` or of torch's `RNN`, `GRU` or `LSTM`.

    `weight_ih` is Xavier-normal and `weight_hh` orthogonal, each as one matrix with all its blocks; biases are zero.
    With the same seed, networks of the same shape get the same weights.
    """
    for name, weight in module.named_parameters():
        if name.startswith("weight_ih"):
            nn.init.xavier_normal_(weight)
        elif name.startswith("weight_hh"):
            nn.init.orthogonal_(weight)
        else:
            weight.zero_()


def run_cell(
    step: Step,
    inputs: Float[Tensor, "batch length input"],
    state: State,
    weights: Weights,
    inside: Bool[Tensor, "batch length"] | None = None,
    *,
    backward: bool = False,
) -> tuple[Float[Tensor, "batch length hidden"], State]:
    """Return one layer's output at each position in one direction, and the state after the last.

    Args:
        step: the cell's equations.
        inputs: the texts, of at least one position, finite everywhere.
        state: the state before the first position.
        weights: the layer's weights in this direction.
        inside: which positions are part of their text; None for all. Elsewhere the state does not change and the output
            is zero, so that backward each text begins at its own last position.
        backward: from the last position to the first.
    """
    columns, outputs = inputs.unbind(dim=1), []
    positions = range(len(columns))
    for t in reversed(positions) if backward else positions:
        after = step(columns[t], state, weights)
        if inside is not None:
            after = tuple(torch.where(inside[:, t, None], new, old) for new, old in zip(after, state, strict=True))
        state = after
        outputs.append(state[0])
    stacked = torch.stack(outputs[::-1] if backward else outputs, dim=1)
    return stacked if inside is None else stacked.masked_fill(~inside[:, :, None], 0), state


class Recurrent(nn.Module):
    """Layers of a cell, in one or both directions, like torch's `RNN`, `GRU` and `LSTM` with `batch_first`.

    Parameters have torch's names, shapes and order of blocks, so that a `state_dict` can be loaded either way.

    Args:
        cell: a name in `CELLS`.
        input_size: the length of the input at a position.
        hidden_size: the length of the state per direction.
        num_layers: the number of layers; each reads the outputs of the one below.
        bidirectional: whether each layer also reads from the end.
        dropout: the share of outputs dropped between layers in training.

    Raises:
        ValueError: the cell is unknown, a size is not positive, or the dropout is not in [0, 1].
    """

    def __init__(
        self,
        cell: str,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        *,
        bidirectional: bool = False,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        blocks = find_cell(cell).blocks
        if min(input_size, hidden_size, num_layers) < 1:
            raise ValueError(f"{num_layers} layers from {input_size} inputs to {hidden_size} states; each must be ≥ 1")
        if not 0 <= dropout <= 1:
            raise ValueError(f"dropout {dropout} is not in [0, 1]")
        self.cell, self.input_size, self.hidden_size, self.num_layers = cell, input_size, hidden_size, num_layers
        self.bidirectional, self.dropout, self._directions = bidirectional, dropout, 2 if bidirectional else 1
        rows = blocks * hidden_size
        for layer in range(num_layers):
            width = input_size if layer == 0 else hidden_size * self._directions
            for suffix in self._suffixes(layer):
                shapes = ((rows, width), (rows, hidden_size), (rows,), (rows,))
                for name, shape in zip(Weights._fields, shapes, strict=True):
                    self.register_parameter(f"{name}_{suffix}", nn.Parameter(torch.empty(shape)))
        self.reset_parameters()

    def _suffixes(self, layer: int) -> list[str]:
        """Return the suffixes of a layer's parameter names, forward and backward."""
        return [f"l{layer}", f"l{layer}_reverse"][: self._directions]

    def reset_parameters(self) -> None:
        """Draw all weights."""
        draw_recurrent_weights(self)

    def forward(
        self,
        inputs: Float[Tensor, "batch length input"],
        lengths: Int64[Tensor, " batch"] | None = None,
        state: States | None = None,
    ) -> tuple[Float[Tensor, "batch length features"], States]:
        """Return the last layer's outputs at each position, and the last state of each layer and direction.

        States are ordered by layer, then direction (forward, backward); features are the forward outputs, then the
        backward ones. An LSTM's state is (h, c), any other's h.

        Args:
            inputs: the texts, of at least one position.
            lengths: the number of positions in each text, at least 1; None if all have full length. Beyond them inputs
                are ignored, even NaN, and outputs are zero; the last state is that at the text's own end, where the
                backward direction begins.
            state: the first state of each layer and direction; None for zeros.

        Raises:
            ValueError: inputs of another width or of no positions, a length that is not in 1 … `length` (on a GPU this
                is not checked), or a state of another shape.
        """
        if inputs.shape[1] == 0 or inputs.shape[2] != self.input_size:
            raise ValueError(f"inputs of shape {tuple(inputs.shape)}; expected (batch, ≥ 1, {self.input_size})")
        # On a GPU the host would wait for the answer in each step.
        if lengths is not None and not lengths.is_cuda and ((lengths < 1) | (lengths > inputs.shape[1])).any():
            raise ValueError(f"lengths {lengths.tolist()}; each must be in 1 … {inputs.shape[1]}")
        states, inside = self._unpack(inputs, state), None
        if lengths is not None:
            inside = torch.arange(inputs.shape[1], device=inputs.device) < lengths.to(inputs.device)[:, None]
            # Masking the outputs would not suffice: in a gradient, 0 × NaN is NaN.
            inputs = inputs.masked_fill(~inside[:, :, None], 0)
        cell, ends = find_cell(self.cell), []
        for layer in range(self.num_layers):
            if layer > 0:
                inputs = F.dropout(inputs, self.dropout, self.training)
            outputs = []
            for suffix in self._suffixes(layer):
                first = tuple(kind[len(ends)] for kind in states)
                backward = suffix.endswith("reverse")
                weights = Weights(*(self.get_parameter(f"{name}_{suffix}") for name in Weights._fields))
                output, end = run_cell(cell.step, inputs, first, weights, inside, backward=backward)
                outputs.append(output)
                ends.append(end)
            inputs = torch.cat(outputs, dim=2)
        last = tuple(torch.stack(kind) for kind in zip(*ends, strict=True))
        return inputs, last[0] if cell.states == 1 else last

    def _unpack(self, inputs: Tensor, state: Tensor | tuple[Tensor, ...] | None) -> tuple[Tensor, ...]:
        """Return the first state as a tuple."""
        shape = (self.num_layers * self._directions, len(inputs), self.hidden_size)
        count = find_cell(self.cell).states
        if state is None:
            return (inputs.new_zeros(shape),) * count
        states = (state,) if isinstance(state, Tensor) else tuple(state)
        if len(states) != count or any(kind.shape != shape for kind in states):
            given = ", ".join(str(tuple(kind.shape)) for kind in states)
            raise ValueError(f"the state of {self.cell} is {count} × {shape}, not {given}")
        return states
