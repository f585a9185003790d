"""Embed words and letters: random vectors, GloVe's, or one-hot."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from lt_lightning.data.tokenizer import PADDING, UNKNOWN
from lt_lightning.kernels.windows import find_distinct, sum_by_place


class WordEmbedding(nn.Embedding):
    """An embedding whose rows start as N(0, std²) or as given vectors; those of `<unk>` and `<pad>` start as zero.

    Padding gets no gradient, so its row stays zero.

    Args:
        words: the size of the vocabulary.
        dim: the length of a word's vector.
        vectors: pre-trained vectors; a row of NaN starts as N(0, std²).
        std: the standard deviation of random rows.
    """

    def __init__(
        self, words: int, dim: int, vectors: Float[Tensor, "words dim"] | None = None, std: float = 1.0
    ) -> None:
        if vectors is not None and vectors.shape != (words, dim):
            raise ValueError(f"vectors of shape {tuple(vectors.shape)} for {words} words of {dim} dimensions")
        self._vectors, self._std = vectors, std  # not buffers, which checkpoints would hold; the next line needs them
        super().__init__(words, dim, padding_idx=PADDING)

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Draw the rows."""
        self.weight.normal_(std=self._std)
        if self._vectors is not None:
            vectors = self._vectors.to(self.weight)
            self.weight.copy_(torch.where(vectors.isnan(), self.weight, vectors))
        for row in (UNKNOWN, PADDING):
            self.weight[row].zero_()

    def forward(self, input: Int64[Tensor, "*shape"]) -> Float[Tensor, "*shape dim"]:
        """Return the words' vectors; with `sparse=True` the gradient of `weight` is a sparse tensor of their rows."""
        trains = self.sparse and torch.is_grad_enabled() and not torch.compiler.is_compiling()
        trains = trains and not torch.overrides.has_torch_function((self.weight,))
        if trains and self.weight.device.type == "cpu" and input.numel():
            vectors = _SparseLookUp.apply(input, self.padding_idx, self.weight)
            assert isinstance(vectors, Tensor)
            return vectors
        return super().forward(input)


class _SparseLookUp(torch.autograd.Function):
    """`F.embedding` whose gradient is coalesced: one row per distinct word, sorted."""

    @staticmethod
    def forward(
        ctx: Any, ids: Int64[Tensor, "*shape"], padding: int, weight: Float[Tensor, "words dim"]
    ) -> Float[Tensor, "*shape dim"]:
        ctx.save_for_backward(ids)
        ctx.padding, ctx.words = padding, len(weight)
        return F.embedding(ids, weight)

    @staticmethod
    @once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]: once_differentiable's types say less
        ctx: Any, gradient: Float[Tensor, "*shape dim"]
    ) -> tuple[None, None, Tensor]:
        ids = ctx.saved_tensors[0].reshape(1, -1).numpy()
        found, places = find_distinct(ids, np.array([ids.size]), 0, ctx.words)
        rows = gradient.new_zeros(len(found), gradient.shape[-1])
        sum_by_place(gradient.reshape(ids.size, -1).contiguous().numpy(), places[0], rows.numpy())
        words = torch.from_numpy(found)
        rows[words == ctx.padding] = 0
        shape = (ctx.words, rows.shape[1])
        return None, None, torch.sparse_coo_tensor(words[None], rows, shape, check_invariants=False, is_coalesced=True)


class LetterEmbedding(nn.Embedding):
    """A vector for each id 0 … symbols − 1, drawn from N(0, std²); a larger id is padding and reads any row."""

    def __init__(self, symbols: int, dim: int, std: float = 1.0) -> None:
        self._std = std
        super().__init__(symbols, dim)

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Draw the rows."""
        self.weight.normal_(std=self._std)

    def forward(self, input: Int64[Tensor, "*shape"]) -> Float[Tensor, "*shape dim"]:
        """Return the vectors of ids."""
        return super().forward(input.clamp(max=self.num_embeddings - 1))


class OneHot(nn.Module):
    """Ids 0 … symbols − 1 as vectors with a single 1; a larger id is padding and all zero."""

    def __init__(self, symbols: int) -> None:
        super().__init__()
        self.embedding_dim = symbols
        # A buffer, so that it follows the network's device and precision; the last row is padding's.
        self.register_buffer("vectors", torch.eye(symbols + 1, symbols), persistent=False)

    def reset_parameters(self) -> None:
        """Do nothing: there are no weights."""

    def forward(self, ids: Int64[Tensor, "*shape"]) -> Float[Tensor, "*shape dim"]:
        """Return the vectors of ids."""
        return F.embedding(ids.clamp(max=self.embedding_dim), self.get_buffer("vectors"))
