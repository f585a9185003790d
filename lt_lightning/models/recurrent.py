"""A bidirectional LSTM that reads a text to its end, from both ends."""

from __future__ import annotations

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence

from lt_lightning.models.embedding import WordEmbedding


class BiLSTM(nn.Module):
    """Two layers of LSTM in both directions; the last state of each direction is classified.

    Hochreiter and Schmidhuber 1997, https://doi.org/10.1162/neco.1997.9.8.1735.

    Args:
        words: the size of the vocabulary.
        classes: the number of classes; None for a single logit, that of class 1 of two.
        dim: the length of a word's vector.
        hidden: the length of the state, each way.
        layers: the number of layers.
        dropout: the share dropped in training: of the vectors, between the layers, and of the last states.
        vectors: pre-trained word vectors; see `WordEmbedding`.
        embedding_std: the standard deviation of word vectors that are drawn.
    """

    def __init__(
        self,
        words: int,
        classes: int | None,
        *,
        dim: int = 100,
        hidden: int = 256,
        layers: int = 2,
        dropout: float = 0.5,
        vectors: Float[Tensor, "words dim"] | None = None,
        embedding_std: float = 1.0,
    ) -> None:
        super().__init__()
        self.classes = classes
        self.embedding = WordEmbedding(words, dim, vectors, embedding_std)
        self.lstm = nn.LSTM(
            dim, hidden, layers, batch_first=True, bidirectional=True, dropout=dropout if layers > 1 else 0.0
        )
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(2 * hidden, classes or 1)
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Draw all weights afresh."""
        self.embedding.reset_parameters()
        for name, weight in self.lstm.named_parameters():
            if name.startswith("weight_ih"):
                nn.init.xavier_normal_(weight)
            elif name.startswith("weight_hh"):
                nn.init.orthogonal_(weight)
            else:
                weight.zero_()
        nn.init.xavier_normal_(self.fc.weight)
        self.fc.bias.zero_()

    def forward(
        self, ids: Int64[Tensor, "batch length"], lengths: Int64[Tensor, " batch"]
    ) -> Float[Tensor, "batch classes"] | Float[Tensor, " batch"]:
        """Logits for each text: `(batch, classes)`, or `(batch,)` if there is a single one.

        Args:
            ids: word ids, each row filled up with `<pad>`.
            lengths: the number of words in each row; a text without words is read as one `<pad>`.
        """
        vectors = self.dropout(self.embedding(ids))
        # Packing makes the backward direction start at each text's own last word.
        packed = pack_padded_sequence(vectors, lengths.clamp(min=1).cpu(), batch_first=True, enforce_sorted=False)
        _, (states, _) = self.lstm(packed)
        logits = self.fc(self.dropout(torch.cat([states[-2], states[-1]], dim=1)))
        return logits if self.classes else logits.squeeze(1)
