"""A network that reads a string letter by letter and answers after each letter: a tagger, and a language model."""

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
"""What makes vectors of letters."""
Head = Literal["direct", "linear"]
"""What makes logits of a state: nothing, or a linear layer."""
Unroll = Literal["steps", "sequence"]
"""How a string is fed to the recurrent layers: letter by letter, or as a whole."""


class Tagger(nn.Module):
    """Recurrent layers from left to right, with logits after every letter.

    An answer knows the letters up to its own and none after it. So the same network tags letters, and, asked for the
    next one, is a language model. Elman 1990, https://doi.org/10.1207/s15516709cog1402_1.

    Args:
        reader: makes vectors of ids.
        classes: the number of logits after each letter.
        cell: `rnn`, `gru`, `lstm`, `gru_chung` as in `build_recurrent`; `none`: an affine map of the letter alone, so
            that with either head the network is softmax regression, which remembers nothing.
        backend: whose recurrent layers.
        head: `direct`: the states are the logits, which then lie in (−1, 1); `linear`: a linear layer makes them.
        unroll: `steps`: the layers are called letter by letter, with the state handed on; `sequence`: once.
        hidden: the length of the state; None for as many as there are classes, which `direct` needs.
        layers: the number of layers.
        dropout: the share dropped in training: of the vectors, between the layers, and of the states before the head.
        role: what people call a network that does what this one is for.
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
            raise ValueError(f"a direct head has as many states as classes: {hidden} for {classes}")
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
        """Draw all weights afresh."""
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
        """Logits after each letter; those beyond a row's length mean nothing.

        Args:
            ids: letters, filled up with padding at the end. As no answer looks ahead, it needs no lengths.
            lengths: the number of letters in each row; not used.
        """
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
        """Read on from a state: the logits after each letter, and the state after the last."""
        vectors = self.dropout(self.embedding(ids))
        if isinstance(self.rnn, nn.Linear):
            return self.fc(self.dropout(self.rnn(vectors))), None
        states, state = run_recurrent(self.rnn, vectors, state=state)
        return self.fc(self.dropout(states)), state
