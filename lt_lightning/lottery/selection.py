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
    trainable = {name: param for name, param in module.named_parameters() if param.requires_grad}
    for key, patterns in (("include", include), ("exclude", exclude)):
        for pattern in patterns:
            if not any(fnmatchcase(name, pattern) for name in trainable):
                names = ", ".join(trainable) or "none"
                raise LotteryError(f"{key}: the pattern {pattern!r} matches no parameter; there are: {names}")

    def matches(name: str, patterns: Sequence[str]) -> bool:
        return any(fnmatchcase(name, pattern) for pattern in patterns)

    chosen = {n: param for n, param in trainable.items() if matches(n, include) and not matches(n, exclude)}
    if not chosen:
        raise LotteryError(f"include {list(include)}, exclude {list(exclude)}: no parameter is left to prune")
    return chosen
