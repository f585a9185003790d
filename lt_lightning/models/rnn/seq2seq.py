"""Map strings to strings: an encoder reads one into a state, a decoder writes the other from it."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from lt_lightning.models.embedding import LetterEmbedding
from lt_lightning.models.rnn.classifier import TITLES, Backend, build_recurrent, draw_linear_weights, run_recurrent
from lt_lightning.models.rnn.unrolled import draw_recurrent_weights


class EncoderDecoder(nn.Module):
    """Sequence to sequence without attention: the decoder starts from the encoder's last state.

    Sutskever, Vinyals and Le 2014, https://arxiv.org/abs/1409.3215; Cho et al. 2014, https://arxiv.org/abs/1406.1078.
    Letters are the ids 0 … letters − 1. The id `letters` is the decoder's first input and ends its strings; in the
    encoder's inputs it is padding.

    Args:
        letters: the size of the alphabet.
        cell: the cell of encoder and decoder; see `RecurrentClassifier`.
        backend: `torch`, or `equations`: the same layers written from their equations.
        dim: the length of a letter's vector.
        hidden: the length of the state.
        layers: the number of layers of encoder and decoder each.
        dropout: the share dropped in training: of the vectors, between layers, and of the states before the head.
        embedding_std: the standard deviation of the entries of letters' vectors.
    """

    takes_counts: ClassVar[bool] = True

    def __init__(
        self,
        letters: int,
        *,
        cell: str = "gru",
        backend: Backend = "torch",
        dim: int = 64,
        hidden: int = 256,
        layers: int = 1,
        dropout: float = 0.0,
        embedding_std: float = 1.0,
    ) -> None:
        super().__init__()
        self.title = f"{TITLES[cell]} encoder-decoder"
        self.end = letters
        self.source_embedding = LetterEmbedding(letters, dim, embedding_std)
        self.encoder = build_recurrent(cell, backend, dim, hidden, layers, dropout=dropout)
        self.target_embedding = LetterEmbedding(letters + 1, dim, embedding_std)
        self.decoder = build_recurrent(cell, backend, dim, hidden, layers, dropout=dropout)
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(hidden, letters + 1)
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Draw all weights."""
        self.source_embedding.reset_parameters()
        self.target_embedding.reset_parameters()
        draw_recurrent_weights(self.encoder)
        draw_recurrent_weights(self.decoder)
        draw_linear_weights(self.fc)

    def forward(
        self,
        sources: Int64[Tensor, "batch source_length"],
        source_lengths: Int64[Tensor, " batch"],
        given: Int64[Tensor, "batch length"],
        counts: Int64[np.ndarray, " batch"] | None = None,
    ) -> Float[Tensor, "batch length symbols"]:
        """Return the logits of the letter after each given one (teacher forcing).

        `sources` are the strings to read, padded, and `source_lengths` their numbers of letters, at least 1. `given`
        are the decoder's inputs: `end`, then the letters of the target. `counts` are `source_lengths` on the host.
        """
        return self._write(given, self._read(sources, source_lengths, counts))[0]

    @torch.no_grad()
    def greedy(
        self, sources: Int64[Tensor, "batch source_length"], source_lengths: Int64[Tensor, " batch"], steps: int
    ) -> Int64[Tensor, "batch steps"]:
        """Return the strings that the decoder writes, the likeliest letter each time; `end` from a string's end on."""
        state = self._read(sources, source_lengths)
        letter = torch.full_like(sources[:, :1], self.end)
        ended = torch.zeros_like(letter, dtype=torch.bool)
        written = []
        for _ in range(steps):
            logits, state = self._write(letter, state)
            letter = logits.argmax(dim=2).masked_fill(ended, self.end)
            ended |= letter == self.end
            written.append(letter)
        return torch.cat(written, dim=1)

    def _read(self, sources: Tensor, lengths: Tensor, counts: np.ndarray | None = None) -> object:
        # Most batches hold strings of one length: then there is nothing to pack.
        known = lengths if counts is None else counts
        uneven = lengths if bool((known != sources.shape[1]).any()) else None
        return run_recurrent(self.encoder, self.dropout(self.source_embedding(sources)), uneven, counts=counts)[1]

    def _write(self, given: Tensor, state: object) -> tuple[Tensor, object]:
        states, state = run_recurrent(self.decoder, self.dropout(self.target_embedding(given)), state=state)
        return self.fc(self.dropout(states)), state
