"""Define the rows of a run's tables; `csv_files` writes and reads them. Imports the standard library alone."""

from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields
from typing import TypeVar

LOGGED = "logged"
"""The field of a record for values that have no field of their own."""


def _density(alive: int, total: int) -> float:
    return alive / total if total else 1.0  # a parameter may have no entries


def _check_counts(round_: int, alive: int, total: int) -> None:
    if round_ < 0:
        raise ValueError(f"round must not be negative, not {round_}")
    if not 0 <= alive <= total:
        raise ValueError(f"alive must be within 0 … total, not {alive} of {total}")


@dataclass(frozen=True)
class Record:
    """A row of `results.csv`: one round. Accuracies and sparsity are fractions, not per cents.

    If the network answers letter by letter, `test_acc` is the share of right letters, and `test_exact` that of test
    rows that are right in every letter. `test_perplexity` is a language model's, per letter. If the test columns are of
    some rows of the test part alone, `tested_rows` is their number. `valid_f1` and `test_f1` are macro F1, which runs
    of 0.4 lack. `collapsed` is the number of tensors of two or more dimensions without a living entry, if there are any
    in the run. `steps` is the number of optimizer steps that the round trained, its budget. `logged` has further values
    that a LightningModule logged, by name; each is a column of its own.
    """

    round: int
    sparsity: float
    alive: int
    total: int
    epochs: int
    train_loss: float
    valid_loss: float
    valid_acc: float
    test_loss: float
    test_acc: float
    seconds: float
    test_perplexity: float | None = None
    test_exact: float | None = None
    tested_rows: int | None = None
    valid_f1: float | None = None
    test_f1: float | None = None
    collapsed: int | None = None
    steps: int | None = None
    logged: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _check_counts(self.round, self.alive, self.total)

    @property
    def density(self) -> float:
        """The share of prunable entries that are alive, in [0, 1]."""
        return _density(self.alive, self.total)


@dataclass(frozen=True)
class LayerRecord:
    """A row of `layers.csv`: one parameter in one round."""

    round: int
    parameter: str
    alive: int
    total: int
    shape: tuple[int, ...]

    def __post_init__(self) -> None:
        _check_counts(self.round, self.alive, self.total)

    @property
    def density(self) -> float:
        """The share of the parameter's entries that are alive, in [0, 1]."""
        return _density(self.alive, self.total)


@dataclass(frozen=True)
class EpochRecord:
    """A row of `epochs.csv`: one epoch of one round. `epoch` counts from 1 in every round; `logged` as in `Record`."""

    round: int
    epoch: int
    train_loss: float
    valid_loss: float
    valid_acc: float
    valid_f1: float | None = None
    logged: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.round < 0 or self.epoch < 1:
            raise ValueError(f"rounds count from 0 and epochs from 1, not {self.round} and {self.epoch}")


@dataclass(frozen=True)
class MaskRecord:
    """A row of `masks.csv`: one change of the mask of one round.

    `step` is the number of optimizer steps of the round before the change; 0 for a change as the round begins.
    `dropped` entries were pruned and `grown` ones revived by it. `logged` has the density of each parameter after it,
    in a column of the parameter's name.
    """

    round: int
    step: int
    sparsity: float
    dropped: int
    grown: int
    logged: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if min(self.round, self.step, self.dropped, self.grown) < 0:
            raise ValueError("round, step, dropped and grown must not be negative")


@dataclass(frozen=True)
class ConfusionRecord:
    """A row of `confusion.csv`: the number of test rows of class `label` (from 0) taken for class `predicted`."""

    round: int
    label: int
    predicted: int
    count: int

    def __post_init__(self) -> None:
        if min(self.round, self.label, self.predicted, self.count) < 0:
            raise ValueError("round, label, predicted and count must not be negative")


@dataclass(frozen=True)
class ExampleRecord:
    """A row of `examples.csv`: the answer of a round's ticket to a text, and the right answer if there is one."""

    round: int
    given: str
    expected: str
    answer: str

    def __post_init__(self) -> None:
        if self.round < 0:
            raise ValueError(f"round must not be negative, not {self.round}")


Row = TypeVar("Row", Record, LayerRecord, EpochRecord, MaskRecord, ConfusionRecord, ExampleRecord)


def columns(kind: type[Row]) -> tuple[str, ...]:
    """Return the columns that every table with rows of `kind` has, in order.

    >>> columns(EpochRecord)
    ('round', 'epoch', 'train_loss', 'valid_loss', 'valid_acc')
    """
    return tuple(one.name for one in fields(kind) if one.default is MISSING and one.name != LOGGED)


def optional_columns(kind: type[Row]) -> tuple[str, ...]:
    """Return the columns that follow if a row of the table has a value for them.

    >>> optional_columns(Record), optional_columns(EpochRecord)
    (('test_perplexity', 'test_exact', 'tested_rows', 'valid_f1', 'test_f1', 'collapsed', 'steps'), ('valid_f1',))
    """
    return tuple(one.name for one in fields(kind) if one.default is not MISSING)


def extra_columns(records: Sequence[Row]) -> tuple[str, ...]:
    """Return the names of the logged values of some records, the last columns of their table."""
    return tuple(dict.fromkeys(name for record in records for name in getattr(record, LOGGED, ())))


def measured_columns(kind: type[Row]) -> tuple[str, ...]:
    """Return the columns that a LightningModule can fill by logging values of their names."""
    return tuple(one.name for one in fields(kind) if one.name.startswith(("train_", "valid_", "test_")))


def format_shape(shape: tuple[int, ...]) -> str:
    """Return a shape as in `layers.csv`; that of a scalar is the word `scalar`.

    >>> format_shape((100, 100, 3)), format_shape((4,)), format_shape(())
    ('100x100x3', '4', 'scalar')
    """
    return "x".join(map(str, shape)) or "scalar"


def parse_shape(text: str) -> tuple[int, ...]:
    """Read what `format_shape` wrote; raise ValueError for any other text."""
    return () if text == "scalar" else tuple(parse_whole(size) for size in text.split("x"))


def parse_whole(text: str) -> int:
    """Read a whole number of at most 64 bits; nothing larger can be drawn."""
    if not -(2**63) <= (value := int(text)) < 2**63:
        raise ValueError("a number too large")
    return value
