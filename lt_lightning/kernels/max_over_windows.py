"""Compute the maximum over time on the CPU: embedding, convolution and maximum in a fraction of the operations.

For each batch and width the cheapest of three ways is chosen; they give the same numbers up to rounding:

- dense: a matrix product of the distinct words and the filters, then look-ups;
- if few entries of these words live: a sparse product instead;
- if few weights of the filters live too: no product; living entries are multiplied and added one by one.

The loops are in `lt_lightning.kernels.windows`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from lt_lightning.kernels import windows as kernels
from lt_lightning.kernels.eligibility import can_replace
from lt_lightning.kernels.living import Array, Living, LivingFilters, LivingRows

Filters = Float[Tensor, "filters dim width"]
SPARSE_WORDS = 0.09
"""Density of a batch's words below which a sparse product is faster. Frequent words may be far denser than all."""
EVENT = 12
"""Measured cost of adding one living product to its window, in entries of a table of answers."""


def runs_compiled(embedding: nn.Embedding, convs: Sequence[nn.Conv1d]) -> bool:
    """Return whether `max_over_windows` supports these layers: `can_replace`, and torch's default gradients."""
    parameters = [p for p in (embedding.weight, *_parameters(convs)) if p is not None]
    usual = not embedding.scale_grad_by_freq and embedding.max_norm is None
    return usual and can_replace([embedding, *convs], parameters)


def max_over_windows(
    embedding: nn.Embedding,
    convs: Sequence[nn.Conv1d],
    ids: Int64[Tensor, "batch length"],
    lengths: Int64[Tensor, " batch"],
    living: Living | None = None,
) -> Float[Tensor, "batch features"]:
    """Return each filter's maximum over the windows of a text, after ReLU.

    Args:
        embedding: the words' vectors. With `sparse=True` the gradient of its weight is a sparse tensor of the rows of
            the batch's words.
        convs: the filters; see `runs_compiled`.
        ids: word ids of at least one text; rows are at least as long as the widest filter.
        lengths: the number of words in each row.
        living: the living entries; all others must be zero, and their gradients are undefined.

    Raises:
        IndexError: a word id inside a text is not in the vocabulary.
        ValueError: `lengths` has another shape, or `living` is of another vocabulary.
    """
    if lengths.shape != ids.shape[:1]:
        raise ValueError(f"lengths of shape {tuple(lengths.shape)} for {len(ids)} texts")
    if living is not None and living.rows is not None and len(living.rows.starts) != len(embedding.weight) + 1:
        raise ValueError(f"living rows of {len(living.rows.starts) - 1} words, not of {len(embedding.weight)}")
    living = living or Living(None, (None,) * len(convs))
    features = _MaxOverWindows.apply(ids, lengths, embedding, living, embedding.weight, *_parameters(convs))
    assert isinstance(features, Tensor)
    return features


class _Words(NamedTuple):
    """The distinct words of a batch."""

    ids: Array  # ascending
    places: Array  # (batch, length) the index of each word in `ids`
    vectors: Array  # (distinct, dim)
    entries: tuple[Array, Array, Array] | None  # their living entries if these are few; see `windows.gather_living`
    living_reads: int  # the number of living entries of all words of the batch


class _MaxOverWindows(torch.autograd.Function):
    """`max_over_windows` with its gradient."""

    @staticmethod
    def forward(
        ctx: Any,
        ids: Int64[Tensor, "batch length"],
        lengths: Int64[Tensor, " batch"],
        embedding: nn.Embedding,
        living: Living,
        vectors: Float[Tensor, "words dim"],
        *parameters: Any,
    ) -> Float[Tensor, "batch features"]:
        """Return the features; `parameters` are weight and bias of each convolution in turn."""
        pairs = list(zip(parameters[::2], parameters[1::2], strict=True))
        words = _find_words(ids, lengths, vectors, max(weight.shape[2] for weight, _ in pairs), living.rows)
        counts = lengths.contiguous().numpy()
        maxima, winners = [], []
        for (weight, bias), alive in zip(pairs, living.filters, strict=True):
            strongest, winner = _strongest(words, counts, weight, alive)
            maxima.append(strongest if bias is None else strongest + bias)
            winners.append(winner)
        features = torch.cat(maxima, dim=1).relu_()
        ctx.save_for_backward(features, *(weight for weight, _ in pairs))
        ctx.words, ctx.winners, ctx.living = words, winners, living
        ctx.padding, ctx.sparse, ctx.vocabulary = embedding.padding_idx, embedding.sparse, len(vectors)
        return features

    @staticmethod
    @once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]: once_differentiable's types say less
        ctx: Any, gradient: Float[Tensor, "batch features"]
    ) -> tuple[Tensor | None, ...]:
        """Return the gradients of the embedding and of each convolution's weight and bias."""
        features, *weights = ctx.saved_tensors
        words: _Words = ctx.words
        gradient = gradient.masked_fill(features <= 0, 0)
        by_vector = np.zeros_like(words.vectors)
        gradients: list[Tensor | None] = []
        parts = gradient.split([len(weight) for weight in weights], dim=1)
        convs = zip(weights, parts, ctx.winners, ctx.living.filters, strict=True)
        for number, (weight, part, winner, living) in enumerate(convs):
            by_weight = _go_back(words, part.contiguous().numpy(), winner, weight, living, by_vector)
            needs_weight, needs_bias = ctx.needs_input_grad[5 + 2 * number : 7 + 2 * number]
            gradients.append(by_weight if needs_weight else None)
            gradients.append(part.sum(dim=0) if needs_bias else None)
        if not ctx.needs_input_grad[4]:
            return *(None,) * 5, *gradients
        by_vector[words.ids == ctx.padding] = 0
        rows, ids = torch.from_numpy(by_vector), torch.from_numpy(words.ids)
        shape = (ctx.vocabulary, rows.shape[1])
        if ctx.sparse:
            by_word = torch.sparse_coo_tensor(ids[None], rows, shape, check_invariants=False, is_coalesced=True)
        else:
            by_word = rows.new_zeros(shape).index_copy_(0, ids, rows)
        return *(None,) * 4, by_word, *gradients


def _find_words(ids: Tensor, lengths: Tensor, embedding: Tensor, widest: int, living: LivingRows | None) -> _Words:
    weight, counts = embedding.detach(), lengths.contiguous().numpy()
    found, places = kernels.find_distinct(ids.contiguous().numpy(), counts, widest, len(weight))
    vectors = weight.numpy().take(found, axis=0)
    if living is None:
        return _Words(found, places, vectors, None, 0)
    entries = kernels.gather_living(vectors, found, *living)
    return _Words(found, places, vectors, entries, kernels.count_living(entries[0], places, counts, widest))


def _strongest(
    words: _Words, lengths: Array, weight: Filters, living: LivingFilters | None
) -> tuple[Float[Tensor, "batch filters"], Array]:
    """Return the maxima of filters of one width, and the first window that has each."""
    filters, dim, width = weight.shape
    maxima = weight.new_empty(len(words.places), filters)
    winners = np.empty(maxima.shape, np.int32)
    if words.entries is not None and living is not None:
        events = words.living_reads * len(living.forth) / dim
        if events * EVENT < words.places.size * filters * width:
            weights = weight.detach().reshape(-1).numpy()[living.forth]
            kernels.strongest_of_living(
                *words.entries, living.dim_starts, living.shifts, weights,
                words.places, lengths, width, maxima.numpy(), winners,
            )  # fmt: skip
            return maxima, winners
    flat = weight.detach().permute(1, 2, 0).reshape(dim, width * filters)
    if words.entries is not None and len(words.entries[1]) < SPARSE_WORDS * words.vectors.size:
        table = flat.new_empty(len(words.ids), width * filters)
        kernels.answer_living(*words.entries, flat.numpy(), table.numpy())
    else:
        table = torch.from_numpy(words.vectors) @ flat
    kernels.strongest_of_table(table.view(-1, width, filters).numpy(), words.places, lengths, maxima.numpy(), winners)
    return maxima, winners


def _go_back(
    words: _Words, gradient: Array, winners: Array, weight: Filters, living: LivingFilters | None, by_vector: Array
) -> Filters:
    """Return the gradient of filters of one width; add that of the words to `by_vector`."""
    weight = weight.detach()
    if living is not None:
        flat = np.zeros(weight.numel(), words.vectors.dtype)
        sums = np.zeros(len(living.back), flat.dtype)
        kernels.backward_living(
            gradient, winners, words.places, words.vectors, living.filter_starts, living.dims, living.positions,
            weight.reshape(-1).numpy()[living.back], by_vector, sums,
        )  # fmt: skip
        flat[living.back] = sums
        return torch.from_numpy(flat).view(weight.shape)
    turned = weight.transpose(1, 2).contiguous()
    by_turned = torch.from_numpy(np.zeros_like(turned.numpy()))
    kernels.backward_dense(gradient, winners, words.places, words.vectors, turned.numpy(), by_vector, by_turned.numpy())
    return by_turned.transpose(1, 2).contiguous()


def _parameters(convs: Sequence[nn.Conv1d]) -> list[Tensor | None]:
    """Return weight and bias of each convolution in turn."""
    return [parameter for conv in convs for parameter in (conv.weight, conv.bias)]
