"""Record each epoch's metrics, and measure a round on the weights that its ticket keeps.

A user's callbacks may swap weights for a validation or a test and back after it, or for good as a fit ends (EMA, SWA).
Values of other weights than the kept ones are measured again, without such callbacks.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.callbacks import Checkpoint

from lt_lightning.callbacks.agreement import MeasuredWeights, differs
from lt_lightning.callbacks.hooks import only_its_own_hooks
from lt_lightning.config.metric_names import parse_name
from lt_lightning.errors import SettingError
from lt_lightning.experiment.subject import Subject
from lt_lightning.runs.records import EpochRecord, Record, columns, measured_columns

_MEASURED = measured_columns(Record)
_TAKEN = frozenset({*columns(EpochRecord), "sparsity", "alive", "total", "epochs", "seconds", "density", "steps"})


@only_its_own_hooks
class History(Checkpoint):
    """Collect an `EpochRecord` per epoch from what a LightningModule logs.

    Epochs without validation have NaN for its metrics. Append it to `trainer.callbacks` before the `RoundCheckpoint`:
    as a Checkpoint it runs after the module has logged the epoch's values.

    Args:
        round: the round.
        judged: the logged name by which rounds are judged; None if validation always logs it.

    Attributes:
        epochs: the records of the current or last fit, in order.
    """

    def __init__(self, round: int, judged: str | None = None) -> None:
        self.round = round
        self.epochs: list[EpochRecord] = []
        self._judged = judged
        self._old: dict[str, Any] = {}  # logged in earlier epochs
        self._before: dict[str, Any] = {}  # logged before the validation
        self._valid: dict[str, Any] = {}  # logged by the epoch's validation

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Note the values of earlier epochs, which the Trainer keeps."""
        self._old, self._valid = dict(trainer.callback_metrics), {}

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Note the values from before the validation."""
        self._before = dict(trainer.callback_metrics)

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Collect the values of the validation, and check that the judged one is among them."""
        if trainer.sanity_checking:
            return
        self._valid = _logged_since(trainer, self._before)
        if self._judged is not None and self._judged not in self._valid:
            logged = ", ".join(sorted(self._valid)) or "nothing"
            raise SettingError(f"metric: {self._judged} is not logged; validation logs {logged}; choose one of these")

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Append the epoch's record; validation has already run."""
        known, new = measured_columns(EpochRecord), _logged_since(trainer, self._old)
        trained = {name: value for name, value in new.items() if value is not self._valid.get(name)}
        of_training, of_validation = sort_logged(trained, known), sort_logged(self._valid, known, "valid")
        logged = {**of_validation.pop("logged", {}), **of_training.pop("logged", {})}
        missing = dict.fromkeys(("train_loss", "valid_loss", "valid_acc"), math.nan)
        values = {**missing, **of_training, **of_validation, "logged": logged}
        self.epochs.append(EpochRecord(self.round, trainer.current_epoch + 1, **values))

    def state_dict(self) -> dict[str, Any]:
        """Return the epochs so far, as plain values."""
        return {"epochs": [asdict(epoch) for epoch in self.epochs]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore the epochs."""
        self.epochs = [EpochRecord(**epoch) for epoch in state_dict["epochs"]]


def _logged_since(trainer: pl.Trainer, before: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values that are new: the Trainer keeps the same tensors of those that were not logged again."""
    return {name: value for name, value in trainer.callback_metrics.items() if value is not before.get(name)}


def watch(trainer: pl.Trainer, ours: Sequence[pl.Callback], submodule: str) -> MeasuredWeights | None:
    """Add a `MeasuredWeights` to a Trainer that has callbacks besides `ours`, and return it."""
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
        epoch: the epoch of the weights.
        watching: the result of `watch`.
        ours: the callbacks that swap no weights.

    Returns:
        The measured values of a `Record`; NaN for the validation part if the epoch had no validation.
    """
    module, loaders = subject.module, subject.data.loaders

    def run(part: str) -> dict[str, Any]:
        loop = trainer.test if part == "test" else trainer.validate
        found = loop(module, datamodule=loaders, verbose=False)
        return sort_logged({name: value for one in found for name, value in one.items()}, _MEASURED, part)

    tested = run("test") if subject.has_test else {}
    validated: Mapping[str, Any] = vars(epoch)
    if watching is not None:
        trainer.callbacks = list(ours)  # pyright: ignore[reportAttributeAccessIssue]
        kept = watching.digest(module)
        # All processes take part in `differs`.
        if _was_validated(epoch) and differs(trainer, watching.validated.get(epoch.epoch), kept):
            validated = run("valid")
        if differs(trainer, watching.tested, kept) and subject.has_test:
            tested = run("test")
    logged = {**epoch.logged, **validated.get("logged", {}), **tested.get("logged", {})}
    missing = dict.fromkeys(("valid_loss", "valid_acc", "test_loss", "test_acc"), math.nan)
    values = {name: value for name, value in {**validated, **tested}.items() if name in _MEASURED}
    return {**missing, **values, "train_loss": epoch.train_loss, "logged": logged}


def _was_validated(epoch: EpochRecord) -> bool:
    values = {**vars(epoch), **epoch.logged}
    names = (name for name, value in values.items() if isinstance(value, float) and not math.isnan(value))
    return any(parse_name(name).part == "valid" for name in names)


def sort_logged(metrics: Mapping[str, Any], known: tuple[str, ...], part: str = "") -> dict[str, Any]:
    """Return logged values by the columns that they belong to, and the others below `logged`.

    Args:
        metrics: the logged values by name. Of a value that is logged by step and by epoch, that of the epoch counts.
        known: the columns for values such as `valid_loss`; `val/loss` belongs there, too.
        part: the part to which values without a part in their name belong; empty if it is not known.

    Raises:
        SettingError: two values belong to one column.

    >>> sort_logged({"val/loss": 0.5, "val/auc": 0.75, "loss_step": 2.0, "loss_epoch": 1.0}, ("valid_loss",))
    {'valid_loss': 0.5, 'logged': {'val/auc': 0.75, 'loss': 1.0}}
    """
    values: dict[str, Any] = {}
    others: dict[str, float] = {}
    for name, value in metrics.items():
        if name.endswith("_step") and f"{name.removesuffix('_step')}_epoch" in metrics:
            continue
        short = name.removesuffix("_epoch") if f"{name.removesuffix('_epoch')}_step" in metrics else name
        logged = parse_name(short)
        column = f"{logged.part or part}_{logged.quantity}"
        if column in values:
            raise SettingError(f"metric: {name} and another logged value belong to the column {column}; rename one")
        if column in known:
            values[column] = float(value)
        elif part and not logged.part:
            others[column] = float(value)
        else:
            others[f"logged_{short}" if short in _TAKEN else short] = float(value)
    return {**values, "logged": others} if others else values
