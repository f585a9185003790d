"""Lightning callbacks that work with any LightningModule; they import `lottery` alone.

The callbacks that need a run directory or this project's data are in `experiment`.
"""

from lt_lightning.extras import require_training

require_training(__name__, "torch", "pytorch_lightning")  # one line that names the remedy, before an import fails

from lt_lightning.callbacks.agreement import AgreementCallback, DisagreementError
from lt_lightning.callbacks.best_weights import BestWeights
from lt_lightning.callbacks.epoch_seeds import EpochSeeds
from lt_lightning.callbacks.finite_loss import FiniteLossCallback
from lt_lightning.callbacks.pruning import PruningCallback

__all__ = [
    "AgreementCallback",
    "BestWeights",
    "DisagreementError",
    "EpochSeeds",
    "FiniteLossCallback",
    "PruningCallback",
]
