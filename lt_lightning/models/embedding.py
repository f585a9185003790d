"""Words as vectors: random, or GloVe's where GloVe has the word."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from lt_lightning.data.vocabulary import PADDING, UNKNOWN


class WordEmbedding(nn.Embedding):
    """An embedding whose rows start as N(0, std²), or as given vectors; those of `<unk>` and `<pad>` as zero.

    Padding gets no gradient, so its row stays zero.

    Args:
        words: the size of the vocabulary.
        dim: the length of a word's vector.
        vectors: pre-trained vectors; a row of NaN where there is none, which then starts as N(0, std²).
        std: the standard deviation of what is drawn.
    """

    def __init__(
        self, words: int, dim: int, vectors: Float[Tensor, "words dim"] | None = None, std: float = 1.0
    ) -> None:
        if vectors is not None and vectors.shape != (words, dim):
            raise ValueError(f"vectors of shape {tuple(vectors.shape)} for {words} words of {dim} dimensions")
        self._vectors, self._std = vectors, std  # no buffers: they stay out of checkpoints; the next line resets
        super().__init__(words, dim, padding_idx=PADDING)

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Draw the rows afresh."""
        self.weight.normal_(std=self._std)
        if self._vectors is not None:
            vectors = self._vectors.to(self.weight)
            self.weight.copy_(torch.where(vectors.isnan(), self.weight, vectors))
        self.weight[[UNKNOWN, PADDING]] = 0
