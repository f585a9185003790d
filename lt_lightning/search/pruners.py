"""Make Optuna's pruners by name: they decide after a round whether a trial is hopeless."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from lt_lightning.errors import SettingError
from lt_lightning.search.study import build

if TYPE_CHECKING:
    from optuna.pruners import BasePruner

SETTING = "hydra.sweeper.pruner"

PRUNERS: Mapping[str, tuple[str, Mapping[str, Any]]] = MappingProxyType(
    {
        "none": ("NopPruner", {}),
        "median": ("MedianPruner", {}),
        "percentile": ("PercentilePruner", {"percentile": 25.0}),
        "successive_halving": ("SuccessiveHalvingPruner", {}),
        "hyperband": ("HyperbandPruner", {}),
        "threshold": ("ThresholdPruner", {}),
    }
)
"""The choices of `hydra.sweeper.pruner`: the class of `optuna.pruners`, and arguments that it has no default for."""


def make_pruner(name: str | None, options: Mapping[str, Any]) -> BasePruner:
    """Return a pruner of Optuna's.

    Args:
        name: a key of `PRUNERS`; None for `none`.
        options: arguments of Optuna's class.

    Raises:
        SettingError: the name is unknown, or the pruner does not take the options.
    """
    if (name := name or "none") not in PRUNERS:
        raise SettingError(f"{SETTING}: {name!r} is none of {', '.join(PRUNERS)}")
    import optuna.pruners

    cls, defaults = PRUNERS[name]
    return build(getattr(optuna.pruners, cls), {**defaults, **options}, f"{SETTING}_options")
