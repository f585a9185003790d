"""Recurrent layers, torch's or from their equations, and a classifier of their final states."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from lt_lightning.kernels.ragged_rnn import can_step, read_ragged
from lt_lightning.models.embedding import WordEmbedding
from lt_lightning.models.rnn.unrolled import Recurrent, draw_recurrent_weights

Backend = Literal["torch", "equations"]
"""Torch's recurrent layers or those of `unrolled`, which compute the same from the same weights."""
Kernel = Literal["fast", "reference"]
"""Whether torch's layers read texts of different lengths by `read_ragged` where it is supported, or always packed."""
State = Any
"""The state of all layers and directions: `(layers · directions, batch, hidden)`; of an LSTM two of them, h and c."""

_TORCH: dict[str, Any] = {"rnn": nn.RNN, "gru": nn.GRU, "gru_chung": nn.GRU, "lstm": nn.LSTM}
TITLES = {"rnn": "RNN", "gru": "GRU", "gru_chung": "GRU (Chung)", "lstm": "LSTM", "none": "softmax"}
"""Titles of networks by their cells."""


def build_recurrent(
    cell: str,
    backend: Backend,
    inputs: int,
    hidden: int,
    layers: int = 1,
    *,
    bidirectional: bool = False,
    dropout: float = 0.0,
) -> nn.Module:
    """Return recurrent layers whose parameters have torch's names, shapes and order.

    The arguments are those of `Recurrent`; the cell `gru_chung` needs the backend `equations`.

    Raises:
        ValueError: torch has no such cell.
    """
    if cell == "gru_chung" and backend == "torch":
        raise ValueError("torch has no gru_chung; use the backend equations")
    between = dropout if layers > 1 else 0.0
    theirs = _TORCH[cell](inputs, hidden, layers, batch_first=True, bidirectional=bidirectional, dropout=between)
    if backend == "torch":
        return theirs
    # Random numbers drawn later do not depend on the backend: the same seed gives the same first weights.
    with torch.random.fork_rng(devices=[]):
        return Recurrent(cell, inputs, hidden, layers, bidirectional=bidirectional, dropout=between)


def run_recurrent(
    layers: nn.Module,
    inputs: Float[Tensor, "batch length inputs"],
    lengths: Int64[Tensor, " batch"] | None = None,
    state: State = None,
    *,
    kernel: Kernel = "fast",
    counts: np.ndarray | None = None,
) -> tuple[Float[Tensor, "batch length features"], State]:
    """Read a batch of sequences.

    Args:
        layers: from `build_recurrent`.
        inputs: values beyond a row's length are ignored.
        lengths: the steps of each row, at least 1; None if all have full length.
        state: the first state; None for zeros.
        kernel: see `Kernel`; the numbers are the same up to rounding, except that dropout between layers draws others.
        counts: `lengths` on the host, which packing needs there; None to copy them, for which the host waits.

    Returns:
        The last layer's states after each step, zero beyond a row's length, and all layers' states after its last step.
    """
    if not isinstance(layers, nn.RNNBase):
        return layers(inputs, lengths, state)
    if lengths is None:
        return layers(inputs, state)
    if kernel == "fast" and can_step(layers, inputs, state):
        outputs, state = read_ragged(layers, inputs, lengths, state)
        assert outputs is not None
        return outputs, state
    outputs, state, back = _run_packed(layers, inputs, lengths, state, counts)
    padded = pad_packed_sequence(outputs, batch_first=True, total_length=inputs.shape[1])[0]
    return padded if back is None else padded.index_select(0, back), state


def read_to_end(
    layers: nn.Module,
    inputs: Float[Tensor, "batch length inputs"],
    lengths: Int64[Tensor, " batch"],
    *,
    kernel: Kernel = "fast",
    counts: np.ndarray | None = None,
) -> State:
    """Return the second result of `run_recurrent` only: all layers' states after each row's last step."""
    if not isinstance(layers, nn.RNNBase):
        return layers(inputs, lengths)[1]
    if kernel == "fast" and can_step(layers, inputs, None):
        return read_ragged(layers, inputs, lengths, outputs=False)[1]
    return _run_packed(layers, inputs, lengths, None, counts)[1]


def _run_packed(
    layers: nn.RNNBase, inputs: Tensor, lengths: Tensor, state: State, counts: np.ndarray | None
) -> tuple[PackedSequence, State, Tensor | None]:
    """Return the packed outputs, the last states in the order of the rows, and the places of the rows in the outputs.

    The places are None if unpacking the outputs restores the order.
    """
    if counts is None or inputs.device.type == "cpu":
        # Packing takes lengths on the host, so on a GPU this waits for the device.
        packed = pack_padded_sequence(inputs, lengths.cpu(), batch_first=True, enforce_sorted=False)
        return *layers(packed, state), None
    # Sorting is done here, as `pack_padded_sequence` would wait for its copy to the device.
    order = np.argsort(-counts, kind="stable")
    there, back = (torch.from_numpy(one).to(inputs.device, non_blocking=True) for one in (order, np.argsort(order)))
    sizes = torch.from_numpy(counts[order]).clamp(min=1)
    packed = pack_padded_sequence(inputs.index_select(0, there), sizes, batch_first=True)
    outputs, last = layers(packed, _reordered(state, there))
    return outputs, _reordered(last, back), back


def _reordered(state: State, rows: Tensor) -> State:
    """Return a state with its rows in another order."""
    if state is None or isinstance(state, Tensor):
        return state if state is None else state.index_select(1, rows)
    return tuple(one.index_select(1, rows) for one in state)


class RecurrentClassifier(nn.Module):
    """Recurrent layers over word vectors, and a linear layer over the last layer's final states.

    With `cell="lstm"` and both directions it is the usual BiLSTM; Hochreiter and Schmidhuber 1997,
    https://doi.org/10.1162/neco.1997.9.8.1735, Graves and Schmidhuber 2005,
    https://doi.org/10.1016/j.neunet.2005.06.042.

    Args:
        words: the size of the vocabulary.
        classes: the number of classes; None for a single logit, that of class 1 of two.
        cell: `rnn`, `lstm`, `gru`, or `gru_chung`, which needs the backend `equations`.
        backend: `torch`, or `equations`: the same layers written from their equations.
        dim: the length of a word's vector.
        hidden: the length of the state of each direction.
        layers: the number of layers.
        bidirectional: whether the layers also read from right to left.
        dropout: the share dropped in training: of the vectors, between layers, and of the last states.
        vectors: pre-trained vectors; see `WordEmbedding`.
        embedding_std: the standard deviation of random vectors.
        kernel: see `Kernel`.
    """

    takes_counts: ClassVar[bool] = True
    """Whether `forward` takes the lengths on the host, too."""

    def __init__(
        self,
        words: int,
        classes: int | None,
        *,
        cell: str = "lstm",
        backend: Backend = "torch",
        dim: int = 100,
        hidden: int = 256,
        layers: int = 2,
        bidirectional: bool = True,
        dropout: float = 0.5,
        vectors: Float[Tensor, "words dim"] | None = None,
        embedding_std: float = 1.0,
        kernel: Kernel = "fast",
    ) -> None:
        super().__init__()
        self.title = f"{'Bi' if bidirectional else ''}{TITLES[cell]}"
        self.classes = classes
        self.bidirectional = bidirectional
        self.kernel: Kernel = kernel
        self.embedding = WordEmbedding(words, dim, vectors, embedding_std)
        self.rnn = build_recurrent(cell, backend, dim, hidden, layers, bidirectional=bidirectional, dropout=dropout)
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(2 * hidden if bidirectional else hidden, classes or 1)
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Draw all weights."""
        self.embedding.reset_parameters()
        draw_recurrent_weights(self.rnn)
        draw_linear_weights(self.fc)

    def forward(
        self,
        ids: Int64[Tensor, "batch length"],
        lengths: Int64[Tensor, " batch"],
        counts: Int64[np.ndarray, " batch"] | None = None,
    ) -> Float[Tensor, "batch classes"] | Float[Tensor, " batch"]:
        """Return the logits of each text, padded with `<pad>`; a text without words is read as one `<pad>`.

        `counts` are the lengths on the host, if they are known there.
        """
        vectors = self.dropout(self.embedding(ids))
        state = read_to_end(self.rnn, vectors, lengths.clamp(min=1), kernel=self.kernel, counts=counts)
        states = state[0] if isinstance(state, tuple) else state
        last = torch.cat([states[-2], states[-1]], dim=1) if self.bidirectional else states[-1]
        logits = self.fc(self.dropout(last))
        return logits if self.classes else logits.squeeze(1)


@torch.no_grad()
def draw_linear_weights(linear: nn.Linear) -> None:
    """Draw Xavier-normal weights, and set the biases to zero."""
    nn.init.xavier_normal_(linear.weight)
    linear.bias.zero_()
