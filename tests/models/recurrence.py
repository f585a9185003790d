"""Comparison of recurrent layers with torch's: outputs, last states and gradients."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

INPUT, HIDDEN = 3, 4
LAYERS = {"rnn": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}
LENGTHS = torch.tensor([3, 7, 1, 5, 7])


def normal(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


def packed(theirs: nn.RNNBase, inputs: Tensor, lengths: Tensor | None, state: Any) -> tuple[Tensor, Any]:
    """Return torch's outputs and last states."""
    if lengths is None:
        return theirs(inputs, state)
    rows = pack_padded_sequence(inputs, lengths, batch_first=True, enforce_sorted=False)
    outputs, state = theirs(rows, state)
    return pad_packed_sequence(outputs, batch_first=True, total_length=inputs.shape[1])[0], state


def upstream(results: Sequence[Tensor]) -> list[Tensor]:
    """Return gradients of results: those of last states are the same whether or not outputs precede them."""
    seeds = range(4 + len(results), 4, -1)
    return [normal(*one.shape, seed=seed, dtype=one.dtype) for seed, one in zip(seeds, results, strict=True)]


def learn(
    run: Callable[..., tuple[Any, Any]],
    parameters: Sequence[nn.Parameter],
    inputs: Tensor,
    lengths: Tensor | None,
    state: Sequence[Tensor],
    only_states: bool = False,
) -> list[Tensor]:
    """Return outputs, last states, and the gradients of the inputs, the first state and each parameter."""
    sources = [tensor.clone().requires_grad_() for tensor in (inputs, *state)]
    given_state = None if not state else sources[1] if len(state) == 1 else tuple(sources[1:])
    outputs, last = run(sources[0], lengths, given_state)
    results = [*([] if only_states else [outputs]), *([last] if isinstance(last, Tensor) else last)]
    return [*results, *torch.autograd.grad(results, [*sources, *parameters], upstream(results))]


def assert_all_close(ours: Sequence[Tensor], theirs: Sequence[Tensor], atol: float) -> None:
    """Compare to `atol`, or to that share of the largest entry if it is above 1, as summed gradients may be."""
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=atol * max(1.0, float(other.detach().abs().max())))
