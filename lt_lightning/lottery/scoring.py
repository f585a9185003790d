"""Call a criterion with the inputs that it names, and check its scores."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from lt_lightning.lottery.criteria import CRITERIA, Criterion
from lt_lightning.lottery.functions import call_with_inputs, function_name, load_function
from lt_lightning.lottery.mask import Mask
from lt_lightning.lottery.pruning import load_scope
from lt_lightning.lottery.settings import LotteryError, Settings


def load_functions(settings: Settings) -> None:
    """Raise LotteryError if a user's criterion or scope cannot be imported or is not a function."""
    load_function("criterion", settings.criterion, CRITERIA)
    load_scope(settings.scope)


def compute_scores(
    criterion: str | Criterion, mask: Mask, gradients: Callable[[], Mapping[str, Tensor]] | None = None, **inputs: Any
) -> dict[str, Tensor]:
    """Call a criterion with the inputs that it asks for, and check its scores.

    Args:
        criterion: a key of `CRITERIA`, a dotted path or a function.
        mask: the entries alive so far; scores of pruned entries become 0 where the criterion is not a built-in one.
        gradients: computes the gradients of the loss, for criteria that have an argument `gradients`.
        inputs: `parameters` and further inputs, by name.

    Returns:
        For each parameter of `mask` the scores, of its shape and on its device.

    Raises:
        LotteryError: if the criterion cannot be loaded, asks for an unknown input, or returns scores that are
            missing, of another shape, not real or not finite.
    """
    function, name = load_function("criterion", criterion, CRITERIA), function_name(criterion)
    computed = {} if gradients is None else {"gradients": gradients}
    returned = call_with_inputs("criterion", function, name, {**inputs, "mask": mask}, computed)
    if function in CRITERIA.values():
        return dict(returned)
    if not isinstance(returned, Mapping):
        raise LotteryError(
            f"criterion: {name} returned a {type(returned).__name__}; return a dictionary of tensors by parameter name"
        )
    return {key: _checked(returned.get(key), alive, f"{name} returned for {key!r}") for key, alive in mask.items()}


def _checked(scores: Any, alive: Tensor, what: str) -> Tensor:
    """Return scores on the mask's device with 0 at pruned entries; raise LotteryError if they cannot be ranked."""
    if not isinstance(scores, Tensor):
        raise LotteryError(f"criterion: {what} a {type(scores).__name__}; return a tensor of scores")
    if scores.shape != alive.shape:
        raise LotteryError(
            f"criterion: {what} scores of shape {tuple(scores.shape)}; return one score per entry, {tuple(alive.shape)}"
        )
    if scores.is_complex() or scores.dtype == torch.bool:
        raise LotteryError(f"criterion: {what} scores of type {scores.dtype}; return real numbers")
    scores = scores.detach().to(alive.device).masked_fill(~alive, 0)
    if not scores.isfinite().all():
        raise LotteryError(f"criterion: {what} scores that are not finite; return finite numbers")
    return scores
