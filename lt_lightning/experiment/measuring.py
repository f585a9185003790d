"""A round's numbers, measured on the weights that its ticket keeps.

Callbacks from elsewhere may swap weights for a validation or a test and back after it, or for good as a fit ends (EMA,
SWA). What was measured on other weights than those that are kept is measured again, without such callbacks.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pytorch_lightning as pl

from lt_lightning.callbacks.measured import MeasuredWeights, differs
from lt_lightning.experiment.examples import DataModule
from lt_lightning.models import Learner
from lt_lightning.runs.records import EpochRecord, Record, columns, optional_columns

_MEASURED = tuple(
    name for name in (*columns(Record), *optional_columns(Record)) if name.startswith(("valid_", "test_"))
)


def watch(trainer: pl.Trainer, ours: Sequence[pl.Callback]) -> MeasuredWeights | None:
    """Let a Trainer note which weights it measures, if it has callbacks that are not `ours`; return what notes it."""
    callbacks: list[pl.Callback] = trainer.callbacks  # pyright: ignore[reportAttributeAccessIssue]
    if all(callback in ours for callback in callbacks):
        return None
    callbacks.append(watching := MeasuredWeights("network"))
    return watching


def measure(
    trainer: pl.Trainer,
    learner: Learner,
    data: DataModule,
    epoch: EpochRecord,
    watching: MeasuredWeights | None,
    ours: Sequence[pl.Callback],
) -> dict[str, Any]:
    """Test the weights that a fit has left, and validate them again if the fit validated others.

    Args:
        trainer: has just fitted `learner`.
        learner: holds the weights.
        data: hands out the batches.
        epoch: the epoch that the weights are of.
        watching: what `watch` returned.
        ours: the callbacks that swap no weights.

    Returns:
        The measured columns of a `Record`. Those of the validation part are NaN if the epoch that the weights are of
        had no validation; None stands for a number that the task does not have.
    """
    tested = trainer.test(learner, datamodule=data, verbose=False)[0]
    validated: Mapping[str, float | None] = vars(epoch)
    if watching is not None:
        trainer.callbacks = list(ours)  # pyright: ignore[reportAttributeAccessIssue]
        kept = watching.digest(learner)
        if not math.isnan(epoch.valid_loss) and differs(trainer, watching.validated.get(epoch.epoch), kept):
            validated = trainer.validate(learner, datamodule=data, verbose=False)[0]
        if differs(trainer, watching.tested, kept):
            tested = trainer.test(learner, datamodule=data, verbose=False)[0]
    return {name: tested.get(name, validated.get(name)) for name in _MEASURED}
