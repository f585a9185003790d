"""The metric of a run: the columns that choose its tickets and report on them, with their names and direction.

The setting `metric` chooses them, or else the run's task, see `runs.tasks`. Imports the standard library alone.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from lt_lightning.config.metric_names import parse_name
from lt_lightning.runs.columns import TEST_ACC, TEST_LOSS, VALID_ACC, VALID_LOSS, Column, recorded
from lt_lightning.runs.records import Record


@dataclass(frozen=True)
class Metric:
    """A pair of columns: tickets are chosen by its value on the validation part and reported with the test's.

    Both columns have the same unit and direction.

    Attributes:
        test: the column that is reported.
        valid: the column that winners are chosen by.
        names: the plural of the name.
        key: its name in the columns of tables, e.g. `acc` in `full_acc`.
        unit: the unit of a difference.
        figure: the name of the figure's files.
        bound: the words between `valid` of a winning ticket and the full network's.
        room: how much worse than the full network a ticket may be without squeezing all others in a figure.
        margin: the largest difference that counts as none, by which equivalence is stated; None to state none.
        note: a sentence if `valid` is not the same number as `test` on another part.
    """

    test: Column
    valid: Column
    names: str
    key: str
    unit: str
    figure: str
    bound: str
    room: float = math.inf
    margin: float | None = None
    note: str = ""

    def read(self, record: Record) -> float:
        """Return the value on the test part, NaN where it was not measured."""
        return self.test.read(record)

    def judge(self, record: Record) -> float:
        """Return the value on the validation part, which chooses winners; NaN where it was not measured."""
        return self.valid.read(record)

    def is_in(self, records: Sequence[Record]) -> bool:
        """Return whether the first round has the metric's columns; without rounds, it may."""
        return not records or not all(math.isnan(read(records[0])) for read in (self.read, self.judge))

    def show(self, value: float) -> str:
        """Return a value as it stands below a heading that names it; at most 9 characters."""
        return self.test.show(value)

    def show_with_unit(self, value: float) -> str:
        """Return a value as it stands within a sentence.

        >>> ACCURACY.show_with_unit(0.8), BITS.show_with_unit(2.0416)
        ('80.00 %', '2.042 bits')
        """
        return self.show(value) if self.is_share else f"{self.show(value)} {self.unit}"

    @property
    def name(self) -> str:
        """The name of the reported value within a sentence."""
        return self.test.name

    @property
    def heading(self) -> str:
        """The column of the reported value in a table of rounds."""
        return self.test.heading

    @property
    def is_share(self) -> bool:
        """Whether values are fractions that are shown in per cent."""
        return self.test.is_share

    @property
    def higher_is_better(self) -> bool:
        """Whether a higher value is better, or else a lower one."""
        return self.test.better == "max"

    @property
    def scale(self) -> float:
        """The factor of a value that is drawn or subtracted: shares are shown in per cent."""
        return self.test.scale

    @property
    def digits(self) -> int:
        """The decimals of means and differences."""
        return self.test.digits

    @property
    def short(self) -> str:
        """The name without `test`."""
        return self.name.removeprefix("test ")

    @property
    def title(self) -> str:
        """The name at the beginning of a line."""
        return self.name[0].upper() + self.name[1:]

    @property
    def axis(self) -> str:
        """The name on an axis, with its unit or its direction."""
        return f"{self.name} (%)" if self.is_share else f"{self.name} (lower is better)"

    @property
    def that(self) -> str:
        """The pronoun for `valid` of the full network."""
        return "that" if self.bound.startswith("is") else "those"

    def gain(self, value: float, other: float) -> float:
        """Return how much better a value is than another; NaN where one is."""
        return value - other if self.higher_is_better else other - value


def bits_per_character(record: Record) -> float:
    """Return the binary logarithm of the perplexity; NaN where it is missing or not a positive number.

    >>> bits_per_character(Record(0, 0.0, 5, 5, 1, 0.1, 0.1, 0.5, 0.1, 0.5, 1.0, test_perplexity=8.0))
    3.0
    """
    perplexity = record.test_perplexity
    return math.log2(perplexity) if perplexity is not None and 0 < perplexity < math.inf else math.nan


_VALID_LETTERS = replace(VALID_ACC, name="letters right on the validation part")

ACCURACY = Metric(
    TEST_ACC, VALID_ACC,
    names="test accuracies", key="acc", unit="percentage points", figure="accuracy", bound="is at least", room=0.1,
    margin=0.005,
)  # fmt: skip
# Each of few letters counts much, bits have no upper end, and exact match and F1 use all of their range: no `room`.
LETTERS_RIGHT = Metric(
    replace(TEST_ACC, name="letters right"), _VALID_LETTERS,
    names="letters right", key="acc", unit="percentage points", figure="accuracy", bound="are at least",
)  # fmt: skip
F1 = Metric(
    Column("test macro F1", "test f1", recorded("test_f1")),
    Column("validation macro F1", "valid f1", recorded("valid_f1")),
    names="test macro F1", key="f1", unit="percentage points", figure="f1", bound="is at least",
)  # fmt: skip
LOSS = Metric(
    TEST_LOSS, VALID_LOSS, names="test losses", key="loss", unit="nats", figure="loss", bound="is at most",
)  # fmt: skip
BITS = Metric(
    Column("bits per character", "test bits", bits_per_character, is_share=False, better="min"),
    Column(
        "bits per character on the validation part", "valid loss", lambda record: record.valid_loss / math.log(2),
        is_share=False, better="min",
    ),
    names="bits per character", key="bits", unit="bits", figure="bits_per_character", bound="are at most",
)  # fmt: skip
EXACT_MATCH = Metric(
    Column("exact match", "exact", recorded("test_exact")), _VALID_LETTERS,
    names="exact matches", key="exact", unit="percentage points", figure="exact_match", bound="are at least",
    note="Exact match is not measured on the validation part.",
)  # fmt: skip

BY_NAME: Mapping[str, Metric] = MappingProxyType(
    {"acc": ACCURACY, "f1": F1, "loss": LOSS, "perplexity": BITS, "exact": EXACT_MATCH}
)
"""The choices of the setting `metric`, by name without `test_` and `valid_`; see `config.enums.METRIC_MODES`."""


def logged_metric(name: str, mode: str, records: Sequence[Record] = ()) -> Metric:
    """Return the metric of a value that a LightningModule logs under a name of its own.

    Args:
        name: the name that validation logs, such as `val/auroc`; the test logs `test/auroc`, or the like.
        mode: `max` or `min`: which values are better.
        records: the rounds so far. A quantity that exceeds 1 in them is not shown in per cent, and without a value of
            the test part that of the validation part is reported.

    >>> logged_metric("val/auroc", "max").name, logged_metric("val/mse", "min").is_share
    ('test auroc', False)
    """
    quantity = parse_name(name).quantity
    known = BY_NAME.get(quantity)
    if known is None or known.test.better != mode or known in (BITS, EXACT_MATCH):
        words, is_share = re.sub(r"[/_.\-\s]+", " ", quantity), parse_name(name).is_share
        known = Metric(
            Column(f"test {words}", f"test {words}", _logged("test", quantity), is_share, mode),
            Column(f"validation {words}", f"valid {words}", _logged("valid", quantity), is_share, mode),
            names=f"test {words}", key=re.sub(r"\W+", "_", quantity), unit=words, figure=re.sub(r"\W+", "_", quantity),
            bound="is at least" if mode == "max" else "is at most",
        )  # fmt: skip
    if known.is_share and any(abs(known.read(one)) > 1 or abs(known.judge(one)) > 1 for one in records):
        known = replace(
            known,
            room=100 * known.room,
            margin=known.margin and 100 * known.margin,
            test=replace(known.test, is_share=False),
            valid=replace(known.valid, is_share=False),
            unit="points",
        )
    if records and math.isnan(known.read(records[0])):
        note = "The module logs no such value of the test part: that of the validation part is reported."
        known = replace(known, test=known.valid, names=known.valid.name, note=note)
    return known


def _logged(part: str, quantity: str) -> Callable[[Record], float]:
    """Return a reader of a logged value; records name the part of each value."""

    def read(record: Record) -> float:
        found = (value for name, value in record.logged.items() if parse_name(name) == (part, quantity))
        return next(found, math.nan)

    return read


_ALIKE = 0.01
"""The largest relative difference of baselines that count as one."""


@dataclass(frozen=True)
class Baseline:
    """The score of a simple model on the same test part: its name, and the metric's value (shares are fractions)."""

    name: str
    value: float

    @classmethod
    def from_json(cls, content: Any) -> Baseline | None:
        """Return the baseline that `run.json` has; None if it has none, or none with a name and a finite value.

        >>> Baseline.from_json({"name": "order-2 n-gram with back-off", "value": 2.95})
        Baseline(name='order-2 n-gram with back-off', value=2.95)
        """
        name, value = (content.get("name"), content.get("value")) if isinstance(content, Mapping) else (None, None)
        if not isinstance(name, str) or not isinstance(value, (int, float)) or isinstance(value, bool):
            return None
        return cls(name, float(value)) if math.isfinite(value) else None


def shared_baseline(found: Sequence[Baseline | None]) -> Baseline | None:
    """Return the baseline that all runs share, its mean if seeds draw other rows; None if the runs differ."""
    known = [one for one in found if one is not None]
    if not known or len(known) < len(found) or len({one.name for one in known}) > 1:
        return None
    values = [one.value for one in known]
    if max(values) - min(values) > _ALIKE * abs(max(values)):
        return None
    return Baseline(known[0].name, sum(values) / len(values))
