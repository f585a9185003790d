"""Which parameters of a module can be pruned."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

from torch import nn

from lt_lightning.lottery.settings import LotteryError


def prunable_parameters(
    module: nn.Module, include: Sequence[str] = ("*",), exclude: Sequence[str] = ()
) -> dict[str, nn.Parameter]:
    """The trainable parameters of `module` that match a pattern of `include` and none of `exclude`.

    Args:
        module: any torch module.
        include: fnmatch patterns over the names that `module.named_parameters()` gives.
        exclude: likewise.

    Returns:
        Parameter name to parameter, in the module's order; shared parameters once.

    Raises:
        LotteryError: if a pattern matches no parameter, or nothing is left.

    Example:
        >>> list(prunable_parameters(nn.Linear(2, 3), exclude=["bias"]))
        ['weight']
    """
    included = matching_parameters(module, "include", include)
    excluded = matching_parameters(module, "exclude", exclude)
    chosen = {name: param for name, param in included.items() if name not in excluded}
    if not chosen:
        raise LotteryError(f"include {list(include)}, exclude {list(exclude)}: no parameter is left to prune")
    return chosen


def matching_parameters(module: nn.Module, key: str, patterns: Sequence[str]) -> dict[str, nn.Parameter]:
    """The trainable parameters of `module` whose name matches one of the patterns.

    Args:
        module: any torch module.
        key: the setting that the patterns are from, for the message.
        patterns: fnmatch patterns over the names that `module.named_parameters()` gives.

    Raises:
        LotteryError: if a pattern matches no parameter.
    """
    trainable = {name: param for name, param in module.named_parameters() if param.requires_grad}
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in trainable):
            names = ", ".join(trainable) or "none"
            raise LotteryError(f"{key}: the pattern {pattern!r} matches no parameter; there are: {names}")
    return {name: param for name, param in trainable.items() if any(fnmatchcase(name, p) for p in patterns)}
