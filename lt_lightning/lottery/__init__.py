"""The lottery-ticket algorithm in plain torch: masks, criteria, pruning, rewinding, rounds.

It imports only torch and the standard library: no Lightning, no Hydra, no text. `callbacks` decides when in a training
run things happen. Names are imported on first use, so `Settings` are checked without loading torch.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lt_lightning.lottery.connectivity import instability as instability
    from lt_lightning.lottery.connectivity import interpolate as interpolate
    from lt_lightning.lottery.controls import control_mask as control_mask
    from lt_lightning.lottery.controls import shuffle_weights as shuffle_weights
    from lt_lightning.lottery.criteria import CRITERIA as CRITERIA
    from lt_lightning.lottery.errors import LayerCollapseWarning as LayerCollapseWarning
    from lt_lightning.lottery.errors import LotteryError as LotteryError
    from lt_lightning.lottery.freezing import Freezer as Freezer
    from lt_lightning.lottery.mask import Mask as Mask
    from lt_lightning.lottery.patterns import parse_pattern as parse_pattern
    from lt_lightning.lottery.pruning import prune as prune
    from lt_lightning.lottery.pruning import prune_to as prune_to
    from lt_lightning.lottery.regrowing import regrow as regrow
    from lt_lightning.lottery.rewinding import Start as Start
    from lt_lightning.lottery.rewinding import reinitialize as reinitialize
    from lt_lightning.lottery.rounds import Lottery as Lottery
    from lt_lightning.lottery.schedules.sparsity import cubic_sparsity as cubic_sparsity
    from lt_lightning.lottery.scopes import counts_after as counts_after
    from lt_lightning.lottery.scopes import densities as densities
    from lt_lightning.lottery.scores.scoring import score as score
    from lt_lightning.lottery.seeds import derive_seed as derive_seed
    from lt_lightning.lottery.selection import prunable_parameters as prunable_parameters
    from lt_lightning.lottery.settings import Rewind as Rewind
    from lt_lightning.lottery.settings import Settings as Settings

_HOME = {
    "CRITERIA": "criteria",
    "Freezer": "freezing",
    "LayerCollapseWarning": "errors",
    "Lottery": "rounds",
    "LotteryError": "errors",
    "Mask": "mask",
    "Rewind": "settings",
    "Settings": "settings",
    "Start": "rewinding",
    "control_mask": "controls",
    "counts_after": "scopes",
    "cubic_sparsity": "schedules.sparsity",
    "densities": "scopes",
    "derive_seed": "seeds",
    "instability": "connectivity",
    "interpolate": "connectivity",
    "parse_pattern": "patterns",
    "prunable_parameters": "selection",
    "prune": "pruning",
    "prune_to": "pruning",
    "regrow": "regrowing",
    "reinitialize": "rewinding",
    "score": "scores.scoring",
    "shuffle_weights": "controls",
}

__all__ = sorted(_HOME)  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> Any:
    """Import a public name from its module on first use (PEP 562).

    Raises:
        ImportError: it needs torch, which is not installed.
    """
    from importlib import import_module

    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        # The words of lt_lightning.extras, which this folder does not import.
        remedy = "which is not installed: pip install 'lt-lightning[train]'"
        raise ImportError(f"{__name__}.{name} needs torch, {remedy}", name="torch") from error
