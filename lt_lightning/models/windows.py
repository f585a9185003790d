"""Maximum over time on the CPU: the same numbers as embedding and convolving every word, from a fraction of the work.

Forward, a filter meets each *distinct* word of the batch once: its answer to a window is the sum of its answers to the
words at their positions in it. Backward, its gradient flows to the one window of each text that won, and nowhere else.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

STRETCH = 8
"""How many windows in a row are compared at once."""


def can_share_words(embedding: nn.Embedding, convs: Sequence[nn.Conv1d]) -> bool:
    """Whether `max_over_distinct_words` serves these layers: on the CPU, in float32 or float64, with dense gradients.

    A layer with a hook must be called as a module, so it does not serve that.
    """
    layers = [embedding, *convs]
    kinds = {(p.device.type, p.layout, p.dtype) for p in (embedding.weight, *_parameters(convs)) if p is not None}
    return (
        not torch.is_autocast_enabled("cpu")
        and not torch.compiler.is_compiling()
        and not torch.jit.is_tracing()  # pyright: ignore[reportPrivateImportUsage]
        and not (embedding.sparse or embedding.scale_grad_by_freq or embedding.max_norm is not None)
        and not any(layer._forward_hooks or layer._forward_pre_hooks or layer._backward_hooks for layer in layers)
        and (kinds == {("cpu", torch.strided, torch.float32)} or kinds == {("cpu", torch.strided, torch.float64)})
    )


def max_over_distinct_words(
    embedding: nn.Embedding,
    convs: Sequence[nn.Conv1d],
    ids: Int64[Tensor, "batch length"],
    lengths: Int64[Tensor, " batch"],
) -> Float[Tensor, "batch features"]:
    """The strongest answer of each filter anywhere in the text, after ReLU.

    Args:
        embedding: gives words their vectors.
        convs: the filters; see `can_share_words`.
        ids: word ids of at least one text, at least as many in a row as the widest filter sees.
        lengths: the number of words in each row.
    """
    parameters = _parameters(convs)
    if torch.is_grad_enabled() and any(p is not None and p.requires_grad for p in [embedding.weight, *parameters]):
        features = _MaxOverDistinctWords.apply(ids, lengths, embedding.padding_idx, embedding.weight, *parameters)
        assert isinstance(features, Tensor)
        return features
    words, places = ids.unique(return_inverse=True)
    vectors = embedding.weight.index_select(0, words)
    maxima = [_add_bias(_answers(vectors, places, lengths, conv.weight).amax(dim=(1, 2)), conv.bias) for conv in convs]
    return torch.cat(maxima, dim=1).relu_()


class _MaxOverDistinctWords(torch.autograd.Function):
    """`max_over_distinct_words`, with a way back."""

    @staticmethod
    def forward(
        ctx: Any,
        ids: Int64[Tensor, "batch length"],
        lengths: Int64[Tensor, " batch"],
        padding: int | None,
        embedding: Float[Tensor, "words dim"],
        *parameters: Tensor | None,
    ) -> Float[Tensor, "batch features"]:
        """The features; `parameters` are weight and bias of each convolution in turn."""
        words, places = ids.unique(return_inverse=True)
        vectors = embedding.index_select(0, words)
        maxima, winners = [], []
        for weight, bias in _pairs(parameters):
            strongest, winner = _strongest(_answers(vectors, places, lengths, weight))
            maxima.append(_add_bias(strongest, bias))
            winners.append(winner)
        features = torch.cat(maxima, dim=1).relu_()
        ctx.save_for_backward(words, places, vectors, features, *winners, *parameters[::2])
        ctx.padding, ctx.vocabulary = padding, len(embedding)
        return features

    @staticmethod
    @once_differentiable
    def backward(  # pyright: ignore[reportIncompatibleMethodOverride]: once_differentiable's types say less
        ctx: Any, gradient: Float[Tensor, "batch features"]
    ) -> tuple[Tensor | None, ...]:
        """The gradients of the embedding and of each convolution's weight and bias."""
        words, places, vectors, features, *rest = ctx.saved_tensors
        winners, weights = rest[: len(rest) // 2], rest[len(rest) // 2 :]
        gradient = gradient.masked_fill(features <= 0, 0)  # as ReLU: none at 0
        gradients, seen, shares = [], [], []
        for number, (winner, weight, part) in enumerate(
            zip(winners, weights, gradient.split([len(weight) for weight in weights], dim=1), strict=True)
        ):
            filters, _, width = weight.shape
            # What each filter saw in the window that won: a row for each of its positions, a column for each text.
            steps = winner[:, :, None] + torch.arange(width)
            seen.append(places.gather(1, steps.flatten(1)).T)
            shares.append(part.T.repeat_interleave(width, dim=0))
            needs_weight, needs_bias = ctx.needs_input_grad[4 + 2 * number : 6 + 2 * number]
            if needs_weight:
                by_position = F.embedding_bag(seen[-1], vectors, mode="sum", per_sample_weights=shares[-1])
                gradients.append(by_position.view(filters, width, -1).transpose(1, 2).contiguous())
            else:
                gradients.append(None)
            gradients.append(part.sum(dim=0) if needs_bias else None)
        if not ctx.needs_input_grad[3]:
            return None, None, None, None, *gradients
        by_position = torch.cat([weight.transpose(1, 2).flatten(0, 1) for weight in weights])
        by_word = _sum_by_word(by_position, words[torch.cat(seen)], torch.cat(shares), ctx.vocabulary)
        if ctx.padding is not None:
            by_word[ctx.padding] = 0
        return None, None, None, by_word, *gradients


def _answers(
    vectors: Float[Tensor, "distinct dim"],
    places: Int64[Tensor, "batch length"],
    lengths: Int64[Tensor, " batch"],
    weight: Float[Tensor, "filters dim width"],
) -> Float[Tensor, "batch stretches stretch filters"]:
    """What the filters answer to each window, without their bias; −∞ to a window that leaves its text.

    Args:
        vectors: those of the distinct words.
        places: which of them each word is.
        lengths: the number of words in each row.
        weight: the filters, of one width.
    """
    filters, dim, width = weight.shape
    by_position = (vectors @ weight.permute(1, 2, 0).reshape(dim, width * filters)).view(-1, filters)
    windows = places.shape[1] - width + 1
    stretches = -(-windows // STRETCH)
    places = F.pad(places, (0, stretches * STRETCH - windows))
    rows = torch.add(torch.arange(width), places.unfold(1, width, 1), alpha=width)
    answers = F.embedding_bag(rows.flatten(0, 1), by_position, mode="sum")
    # Whole rows of few windows, found first: a mask as large as the answers would cost more than they did.
    answers.index_fill_(0, _outside(rows.shape[1], windows, lengths - width).flatten().nonzero().squeeze(1), -torch.inf)
    return answers.view(len(places), stretches, STRETCH, filters)


def _outside(count: int, windows: int, last: Int64[Tensor, " batch"]) -> Bool[Tensor, "batch count"]:
    """Which of `count` windows do not compete: those after the last inside the text, but never the first."""
    return torch.arange(count) > last.clamp(0, windows - 1)[:, None]


def _strongest(
    answers: Float[Tensor, "batch stretches stretch filters"],
) -> tuple[Float[Tensor, "batch filters"], Int64[Tensor, "batch filters"]]:
    """The maximum over windows, and the first window that has it.

    A maximum alone is vectorized where one with its index is not: so first the stretch that has it, then the window.
    """
    strongest, stretch = answers.amax(dim=2).max(dim=1)
    there = stretch[:, None, None].expand(-1, 1, answers.shape[2], -1)
    return strongest, stretch * answers.shape[2] + answers.gather(1, there).squeeze(1).max(dim=1).indices


def _sum_by_word(
    rows: Float[Tensor, "rows dim"], words: Int64[Tensor, "rows batch"], shares: Float[Tensor, "rows batch"], count: int
) -> Float[Tensor, "count dim"]:
    """For each of `count` words the sum of the rows that it is in, each times its share.

    Sorted, so that each row of the result, of which there may be very many, is written once, and in a fixed order.
    """
    order = words.flatten().int().argsort(stable=True)
    counts = words.flatten().bincount(minlength=count)
    which = torch.arange(len(rows)).repeat_interleave(words.shape[1])[order]
    starts = counts.cumsum(0) - counts
    return F.embedding_bag(which, rows, starts, mode="sum", per_sample_weights=shares.flatten()[order])


def _add_bias(
    strongest: Float[Tensor, "batch filters"], bias: Float[Tensor, " filters"] | None
) -> Float[Tensor, "batch filters"]:
    return strongest if bias is None else strongest + bias


def _parameters(convs: Sequence[nn.Conv1d]) -> list[Tensor | None]:
    """Weight and bias of each convolution in turn."""
    return [parameter for conv in convs for parameter in (conv.weight, conv.bias)]


def _pairs(parameters: Sequence[Tensor | None]) -> Iterator[tuple[Tensor, Tensor | None]]:
    for weight, bias in zip(parameters[::2], parameters[1::2], strict=True):
        assert weight is not None
        yield weight, bias
