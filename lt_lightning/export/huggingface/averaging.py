"""Fill the last layer of a BERT-like encoder so that it computes a linear function of the mean state.

The classes of transformers classify the state of the first piece, while a ticket with `pooling=mean` classifies the
mean over all pieces. One more layer of the same kind moves the mean to the first piece:

1. Its queries and keys are zero, so that every piece attends to all pieces alike. Its values are z and −z, where z is
   the linear function, so that the attention's output is z of the mean.
2. The output matrix multiplies them by `_LOUD`, beside which the state that is added to them vanishes.
3. The other entries are a constant pattern of ±`_CONSTANT`, beside which z does not change the variance, so that the
   normalization is a multiplication by a known number. The scale of the normalization undoes it.
4. The feed-forward part adds a second pattern for the second normalization.

z − (−z) is free of the rounding of the normalization's mean. All large numbers are powers of two, and the result is
exact to the rounding of float32; in float16 they are infinite.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

_LOUD, _CONSTANT = 2.0**26, 2.0**42
_SECOND = 2.0**17

_NAMES = (
    # value, output, its normalization, second feed-forward matrix, its normalization
    (
        "attention.self.value",
        "attention.output.dense",
        "attention.output.LayerNorm",
        "output.dense",
        "output.LayerNorm",
    ),
    ("attention.v_lin", "attention.out_lin", "sa_layer_norm", "ffn.lin2", "output_layer_norm"),
)
"""The parts of a layer of BERT, RoBERTa and ELECTRA, and of DistilBERT."""


class Linear(NamedTuple):
    """A linear function of a state."""

    weight: Tensor  # (classes, hidden)
    bias: Tensor  # (classes,)


@torch.no_grad()
def fill_averaging_layer(layer: nn.Module, function: Linear) -> Linear | None:
    """Fill a layer, and return the linear function of its output at the first piece that is `function` of the mean.

    Returns:
        The function; None if the layer has other parts, or is too narrow.
    """
    modules: dict[str, Any] = dict(layer.named_modules())
    names = next((names for names in _NAMES if all(name in modules for name in names)), None)
    classes, hidden = function.weight.shape
    constants = (hidden - 2 * classes) // 2 * 2  # as many +1 as −1
    if names is None or constants < 2:
        return None
    for parameter in layer.parameters():
        parameter.zero_()
    value, output, first, forward, second = (modules[name] for name in names)
    pairs = slice(0, 2 * classes)
    pattern = torch.tensor([1.0, -1.0]).repeat(constants // 2)
    constant = slice(2 * classes, 2 * classes + constants)
    value.weight[pairs] = signed_pairs(function.weight)
    output.weight.diagonal()[pairs] = _LOUD
    output.bias[pairs] = _LOUD * signed_pairs(function.bias)
    output.bias[constant] = _CONSTANT * pattern
    share = (constants / hidden) ** 0.5
    first.weight[pairs] = _CONSTANT / _LOUD * share
    forward.bias[constant] = _SECOND * pattern
    second.weight[pairs] = _SECOND * share
    weight = torch.zeros_like(function.weight)
    rows = torch.arange(classes)
    weight[rows, 2 * rows], weight[rows, 2 * rows + 1] = 0.5, -0.5
    return Linear(weight, torch.zeros_like(function.bias))


def signed_pairs(rows: Tensor) -> Tensor:
    """Return each row of a tensor (n, …), followed by its negative: (2n, …)."""
    return torch.stack([rows, -rows], dim=1).flatten(0, 1)
