"""Recurrent layers, by torch or from their equations, and a classifier that reads a text to its end with them."""

from __future__ import annotations

from typing import Any, Literal

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from lt_lightning.kernels.ragged_rnn import can_step, read_ragged
from lt_lightning.models.embedding import WordEmbedding
from lt_lightning.models.rnn.unrolled import Recurrent, draw_recurrent_weights

Backend = Literal["torch", "equations"]
"""Whose recurrent layers: torch's, or those of `unrolled`; with the same weights they give the same numbers."""

Kernel = Literal["fast", "reference"]
"""How torch's layers read texts of different lengths: step by step (`ragged`) where that serves, or always packed."""

State = Any
"""What a layer carries from step to step: `(layers · directions, batch, hidden)`; of an LSTM two of them, h and c."""

_TORCH: dict[str, Any] = {"rnn": nn.RNN, "gru": nn.GRU, "gru_chung": nn.GRU, "lstm": nn.LSTM}
TITLES = {"rnn": "RNN", "gru": "GRU", "gru_chung": "GRU (Chung)", "lstm": "LSTM", "none": "softmax"}
"""What people call a network of these cells."""


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
    """Recurrent layers whose parameters have torch's names, shapes and order whatever the backend.

    Args:
        cell: `rnn` (tanh), `gru`, `lstm`; `gru_chung`, of the backend `equations` alone.
        backend: whose layers.
        inputs: the length of what each step is given.
        hidden: the length of the state, each way.
        layers: the number of layers.
        bidirectional: read from both ends.
        dropout: the share dropped in training between layers.

    Returns:
        A module for `run_recurrent`; `draw_recurrent_weights` draws its weights.

    Raises:
        ValueError: torch has no such cell.
    """
    if cell == "gru_chung" and backend == "torch":
        raise ValueError("torch has no gru_chung; use the backend equations")
    between = dropout if layers > 1 else 0.0
    theirs = _TORCH[cell](inputs, hidden, layers, batch_first=True, bidirectional=bidirectional, dropout=between)
    if backend == "torch":
        return theirs
    # Whichever backend, what is drawn after this is the same: the same seed gives the same first weights.
    with torch.random.fork_rng(devices=[]):
        return Recurrent(cell, inputs, hidden, layers, bidirectional=bidirectional, dropout=between)


def run_recurrent(
    layers: nn.Module,
    inputs: Float[Tensor, "batch length inputs"],
    lengths: Int64[Tensor, " batch"] | None = None,
    state: State = None,
    *,
    kernel: Kernel = "fast",
) -> tuple[Float[Tensor, "batch length features"], State]:
    """Read a batch of sequences.

    Args:
        layers: from `build_recurrent`.
        inputs: what is read; what lies beyond a row's length counts for nothing.
        lengths: the steps of each row, at least 1; None where all are of full length.
        state: where to start from; None for zeros.
        kernel: how torch's layers read rows of different lengths; the numbers are the same to rounding, but for the
            dropout between layers, which the two draw in different orders.

    Returns:
        The last layer's states after each step, zero beyond a row's length, and all layers' states after its last.
    """
    if not isinstance(layers, nn.RNNBase):
        return layers(inputs, lengths, state)
    if lengths is None:
        return layers(inputs, state)
    if kernel == "fast" and can_step(layers, inputs, state):
        outputs, state = read_ragged(layers, inputs, lengths, state)
        assert outputs is not None
        return outputs, state
    outputs, state = _run_packed(layers, inputs, lengths, state)
    return pad_packed_sequence(outputs, batch_first=True, total_length=inputs.shape[1])[0], state


def read_to_end(
    layers: nn.Module,
    inputs: Float[Tensor, "batch length inputs"],
    lengths: Int64[Tensor, " batch"],
    *,
    kernel: Kernel = "fast",
) -> State:
    """All layers' states after each row's last step: what `run_recurrent` gives second, for who needs nothing else."""
    if not isinstance(layers, nn.RNNBase):
        return layers(inputs, lengths)[1]
    if kernel == "fast" and can_step(layers, inputs, None):
        return read_ragged(layers, inputs, lengths, outputs=False)[1]
    return _run_packed(layers, inputs, lengths, None)[1]


def _run_packed(layers: nn.RNNBase, inputs: Tensor, lengths: Tensor, state: State) -> tuple[PackedSequence, State]:
    # Packing makes a row's last state, and the start of the backward direction, those of its own last step. It wants
    # lengths on the host: on a GPU, where cuDNN takes packed rows and nothing is faster, that waits for the device.
    packed = pack_padded_sequence(inputs, lengths.cpu(), batch_first=True, enforce_sorted=False)
    return layers(packed, state)


class RecurrentClassifier(nn.Module):
    """Recurrent layers over word vectors; the last layer's final state, of each direction, is classified.

    With `cell="lstm"` and both directions it is the usual BiLSTM; Hochreiter and Schmidhuber 1997,
    https://doi.org/10.1162/neco.1997.9.8.1735, Graves and Schmidhuber 2005, https://doi.org/10.1016/j.neunet.2005.06.042.

    Args:
        words: the size of the vocabulary.
        classes: the number of classes; None for a single logit, that of class 1 of two.
        cell: `rnn`, `gru`, `lstm`, `gru_chung`; see `build_recurrent`.
        backend: whose recurrent layers.
        dim: the length of a word's vector.
        hidden: the length of the state, each way.
        layers: the number of layers.
        bidirectional: read texts from both ends.
        dropout: the share dropped in training: of the vectors, between the layers, and of the last states.
        vectors: pre-trained word vectors; see `WordEmbedding`.
        embedding_std: the standard deviation of word vectors that are drawn.
        kernel: how torch's layers read texts; see `run_recurrent`.
    """

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
        """Draw all weights afresh."""
        self.embedding.reset_parameters()
        draw_recurrent_weights(self.rnn)
        draw_linear_weights(self.fc)

    def forward(
        self, ids: Int64[Tensor, "batch length"], lengths: Int64[Tensor, " batch"]
    ) -> Float[Tensor, "batch classes"] | Float[Tensor, " batch"]:
        """Logits for each text: `(batch, classes)`, or `(batch,)` if there is a single one.

        Args:
            ids: word ids, each row filled up with `<pad>`.
            lengths: the number of words in each row; a text without words is read as one `<pad>`.
        """
        vectors = self.dropout(self.embedding(ids))
        state = read_to_end(self.rnn, vectors, lengths.clamp(min=1), kernel=self.kernel)
        states = state[0] if isinstance(state, tuple) else state
        last = torch.cat([states[-2], states[-1]], dim=1) if self.bidirectional else states[-1]
        logits = self.fc(self.dropout(last))
        return logits if self.classes else logits.squeeze(1)


@torch.no_grad()
def draw_linear_weights(linear: nn.Linear) -> None:
    """Xavier-normal weights, zero biases."""
    nn.init.xavier_normal_(linear.weight)
    if linear.bias is not None:
        linear.bias.zero_()
