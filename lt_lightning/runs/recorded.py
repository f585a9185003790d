"""The settings and the ticket of a run as `run.json` records them, in frozen dataclasses.

`parse` makes the dataclasses from JSON: a value that is missing or of another type becomes None. A dataclass whose
JSON is not an object of its fields has methods `from_json` and `to_json` of its own.
"""

from __future__ import annotations

import types
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from functools import cache
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")
_MISFIT = object()


@dataclass(frozen=True)
class Named:
    """The name of a choice."""

    name: str | None = None


@dataclass(frozen=True)
class RecordedData:
    """The `data` group."""

    batch_size: int | None = None
    valid_fraction: float | None = None


@dataclass(frozen=True)
class RecordedEmbedding(Named):
    """The `embedding` group; `std` is that of new vectors."""

    std: float | None = None


@dataclass(frozen=True)
class RecordedPruning:
    """The `pruning` group."""

    rounds: int | None = None
    amount: Any = None  # a number or a list
    criterion: str | None = None
    scope: str | None = None
    threshold: str | None = None
    rewind: str | None = None
    include: tuple[str, ...] | None = None
    exclude: tuple[str, ...] | None = None
    redraw: tuple[str, ...] | None = None
    ticket: str | None = None
    keep: tuple[str, ...] | None = None
    renew: tuple[str, ...] | None = None
    mask: str | None = None
    pattern: str | None = None
    schedule: str | None = None
    amount_of: str | None = None
    amounts: Any = None
    density: float | None = None
    iterations: int | None = None
    initial: float | None = None
    begin: Any = None
    end: Any = None
    every: int | None = None
    drop_fraction: float | None = None
    grow_batches: int | None = None

    @property
    def is_single(self) -> bool:
        """Return whether the schedule trains one round, which is pruned from the start or during training."""
        return self.schedule not in (None, "rounds")


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
        seed_order: the seed of data order and dropout, if it is another one.
        metric: the metric asked for, such as `test_f1`; None for the task's own.
        metric_mode: `max` or `min`, if the settings name it.
        test_on: the epoch whose weights are tested, `last` or `best`.
        debug_mode: the choice of `debug=`, which marks a run for debugging.
    """

    values: Mapping[str, Any] | None = None
    seed: int | None = None
    seed_order: int | None = None
    metric: str | None = None
    metric_mode: str | None = None
    test_on: str | None = None
    debug_mode: str | None = None
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


@dataclass(frozen=True)
class CarriedWords:
    """The living words of a ticket, how many of these a run knows too, and how many words the run has."""

    carried: int | None = None
    living: int | None = None
    here: int | None = None


@dataclass(frozen=True)
class Origin:
    """The ticket that a run started from: the `ticket` entry of `run.json`.

    Attributes:
        file: the path of the ticket's file.
        seal: the checksum of its content.
        corpus: the corpus of the ticket's run.
        experiment: the experiment of that run.
        run: the name of its directory.
        round: the round whose ticket it is.
        seed: the seed of that run.
        sparsity: the share of the entries that are pruned.
        test_acc: the test accuracy of the ticket.
        rewind: the point that its run rewound to.
        weights: `first`, those that the ticket's run began with; `trained`, the ticket's; `own`, new ones.
        fresh: the parameters of which nothing carries over.
        carried: the other parameters.
        words: the number of words that carry over.
        alive: the entries alive in round 0.
        total: all prunable entries.
    """

    file: str | None = None
    seal: str | None = None
    corpus: str | None = None
    experiment: str | None = None
    run: str | None = None
    round: int | None = None
    seed: int | None = None
    sparsity: float | None = None
    test_acc: float | None = None
    rewind: str | None = None
    weights: str | None = None
    fresh: tuple[str, ...] | None = None
    carried: tuple[str, ...] | None = None
    words: CarriedWords = CarriedWords()
    alive: int | None = None
    total: int | None = None


def parse(kind: type[T], content: Any) -> T:
    """Return the dataclass `kind` with the values that `content` has under the names of its fields.

    Args:
        kind: a dataclass. Each field is a dataclass, or may be None: `int | None`, `tuple[str, ...] | None`,
            `Mapping[str, int] | None`, `Any`, ….
        content: a value of a JSON file.
    """
    given = content if isinstance(content, Mapping) else {}
    values = {name: _fitted(given.get(name), hint) for name, hint in _hints(kind).items()}
    return kind(**{name: None if value is _MISFIT else value for name, value in values.items()})


def plain(value: Any) -> Any:
    """Return a value as JSON has it: dataclasses and mappings as dicts, tuples as lists."""
    if hasattr(value, "to_json"):
        return value.to_json()
    if is_dataclass(value):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {key: plain(one) for key, one in value.items()}
    return [plain(one) for one in value] if isinstance(value, (list, tuple)) else value


@cache
def _hints(kind: type[Any]) -> Mapping[str, Any]:
    hints = get_type_hints(kind)
    return {field.name: hints[field.name] for field in fields(kind)}


def _fitted(value: Any, hint: Any) -> Any:
    """Return a value of JSON if it is of a type, as a value of that type, or else `_MISFIT`."""
    if hint is Any:
        return value
    if is_dataclass(hint):
        kind: Any = hint
        return kind.from_json(value) if hasattr(kind, "from_json") else parse(kind, value)
    origin, inside = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        # A dataclass that may be None is None unless its JSON is an object.
        kinds = [one for one in inside if not is_dataclass(one) or isinstance(value, Mapping)]
        found = (_fitted(value, one) for one in kinds if one is not type(None))
        return None if value is None else next((one for one in found if one is not _MISFIT), _MISFIT)
    if origin is tuple:
        items = [_fitted(one, inside[0]) for one in value] if isinstance(value, (list, tuple)) else [_MISFIT]
        return _MISFIT if _MISFIT in items else tuple(items)
    if origin is not None:  # Mapping[str, …]
        named = {key: _fitted(one, inside[1]) for key, one in value.items()} if isinstance(value, Mapping) else None
        return _MISFIT if named is None or _MISFIT in named.values() else named
    if isinstance(value, bool):  # which Python counts among the integers
        return value if hint is bool else _MISFIT
    return value if isinstance(value, (int, float) if hint is float else hint) else _MISFIT
