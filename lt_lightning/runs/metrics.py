"""What a run is judged by: one number a round, read from its row, and how that number is named, written and compared.

Which it is depends on the run's task, one of `TASKS`. Imports the standard library alone.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from lt_lightning.runs.records import Record


@dataclass(frozen=True)
class Metric:
    """What rounds are judged by.

    Attributes:
        name: in words, as within a sentence.
        names: of several values.
        key: what it is called in the columns of tables, e.g. `full_acc`.
        heading: the column of a table of rounds.
        read: its value in a round; NaN where that was not measured.
        is_share: a fraction that is shown in per cent, or else a plain number.
        higher_is_better: or else lower.
        unit: what a difference is counted in.
        figure: the name of the figure's files.
        bound: how a winning ticket compares with the full network.
        room: how much worse than the full network a ticket may be before it would squeeze all others in a picture.
    """

    name: str
    names: str
    key: str
    heading: str
    read: Callable[[Record], float]
    is_share: bool
    higher_is_better: bool
    unit: str
    figure: str
    bound: str
    room: float

    @property
    def scale(self) -> float:
        """What a value is multiplied by where it is drawn or subtracted: shares are shown in per cent."""
        return 100.0 if self.is_share else 1.0

    @property
    def digits(self) -> int:
        """The decimals that are shown."""
        return 2 if self.is_share else 3

    @property
    def short(self) -> str:
        """The name where it is clear that the test part is meant."""
        return self.name.removeprefix("test ")

    @property
    def title(self) -> str:
        """The name at the beginning of a line."""
        return self.name[0].upper() + self.name[1:]

    @property
    def axis(self) -> str:
        """The name on an axis, with its unit and, where one might take it wrong, its direction."""
        return f"{self.name} (%)" if self.is_share else f"{self.name} (lower is better)"

    @property
    def that(self) -> str:
        """What stands for it when it is spoken of again: that of the full network, or those."""
        return "that" if self.bound.startswith("is") else "those"

    def gain(self, value: float, other: float) -> float:
        """How much better a value is than another; NaN where one is."""
        return value - other if self.higher_is_better else other - value


def bits_per_character(record: Record) -> float:
    """The logarithm of the perplexity; NaN where there is none, or none that is a number.

    >>> bits_per_character(Record(0, 0.0, 5, 5, 1, 0.1, 0.1, 0.5, 0.1, 0.5, 1.0, test_perplexity=8.0))
    3.0
    """
    perplexity = record.test_perplexity
    return math.log2(perplexity) if perplexity is not None and 0 < perplexity < math.inf else math.nan


def _accuracy(record: Record) -> float:
    return record.test_acc


def _exact(record: Record) -> float:
    return math.nan if record.test_exact is None else record.test_exact


ACCURACY = Metric(
    name="test accuracy", names="test accuracies", key="acc", heading="test acc", read=_accuracy, is_share=True,
    higher_is_better=True, unit="percentage points", figure="accuracy", bound="is at least",
    room=0.1,
)  # fmt: skip
LETTERS_RIGHT = Metric(
    name="letters right", names="letters right", key="acc", heading="test acc", read=_accuracy, is_share=True,
    higher_is_better=True, unit="percentage points", figure="accuracy", bound="are at least",
    room=math.inf,  # of few letters each counts much
)  # fmt: skip
BITS = Metric(
    name="bits per character", names="bits per character", key="bits", heading="test bits", read=bits_per_character,
    is_share=False, higher_is_better=False, unit="bits", figure="bits_per_character", bound="are at most",
    room=math.inf,  # no model is so bad that others could not be told apart beside it
)  # fmt: skip
EXACT_MATCH = Metric(
    name="exact match", names="exact matches", key="exact", heading="exact", read=_exact, is_share=True,
    higher_is_better=True, unit="percentage points", figure="exact_match", bound="is at least",
    room=math.inf,  # all of its range is in use
)  # fmt: skip

TASKS: Mapping[str, Metric] = MappingProxyType(
    {
        "classification": ACCURACY,
        "tagging": LETTERS_RIGHT,
        "language model": BITS,
        "sequence to sequence": EXACT_MATCH,
    }
)
"""The kinds of runs, and what each is judged by."""


def task_of(description: Mapping[str, Any]) -> str:
    """What kind of run `run.json` describes: one of `TASKS`; runs that do not say it are older, and classify texts.

    >>> task_of({"task": "tagging"}), task_of({}), task_of({"task": ["?"]})
    ('tagging', 'classification', 'classification')
    """
    task = description.get("task")
    return task if isinstance(task, str) and task in TASKS else "classification"


def metric_of(description: Mapping[str, Any]) -> Metric:
    """What a run is judged by, from its `run.json`.

    >>> metric_of({"task": "language model"}).name
    'bits per character'
    """
    return TASKS[task_of(description)]


_ALIKE = 0.01
"""Baselines that differ by no more, relatively, are one baseline."""


@dataclass(frozen=True)
class Baseline:
    """What a simple model reaches on the same test part: its name, and the metric's value (shares are fractions)."""

    name: str
    value: float


def baseline_of(description: Mapping[str, Any]) -> Baseline | None:
    """The baseline of a run, from its `run.json`; None where there is none, or none that makes sense.

    >>> baseline_of({"baseline": {"name": "order-2 n-gram with back-off", "value": 2.95}})
    Baseline(name='order-2 n-gram with back-off', value=2.95)
    """
    given = description.get("baseline")
    name, value = (given.get("name"), given.get("value")) if isinstance(given, Mapping) else (None, None)
    if not isinstance(name, str) or not isinstance(value, (int, float)) or isinstance(value, bool):
        return None
    return Baseline(name, float(value)) if math.isfinite(value) else None


def shared_baseline(descriptions: Sequence[Mapping[str, Any]]) -> Baseline | None:
    """The baseline that all runs have in common, its mean where seeds draw other rows; None where they differ."""
    found = [baseline_of(description) for description in descriptions]
    known = [one for one in found if one is not None]
    if not known or len(known) < len(found) or len({one.name for one in known}) > 1:
        return None
    values = [one.value for one in known]
    if max(values) - min(values) > _ALIKE * abs(max(values)):
        return None
    return Baseline(known[0].name, sum(values) / len(values))
