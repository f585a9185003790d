"""The columns of rounds: terminal, pages, LaTeX and comparisons all show a round by iterating over `Column` objects.

Imports the standard library alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from lt_lightning.runs.formatting import decimal, loss, percent
from lt_lightning.runs.records import Record


@dataclass(frozen=True)
class Column:
    """A number of a round, as tables and pages show it.

    Attributes:
        name: in words, as within a sentence.
        heading: the heading in a table of rounds.
        read: return the value of a round; NaN if it was not measured.
        is_share: whether values are fractions, which are shown in per cent.
        better: `max` or `min`.
        form: return a value that is not a share as the text of a cell.
        width: the characters of a cell in a table of fixed width.
        drop: the order in which columns make way on a narrow terminal, 1 first; 0 stays.
    """

    name: str
    heading: str
    read: Callable[[Record], float]
    is_share: bool = True
    better: str = "max"
    form: Callable[[float], str] = decimal
    width: int = 9
    drop: int = 0

    @property
    def scale(self) -> float:
        """The factor of a value that is drawn or subtracted: shares are shown in per cent."""
        return 100.0 if self.is_share else 1.0

    @property
    def digits(self) -> int:
        """The decimals of means and differences."""
        return 2 if self.is_share else 3

    def show(self, value: float) -> str:
        """Return a value as the text of a cell."""
        return percent(value) if self.is_share and not abs(value) > 1 else self.form(value)  # some modules log per cent

    def cell(self, record: Record) -> str:
        """Return the value of a round as the text of a cell."""
        return self.show(self.read(record))


def recorded(name: str) -> Callable[[Record], float]:
    """Return a reader of a column of `results.csv`."""

    def read(record: Record) -> float:
        value = getattr(record, name)
        return math.nan if value is None else value

    return read


TRAIN_LOSS = Column("training loss", "train loss", recorded("train_loss"), False, "min", loss, width=10, drop=1)
VALID_LOSS = Column("validation loss", "valid loss", recorded("valid_loss"), False, "min", loss, width=10, drop=3)
VALID_ACC = Column("validation accuracy", "valid acc", recorded("valid_acc"), width=9, drop=7)
TEST_LOSS = Column("test loss", "test loss", recorded("test_loss"), False, "min", loss, width=9, drop=2)
TEST_ACC = Column("test accuracy", "test acc", recorded("test_acc"), width=8)

ROUND_COLUMNS = (
    Column("round", "round", recorded("round"), False, form=str, width=5),
    Column("density", "density", recorded("density"), width=8),
    Column("weights alive", "alive", recorded("alive"), False, form="{:,}".format, width=10, drop=4),
    Column("epochs", "epochs", recorded("epochs"), False, form=str, width=6, drop=5),
    TRAIN_LOSS, VALID_LOSS, VALID_ACC, TEST_LOSS, TEST_ACC,
    Column("seconds", "seconds", recorded("seconds"), False, "min", "{:.1f}".format, width=7, drop=6),
)  # fmt: skip
"""The table of rounds of a classifier. With two spaces between them 100 characters; networks of a hundred million
weights and more shift the row by up to 3, for which 80 characters have room."""
