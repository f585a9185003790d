"""Loading a criterion, calling it with the inputs that it asks for, and checking its scores."""

from __future__ import annotations

import inspect
import pkgutil
from collections.abc import Mapping
from typing import Any, cast

import torch
from torch import Tensor

from lt_lightning.lottery.criteria import CRITERIA, Criterion
from lt_lightning.lottery.mask import Mask
from lt_lightning.lottery.settings import LotteryError


def load_criterion(criterion: str | Criterion) -> Criterion:
    """Return the function that a checked setting names.

    Raises:
        LotteryError: if a dotted path cannot be imported or does not lead to a function.
    """
    if not isinstance(criterion, str):
        return criterion
    if criterion in CRITERIA:
        return CRITERIA[criterion]
    try:
        function = pkgutil.resolve_name(criterion)
    except Exception as error:  # importing a user's module may raise anything
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise LotteryError(
            f"criterion: {criterion!r} cannot be imported ({reason}); check the path, and add the folder of its "
            "package to PYTHONPATH"
        ) from error
    if not callable(function):
        raise LotteryError(f"criterion: {criterion!r} is a {type(function).__name__}, not a function; give a function")
    return cast("Criterion", function)


def criterion_name(criterion: str | Criterion) -> str:
    """Return a criterion's key in `CRITERIA`, or its dotted path.

    >>> criterion_name("magnitude"), criterion_name(CRITERIA["random"])
    ('magnitude', 'lt_lightning.lottery.criteria.random')
    """
    if isinstance(criterion, str):
        return criterion
    named = criterion if hasattr(criterion, "__qualname__") else type(criterion)
    return f"{named.__module__}.{named.__qualname__}"


def compute_scores(criterion: str | Criterion, mask: Mask, **inputs: Any) -> dict[str, Tensor]:
    """Call a criterion with the inputs that it asks for, and check its scores.

    Args:
        criterion: a key of `CRITERIA`, a dotted path or a function.
        mask: the entries alive so far; scores of pruned entries become 0 where the criterion is not a built-in one.
        inputs: `parameters` and further inputs, by name.

    Returns:
        For each parameter of `mask` the scores, of its shape and on its device.

    Raises:
        LotteryError: if the criterion cannot be loaded, asks for an unknown input, or returns scores that are
            missing, of another shape, not real or not finite.
    """
    function = load_criterion(criterion)
    name = criterion_name(criterion)
    returned = _call(function, name, {**inputs, "mask": mask})
    if function in CRITERIA.values():
        return dict(returned)
    if not isinstance(returned, Mapping):
        raise LotteryError(
            f"criterion: {name} returned a {type(returned).__name__}; return a dictionary of tensors by parameter name"
        )
    return {key: _checked(returned.get(key), alive, f"{name} returned for {key!r}") for key, alive in mask.items()}


def _call(function: Criterion, name: str, inputs: Mapping[str, Any]) -> Any:
    """Call `function` with the inputs that its signature names."""
    try:
        signature = inspect.signature(function)
    except ValueError:  # some functions written in C have none
        return function(inputs["parameters"])
    positional, named = [], {}
    for index, argument in enumerate(signature.parameters.values()):
        if argument.kind is argument.VAR_KEYWORD:
            named = {**inputs, **named}
            if positional:
                del named["parameters"]
        elif argument.kind is argument.VAR_POSITIONAL:
            continue
        elif argument.name in inputs and argument.kind is not argument.POSITIONAL_ONLY:
            named[argument.name] = inputs[argument.name]
        elif index == 0 and argument.kind is not argument.KEYWORD_ONLY:
            positional.append(inputs["parameters"])
        elif argument.default is argument.empty:
            raise LotteryError(
                f"criterion: {name} asks for {argument.name!r}, which is none of {', '.join(inputs)}; rename it, or "
                "give it a default"
            )
    return function(*positional, **named)


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
