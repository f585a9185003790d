"""Count which classes a ticket takes for which, and compute each class's accuracy."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lt_lightning.runs.description import Description
from lt_lightning.runs.formatting import say, visible
from lt_lightning.runs.records import ConfusionRecord

Counts = Mapping[tuple[int, int], int]
"""The number of test rows of a class, the first number, that were taken for a class, the second."""

MOST_CLASSES = 40
"""The largest number of classes in a legible figure."""


@dataclass(frozen=True)
class ClassAccuracy:
    """The numbers of a class's test rows: all, and those taken for the right class."""

    number: int
    rows: int
    right: int

    @property
    def accuracy(self) -> float:
        """The share of the right ones; NaN if the class has no rows."""
        return self.right / self.rows if self.rows else float("nan")


def count_confusion(rows: Sequence[ConfusionRecord], round_: int) -> Counts:
    """Return the counts of one round."""
    counts: Counter[tuple[int, int]] = Counter()
    for row in rows:
        if row.round == round_:
            counts[row.label, row.predicted] += row.count
    return counts


def classes_of(description: Description, *all_counts: Counts) -> dict[int, str]:
    """Return the names of the classes by number: those in `run.json`, and others that the counts hold."""
    names = {i: visible(say(name)) for i, name in enumerate(description.corpus.class_names or ())}
    met = sorted({number for counts in all_counts for pair in counts for number in pair})
    return names | {number: f"class {number}" for number in met if number not in names}


def class_accuracies(counts: Counts, classes: Sequence[int]) -> list[ClassAccuracy]:
    """Return each class's accuracy, in the order of `classes`.

    >>> class_accuracies({(0, 0): 3, (0, 1): 1}, [0])
    [ClassAccuracy(number=0, rows=4, right=3)]
    """
    rows: Counter[int] = Counter()
    for (label, _), count in counts.items():
        rows[label] += count
    return [ClassAccuracy(number, rows[number], counts.get((number, number), 0)) for number in classes]


def too_many(classes: int, many: str) -> str:
    """Return why there is no figure of so many classes, called `many`; nothing if there is one."""
    return f" {classes:,} {many}, more than {MOST_CLASSES}, make no picture." if classes > MOST_CLASSES else ""
