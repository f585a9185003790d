"""Score entries by a criterion: collect the inputs that it asks for, call it, and check its scores."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor, nn

from lt_lightning.lottery.criteria import CRITERIA, Criterion, fisher, magnitude, random, snip, synflow, taylor
from lt_lightning.lottery.functions import arguments_of, call_with_inputs, function_name, load_function
from lt_lightning.lottery.mask import Mask
from lt_lightning.lottery.scores.gradients import mean_gradient, movement_of
from lt_lightning.lottery.scores.losses import Losses
from lt_lightning.lottery.scores.preserving import evaluating, pruned, set_sparse
from lt_lightning.lottery.selection import prunable_parameters
from lt_lightning.lottery.settings import LotteryError

Sources = Mapping[str, Callable[[], Any]]
"""Functions that compute the inputs which only some criteria ask for, called when one does.

The names are `losses` (`Losses`, or an iterable that they take), `example`, `initial`, `movement`, and `gradients`,
which are computed from `losses` by default. `module` returns the module that losses and example belong to, such as a
copy of the network; its parameters are scored in place of the network's.
"""

_NEEDED = {
    "losses": "losses, one function per batch that returns its mean loss",
    "gradients": "losses, one function per batch that returns its mean loss",
    "example": "an example of the network's input",
    "initial": "the first weights, initial, by name",
    "movement": "losses, or the movement of each parameter by name",
}
"""The inputs that may be missing, and their descriptions."""

_RUNNING = ("losses", "gradients", "example", "module")
"""The inputs for which the network is in evaluation mode, with zeros for pruned entries."""

_ZERO_WITH_WEIGHTS = (snip, taylor, fisher, synflow)
"""Criteria whose scores are zero where weights are."""

_FINITE = (magnitude, random)
"""Criteria whose scores are finite and of the right shape wherever the weights are."""


def asks_for(criterion: str | Criterion, *names: str) -> bool:
    """Return whether a criterion has an argument of one of these names."""
    return not arguments_of(load_function("criterion", criterion, CRITERIA)).keys().isdisjoint(names)


def compute_scores(
    criterion: str | Criterion,
    mask: Mask,
    *,
    module: nn.Module,
    parameters: Mapping[str, Tensor],
    generator: torch.Generator,
    sources: Sources | None = None,
    options: Mapping[str, Any] | None = None,
) -> dict[str, Tensor]:
    """Call a criterion with the inputs that it asks for, and check its scores.

    The module, its parameters and buffers, and random states are as before, also after an error.

    Args:
        criterion: a key of `CRITERIA`, a dotted path or a function.
        mask: the entries alive so far. Pruned entries are zero while a network runs, and get the score 0.
        module: the network.
        parameters: its prunable parameters by name.
        generator: for criteria that draw numbers.
        sources: compute further inputs.
        options: values of the criterion's other arguments.

    Returns:
        For each parameter of `mask` the scores, of its shape.

    Raises:
        LotteryError: if the criterion cannot be loaded, asks for an input that is unknown or missing, lacks an option,
            or returns scores that are missing, of another shape, not real or not finite.
    """
    function, name = load_function("criterion", criterion, CRITERIA), function_name(criterion)
    arguments, sources, options = arguments_of(function), sources or {}, options or {}
    _check_options(name, arguments, options)
    _check_inputs(name, arguments, {*sources, *options})
    runs = not arguments.keys().isdisjoint(_RUNNING) or _derives_movement(arguments, {*sources, *options})
    if runs and "module" in sources:
        module = sources["module"]()
        everyone = dict(module.named_parameters())
        parameters = {key: everyone[key] for key in parameters}
    inputs = {"parameters": parameters, "generator": generator, "mask": mask, "module": module, **options}
    with ExitStack() as stack:
        if runs:
            stack.enter_context(evaluating(module, parameters.values()))
            set_sparse(module, False)
        if runs and function is not synflow:  # which works on copies
            stack.enter_context(pruned(module, parameters, mask))
        returned = call_with_inputs("criterion", function, name, inputs, _computed(sources, module, parameters))
    if function in CRITERIA.values():
        for key, scores in returned.items() if function not in _FINITE else ():
            _require_finite(scores, f"{name} returned for {key!r}")
        return dict(returned) if function in _ZERO_WITH_WEIGHTS else _masked(returned, mask)
    if not isinstance(returned, Mapping):
        raise LotteryError(
            f"criterion: {name} returned a {type(returned).__name__}; return a dictionary of tensors by parameter name"
        )
    return {key: _checked(returned.get(key), alive, f"{name} returned for {key!r}") for key, alive in mask.items()}


def score(
    criterion: str | Criterion,
    module: nn.Module,
    *,
    losses: Iterable[Any] | None = None,
    example: Any = None,
    mask: Mapping[str, Tensor] | None = None,
    params: Mapping[str, Tensor] | Iterable[str] | None = None,
    seed: int = 0,
    **options: Any,
) -> dict[str, Tensor]:
    """Return the scores of a module's parameters: the lowest would be pruned first.

    The module is scored in evaluation mode. Parameters, buffers, `.grad`, training flags and random states are as
    before, also after an error.

    Args:
        criterion: a key of `CRITERIA`, a dotted path or a function; see `lt_lightning.lottery.criteria`.
        module: the network.
        losses: for each batch a function without arguments that returns its mean loss, for `snip`, `taylor`, `grasp`,
            `fisher` and `movement`. Batches count by their rows: the attribute `rows` of a function, the second part
            of a pair (function, rows), or of a pair (loss, rows) that the function returns; else they count equally.
        example: an input of the network or a tuple of its arguments, for `synflow`.
        mask: boolean tensors by parameter name: entries that are False count as zero weights, and get the score 0.
        params: the parameters to score, by name, or their names; by default all that train.
        seed: seeds `random`.
        options: other arguments of the criterion: `temperature` of `grasp`; `initial` of `magnitude_increase`, the
            first weights by name; `movement`, −Σ g ⊙ w over steps, instead of that over `losses`.

    Returns:
        For each parameter a tensor of its shape, not normalized.

    Raises:
        LotteryError: if an input that the criterion needs is missing or does not fit, an option is unknown, or scores
            are not finite.

    Examples:
        >>> linear = nn.Linear(2, 1, bias=False)
        >>> with torch.no_grad():
        ...     _ = linear.weight.copy_(torch.tensor([[3.0, -1.0]]))
        >>> score("snip", linear, losses=[lambda: linear(torch.tensor([1.0, 2.0])).sum()])
        {'weight': tensor([[3., 2.]])}
    """
    parameters = _chosen(module, params)
    whole = Mask.ones(parameters)
    if mask is not None:
        known = dict(module.named_parameters(remove_duplicate=False))
        for name, alive in mask.items():
            if name not in known:
                raise LotteryError(f"mask: it names {name!r}, which the module does not have; leave it out")
            if not isinstance(alive, Tensor) or alive.dtype != torch.bool:
                raise LotteryError(f"mask: that of {name!r} is no boolean tensor; True is alive")
            if name in whole and alive.shape != whole[name].shape:
                shapes = f"{tuple(alive.shape)}, the parameter {tuple(whole[name].shape)}"
                raise LotteryError(f"mask: that of {name!r} has shape {shapes}: they are of different models")
        whole = Mask({name: mask.get(name, alive).to(alive.device) for name, alive in whole.items()})
    sources: dict[str, Callable[[], Any]] = {}
    if losses is not None:
        given = Losses.of(losses)
        sources["losses"] = lambda: given
    if example is not None:
        sources["example"] = lambda: example
    return compute_scores(
        criterion, whole, module=module, parameters=parameters, generator=torch.Generator().manual_seed(seed),
        sources=sources, options=options,
    )  # fmt: skip


def _chosen(module: nn.Module, params: Mapping[str, Tensor] | Iterable[str] | None) -> dict[str, Tensor]:
    """Return the parameters to score by name."""
    if params is None:
        return dict(prunable_parameters(module))
    if isinstance(params, Mapping):
        return dict(params)
    everyone = dict(module.named_parameters(remove_duplicate=False))
    names = [params] if isinstance(params, str) else list(params)
    for name in names:
        if name not in everyone:
            raise LotteryError(f"params: there is no parameter {name!r}; there are: {', '.join(everyone)}")
    return {name: everyone[name] for name in names}


def _computed(sources: Sources, module: nn.Module, parameters: Mapping[str, Tensor]) -> Sources:
    """Return the sources, and those that can be derived from losses."""
    computed = {name: source for name, source in sources.items() if name != "module"}
    if "losses" not in sources:
        return computed

    def losses() -> Losses:
        return Losses.of(sources["losses"]())

    def gradients() -> Mapping[str, Tensor]:
        set_sparse(module, True)  # added to dense sums
        found = mean_gradient(losses(), parameters)
        set_sparse(module, False)
        return found

    derived = {"gradients": gradients, "movement": lambda: movement_of(losses(), parameters)}
    return {**derived, **computed, "losses": losses}


def _check_options(name: str, arguments: Mapping[str, bool], options: Mapping[str, Any]) -> None:
    """Raise LotteryError if a criterion does not take an option."""
    inputs = {"parameters", "generator", "mask", "module", *_NEEDED}
    known = [argument for argument, needed in arguments.items() if not needed and argument not in inputs]
    for option in options:
        if option not in arguments and "**" not in arguments:
            raise LotteryError(f"criterion: {name} has no option {option!r}; it has: {', '.join(known) or 'none'}")


def _derives_movement(arguments: Mapping[str, bool], given: set[str]) -> bool:
    """Return whether the movement is asked for, and computed from losses."""
    return "movement" in arguments and "movement" not in given and "losses" in given


def _check_inputs(name: str, arguments: Mapping[str, bool], given: set[str]) -> None:
    """Raise LotteryError if an input that a criterion needs is missing."""
    derived = {"gradients", "movement"} if "losses" in given else set()
    for argument, needed in arguments.items():
        if needed and argument in _NEEDED and argument not in given | derived:
            raise LotteryError(f"criterion: {name} needs {_NEEDED[argument]}; there is none: give it, or use magnitude")


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
    _require_finite(scores, what)
    return scores


def _masked(scores: Mapping[str, Tensor], mask: Mask) -> dict[str, Tensor]:
    """Return scores with 0 at pruned entries."""
    whole = {name for name, alive in mask.counts.items() if alive == mask[name].numel()}
    return {
        name: one if name in whole else one.masked_fill(~mask[name].to(one.device), 0) for name, one in scores.items()
    }


def _require_finite(scores: Tensor, what: str) -> None:
    # A sum is finite if all are, or nearly; it takes a twentieth of the time.
    if not scores.sum().isfinite() and not scores.isfinite().all():
        raise LotteryError(f"criterion: {what} scores that are not finite; return finite numbers")
