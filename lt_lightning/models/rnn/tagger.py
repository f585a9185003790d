"""Answer after each letter of a string: a tagger, and a language model."""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from lt_lightning.models.embedding import LetterEmbedding, OneHot, WordEmbedding
from lt_lightning.models.rnn.classifier import (
    TITLES,
    Backend,
    State,
    build_recurrent,
    draw_linear_weights,
    run_recurrent,
)
from lt_lightning.models.rnn.unrolled import draw_recurrent_weights

Reader = WordEmbedding | LetterEmbedding | OneHot
Head = Literal["direct", "linear"]
Unroll = Literal["steps", "sequence"]


class Tagger(nn.Module):
    """Recurrent layers from left to right, with logits after every letter.

    An answer depends on the letters up to its own only, so the same network is a language model if it is trained to
    predict the next letter. Elman 1990, https://doi.org/10.1207/s15516709cog1402_1.

    Args:
        reader: maps ids to vectors.
        classes: the number of logits after each letter.
        cell: see `RecurrentClassifier`; `none` is an affine map of the letter, without memory, that is softmax
            regression with either head.
        backend: `torch`, or `equations`: the same layers written from their equations.
        head: `direct`: the states are the logits, which then lie in (−1, 1); `linear`: a linear layer computes them.
        unroll: `steps`: call the layers letter by letter, with the state; `sequence`: once.
        hidden: the length of the state; None for the number of classes, which `direct` needs.
        layers: the number of layers.
        dropout: the share dropped in training: of the vectors, between layers, and of the states before the head.
        role: the second half of the network's title.
    """

    def __init__(
        self,
        reader: Reader,
        classes: int,
        *,
        cell: str = "rnn",
        backend: Backend = "torch",
        head: Head = "linear",
        unroll: Unroll = "sequence",
        hidden: int | None = None,
        layers: int = 1,
        dropout: float = 0.0,
        role: str = "tagger",
    ) -> None:
        super().__init__()
        hidden = hidden or classes
        if head == "direct" and hidden != classes:
            raise ValueError(f"a direct head needs as many states as classes, not {hidden} for {classes}")
        self.title = f"{TITLES[cell]} {role}"
        self.unroll: Unroll = unroll
        self.embedding = reader
        if cell == "none":
            self.rnn: nn.Module = nn.Linear(reader.embedding_dim, hidden)
        else:
            self.rnn = build_recurrent(cell, backend, reader.embedding_dim, hidden, layers, dropout=dropout)
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(hidden, classes) if head == "linear" else nn.Identity()
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Draw all weights."""
        self.embedding.reset_parameters()
        if isinstance(self.rnn, nn.Linear):
            draw_linear_weights(self.rnn)
        else:
            draw_recurrent_weights(self.rnn)
        if isinstance(self.fc, nn.Linear):
            draw_linear_weights(self.fc)

    def forward(
        self, ids: Int64[Tensor, "batch length"], lengths: Int64[Tensor, " batch"] | None = None
    ) -> Float[Tensor, "batch length classes"]:
        """Return the logits after each letter; `lengths` are not used, and logits after padding are meaningless."""
        if self.unroll == "sequence":
            return self.read(ids)[0]
        state, logits = None, []
        for step in range(ids.shape[1]):
            answer, state = self.read(ids[:, step : step + 1], state)
            logits.append(answer)
        return torch.cat(logits, dim=1)

    def read(
        self, ids: Int64[Tensor, "batch length"], state: State = None
    ) -> tuple[Float[Tensor, "batch length classes"], State]:
        """Continue from a state, and return the logits after each letter and the state after the last."""
        vectors = self.dropout(self.embedding(ids))
        if isinstance(self.rnn, nn.Linear):
            return self.fc(self.dropout(self.rnn(vectors))), None
        states, state = run_recurrent(self.rnn, vectors, state=state)
        return self.fc(self.dropout(states)), state
