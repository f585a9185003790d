"""A round's numbers, measured on the weights that its ticket keeps.

Callbacks from elsewhere may swap weights for a validation or a test and back after it, or for good as a fit ends (EMA,
SWA). What was measured on other weights than those that are kept is measured again, without such callbacks.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pytorch_lightning as pl

from lt_lightning.callbacks.agreement import MeasuredWeights, differs
from lt_lightning.experiment.history import sort_logged
from lt_lightning.experiment.subject import Subject
from lt_lightning.runs.records import EpochRecord, Record, measured_columns

_MEASURED = measured_columns(Record)


def watch(trainer: pl.Trainer, ours: Sequence[pl.Callback], submodule: str) -> MeasuredWeights | None:
    """Let a Trainer note which weights it measures, if it has callbacks that are not `ours`; return what notes it."""
    callbacks: list[pl.Callback] = trainer.callbacks  # pyright: ignore[reportAttributeAccessIssue]
    if all(callback in ours for callback in callbacks):
        return None
    callbacks.append(watching := MeasuredWeights(submodule))
    return watching


def measure(
    trainer: pl.Trainer,
    subject: Subject,
    epoch: EpochRecord,
    watching: MeasuredWeights | None,
    ours: Sequence[pl.Callback],
) -> dict[str, Any]:
    """Test the weights that a fit has left, and validate them again if the fit validated others.

    Args:
        trainer: has just fitted the subject.
        subject: holds the weights and the data.
        epoch: the epoch that the weights are of.
        watching: what `watch` returned.
        ours: the callbacks that swap no weights.

    Returns:
        The measured values of a `Record`. Those of the validation part are NaN if the epoch that the weights are of
        had no validation.
    """
    module, loaders = subject.module, subject.data.loaders

    def test() -> dict[str, Any]:
        found = trainer.test(module, datamodule=loaders, verbose=False) if subject.has_test else []
        return sort_logged({name: value for one in found for name, value in one.items()}, _MEASURED, "test")

    tested = test()
    validated: Mapping[str, Any] = vars(epoch)
    if watching is not None:
        trainer.callbacks = list(ours)  # pyright: ignore[reportAttributeAccessIssue]
        kept = watching.digest(module)
        if not math.isnan(epoch.valid_loss) and differs(trainer, watching.validated.get(epoch.epoch), kept):
            found = trainer.validate(module, datamodule=loaders, verbose=False)
            validated = sort_logged({name: value for one in found for name, value in one.items()}, _MEASURED, "valid")
        if differs(trainer, watching.tested, kept):
            tested = test()
    logged = {**validated.get("logged", {}), **tested.get("logged", {})}
    missing = dict.fromkeys(("valid_loss", "valid_acc", "test_loss", "test_acc"), math.nan)
    values = {name: value for name, value in {**validated, **tested}.items() if name in _MEASURED}
    return {**missing, **values, "train_loss": epoch.train_loss, "logged": logged}
