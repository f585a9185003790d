"""Classify texts by convolution over words and maximum over time; Kim 2014, https://arxiv.org/abs/1408.5882."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int64
from torch import Tensor, nn

from lt_lightning.data.tokenizer import PADDING
from lt_lightning.kernels.max_over_windows import Living, max_over_windows, runs_compiled
from lt_lightning.models.embedding import WordEmbedding

WIDTHS = (3, 4, 5)
"""Default widths of the filters, in words."""
Initializer = Literal["xavier", "xavier_2d"]
Kernel = Literal["fast", "reference"]
Ids = Int64[Tensor, "batch length"]
Lengths = Int64[Tensor, " batch"]


class MultiCNN(nn.Module):
    """A convolutional classifier with one logit per class.

    Args:
        words: the size of the vocabulary.
        classes: the number of classes.
        dim: the length of a word's vector.
        filters: the number of filters of each width, or a list of these.
        widths: the widths of the filters, in words.
        dropout: the share of the features dropped in training.
        vectors: pre-trained vectors; see `WordEmbedding`.
        embedding_std: the standard deviation of random vectors.
        initializer: `xavier`, Xavier-normal with a window's fans; `xavier_2d`, with the fans of the same filters
            written as Conv2d over an image of one channel, whose fan-out is `dim` times as large: with 100 dimensions
            weights are about a seventh as large.
        kernel: `fast`, or `reference`: layer by layer, the same numbers up to rounding; see `max_over_time`. Second
            derivatives and `torch.func` need `reference`.

    Examples:
        >>> sum(parameter.numel() for parameter in MultiCNN(50_002, 4).parameters())
        5121704
    """

    def __init__(
        self,
        words: int,
        classes: int,
        *,
        dim: int = 100,
        filters: int | Sequence[int] = 100,
        widths: Sequence[int] = WIDTHS,
        dropout: float = 0.5,
        vectors: Float[Tensor, "words dim"] | None = None,
        embedding_std: float = 1.0,
        initializer: Initializer = "xavier",
        kernel: Kernel = "fast",
    ) -> None:
        super().__init__()
        self._initializer: Initializer = initializer
        self._kernel: Kernel = kernel
        self._living: Living | None = None
        self.embedding = WordEmbedding(words, dim, vectors, embedding_std)
        counts = [filters] * len(widths) if isinstance(filters, int) else list(filters)
        self.convs = nn.ModuleList(nn.Conv1d(dim, *one) for one in zip(counts, widths, strict=True))
        self.dropout = nn.Dropout(dropout)
        self.fc = nn.Linear(sum(counts), classes)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw all weights."""
        self.embedding.reset_parameters()
        for layer in (*self.convs, self.fc):
            assert isinstance(layer, nn.Conv1d | nn.Linear)
            assert layer.bias is not None
            # (filters, dim, width) seen as (filters, 1, dim, width): xavier_normal_ takes the fans from the shape.
            image = self._initializer == "xavier_2d" and isinstance(layer, nn.Conv1d)
            nn.init.xavier_normal_(layer.weight.unsqueeze(1) if image else layer.weight)
            nn.init.zeros_(layer.bias)

    def skip_pruned(self, alive: Mapping[str, Tensor] | None) -> None:
        """Leave pruned entries out of the arithmetic from now on; they must be zero, and stay zero.

        Args:
            alive: boolean tensors by parameter name; all entries of other parameters live. None: compute with all
                entries.
        """
        names = [f"convs.{number}.weight" for number in range(len(self.convs))]
        self._living = None if alive is None else Living.of(alive.get("embedding.weight"), [*map(alive.get, names)])

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_living": None}  # the weights of a copy may change

    def _load_from_state_dict(self, *arguments: Any) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        self._living = None
        super()._load_from_state_dict(*arguments)

    def forward(self, ids: Ids, lengths: Lengths) -> Float[Tensor, "batch logits"]:
        """Return the logits of each text, a row of word ids padded with `<pad>`, and its number of words."""
        features = max_over_time(self.embedding, self.convs, ids, lengths, kernel=self._kernel, living=self._living)
        return self.fc(self.dropout(features))


class BinaryCNN(MultiCNN):
    """A convolutional classifier with a single logit, that of class 1 of two; arguments as for `MultiCNN`.

    Examples:
        >>> sum(parameter.numel() for parameter in BinaryCNN(50_002).parameters())
        5120801
    """

    def __init__(self, words: int, **settings: Any) -> None:
        super().__init__(words, 1, **settings)

    def forward(self, ids: Ids, lengths: Lengths) -> Float[Tensor, " batch"]:
        """Return the logit of class 1 for each text; arguments as for `MultiCNN`."""
        return super().forward(ids, lengths).squeeze(1)


def max_over_time(
    embedding: nn.Embedding,
    convs: Iterable[nn.Module],
    ids: Ids,
    lengths: Lengths,
    *,
    kernel: Kernel = "fast",
    living: Living | None = None,
) -> Float[Tensor, "batch features"]:
    """Return each filter's maximum over the windows of a text, after ReLU; rows of `ids` are padded with `<pad>`.

    Only windows inside the text compete, so that the result does not depend on padding. A text shorter than a filter
    has one window, from its first word into the zeros of the padding.

    The kernel `fast` uses `max_over_windows` where it is supported (on the CPU), with the living entries `living`, and
    gives the same numbers up to rounding; `reference` always uses `max_over_layers`.
    """
    layers = [conv for conv in convs if isinstance(conv, nn.Conv1d)]
    widest = max(conv.kernel_size[0] for conv in layers)
    if ids.shape[1] < widest:
        ids = F.pad(ids, (0, widest - ids.shape[1]), value=PADDING)
    if kernel == "fast" and len(ids) and runs_compiled(embedding, layers):
        return max_over_windows(embedding, layers, ids, lengths, living)
    return max_over_layers(embedding, layers, ids, lengths)


def max_over_layers(
    embedding: nn.Embedding, convs: Iterable[nn.Conv1d], ids: Ids, lengths: Lengths
) -> Float[Tensor, "batch features"]:
    """Compute `max_over_time` layer by layer, on any device and in any precision."""
    # Transposed and copied once here; otherwise each convolution would do so, forward and backward.
    vectors = embedding(ids).transpose(1, 2).contiguous()
    features = []
    for conv in convs:
        windows = conv(vectors)
        last = (lengths - conv.kernel_size[0]).clamp(min=0)
        outside = torch.arange(windows.shape[2], device=ids.device) > last[:, None]
        # −∞ is added, not filled in: the same maximum, and the gradient of an addition costs nothing.
        handicap = windows.new_zeros(outside.shape).masked_fill_(outside, -torch.inf)
        features.append((windows + handicap[:, None]).max(dim=2).values)
    # ReLU after the maximum: the same numbers for a hundredth of the work.
    return torch.cat(features, dim=1).relu()
