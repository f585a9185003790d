"""Lightning callbacks: when, in the course of a fit, something happens.

What happens is said elsewhere: the arithmetic of pruning in `lottery`, files and tables in `results`.
`PruningCallback` and `AgreementCallback` work with any LightningModule; the others serve the rounds of
`lt_lightning.train`.
"""

from lt_lightning.callbacks.agreement import AgreementCallback, DisagreementError
from lt_lightning.callbacks.best import BestWeights
from lt_lightning.callbacks.finite import FiniteLossCallback
from lt_lightning.callbacks.history import History
from lt_lightning.callbacks.pruning import PruningCallback
from lt_lightning.callbacks.round_checkpoint import RoundCheckpoint
from lt_lightning.callbacks.seeding import EpochSeeds

__all__ = [
    "AgreementCallback",
    "BestWeights",
    "DisagreementError",
    "EpochSeeds",
    "FiniteLossCallback",
    "History",
    "PruningCallback",
    "RoundCheckpoint",
]
