"""The settings of a run as `run.json` records them, typed as far as readers need them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from lt_lightning.runs.parsing import parse


@dataclass(frozen=True)
class Named:
    """The name of a choice."""

    name: str | None = None


@dataclass(frozen=True)
class RecordedData:
    """The `data` group."""

    batch_size: int | None = None


@dataclass(frozen=True)
class RecordedEmbedding(Named):
    """The `embedding` group; `std` is that of new vectors."""

    std: float | None = None


@dataclass(frozen=True)
class RecordedPruning:
    """The `pruning` group."""

    rounds: int | None = None
    amount: float | None = None
    criterion: str | None = None
    scope: str | None = None
    threshold: str | None = None
    rewind: str | None = None
    include: tuple[str, ...] | None = None
    exclude: tuple[str, ...] | None = None
    redraw: tuple[str, ...] | None = None
    ticket: str | None = None


@dataclass(frozen=True)
class RecordedTickets:
    """The `tickets` group."""

    keep: str | None = None


@dataclass(frozen=True)
class RecordedTrainer:
    """The `trainer` group."""

    max_epochs: int | None = None
    fast_dev_run: bool | int | None = None
    limit_val_batches: int | float | None = None
    limit_test_batches: int | float | None = None


@dataclass(frozen=True)
class RecordedConfig:
    """The `config` entry of `run.json`.

    Attributes:
        values: all settings, nested as in the file, to compare or to show; None if there are none.
        seed: the seed.
        metric: the metric asked for, such as `test_f1`; None for the task's own.
        metric_mode: `max` or `min`, if the settings say it.
        test_on: the epoch whose weights are tested, `last` or `best`.
    """

    values: Mapping[str, Any] | None = None
    seed: int | None = None
    metric: str | None = None
    metric_mode: str | None = None
    test_on: str | None = None
    data: RecordedData = RecordedData()
    embedding: RecordedEmbedding = RecordedEmbedding()
    model: Named = Named()
    optimizer: Named = Named()
    scheduler: Named = Named()
    pruning: RecordedPruning = RecordedPruning()
    tickets: RecordedTickets = RecordedTickets()
    trainer: RecordedTrainer = RecordedTrainer()

    @classmethod
    def from_json(cls, content: Any) -> RecordedConfig:
        """Return the settings in the `config` entry of `run.json`."""
        return replace(parse(cls, content), values=content if isinstance(content, Mapping) else None)

    def to_json(self) -> Mapping[str, Any] | None:
        """Return the `config` entry of `run.json`."""
        return self.values

    def group(self, name: str) -> Any:
        """Return the settings of a group, or None."""
        return (self.values or {}).get(name)
