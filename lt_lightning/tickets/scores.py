"""How well probabilities fit the classes that rows are of: counts, rates, losses, calibration. NumPy alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

BINS = 15
"""Of the reliability diagram, as Guo et al. have it."""


@dataclass(frozen=True)
class Bin:
    """The rows whose confidence lies in an interval.

    Attributes:
        low: its lower end, which is outside but for 0.
        high: its upper end, which is inside.
        rows: how many rows there are.
        confidence: their mean confidence; NaN where there are none.
        accuracy: the share of them that is right; NaN likewise.
    """

    low: float
    high: float
    rows: int
    confidence: float
    accuracy: float


@dataclass(frozen=True)
class ClassScore:
    """What became of a class.

    Attributes:
        rows: how many rows are of it, its support.
        taken: how many rows were taken for it.
        right: how many of either are both.
    """

    rows: int
    taken: int
    right: int

    @property
    def precision(self) -> float:
        """The share of the rows taken for it that are of it; NaN where none were."""
        return self.right / self.taken if self.taken else float("nan")

    @property
    def recall(self) -> float:
        """The share of its rows that were taken for it; NaN where it has none."""
        return self.right / self.rows if self.rows else float("nan")

    @property
    def f1(self) -> float:
        """The harmonic mean of precision and recall; 0 where one is NaN, and NaN where both are.

        >>> ClassScore(rows=4, taken=2, right=2).f1
        0.6666666666666666
        """
        return 2 * self.right / (self.rows + self.taken) if self.rows + self.taken else float("nan")


@dataclass(frozen=True)
class Mistake:
    """A row that was taken for another class.

    Attributes:
        row: its number, counted from 0.
        label: the class that it is of.
        predicted: the class that it was taken for.
        confidence: the probability that was given to `predicted`.
    """

    row: int
    label: int
    predicted: int
    confidence: float


@dataclass(frozen=True)
class Evaluation:
    """How well a ticket does on labelled rows.

    Attributes:
        confusion: int64 `(classes, classes)`: how many rows of a class, the row, were taken for a class, the column.
        log_loss: the mean of −ln p, p the probability that a row's own class was given.
        bins: the reliability diagram, from low to high confidence.
        mistakes: the most confident ones, most confident first, of equally confident ones the first.
    """

    confusion: np.ndarray
    log_loss: float
    bins: Sequence[Bin]
    mistakes: Sequence[Mistake]

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return int(self.confusion.sum())

    @property
    def right(self) -> int:
        """How many of them were taken for what they are."""
        return int(self.confusion.trace())

    @property
    def accuracy(self) -> float:
        """The share of them."""
        return self.right / self.rows

    @property
    def classes(self) -> list[ClassScore]:
        """What became of each class."""
        rows, taken = self.confusion.sum(axis=1).tolist(), self.confusion.sum(axis=0).tolist()
        return [ClassScore(*each) for each in zip(rows, taken, self.confusion.diagonal().tolist(), strict=True)]

    @property
    def macro_f1(self) -> float:
        """The mean of the classes' F1, each class as much.

        A class that no row is of and that no row was taken for is left out, as there is nothing to say of it; one
        that no row is of but some were taken for counts as 0, as does one whose rows were all taken for others.
        """
        return float(np.nanmean([score.f1 for score in self.classes]))

    @property
    def calibration_error(self) -> float:
        """The expected calibration error: how far confidence is from accuracy, bin by bin, weighted by their rows.

        See: Guo et al. 2017, https://arxiv.org/abs/1706.04599.
        """
        gaps = [bin.rows * abs(bin.accuracy - bin.confidence) for bin in self.bins if bin.rows]
        return float(sum(gaps) / self.rows)


def evaluate(logits: np.ndarray, labels: np.ndarray, mistakes: int = 10) -> Evaluation:
    """Compare what a network says with what is so.

    Args:
        logits: `(rows, classes)`, or `(rows,)` of a network of two classes with a single one, that of class 1.
        labels: int64 `(rows,)`, the class of each row; at least one.
        mistakes: how many of the most confident ones are kept.

    Raises:
        ValueError: there are no rows, or not as many of logits as of labels.

    Example:
        >>> found = evaluate(np.array([[2.0, 0.0], [0.0, 1.0], [3.0, 0.0]]), np.array([0, 1, 1]))
        >>> found.confusion.tolist(), found.mistakes[0].row
        ([[1, 0], [1, 1]], 2)
    """
    if len(labels) == 0 or len(logits) != len(labels):
        raise ValueError(f"{len(logits)} rows of logits for {len(labels)} labels; there must be as many, and some")
    # In doubles and from logits: a probability that rounds to 0 would have no logarithm.
    logs = log_probabilities(logits)
    # By logits, as in training: probabilities of unlike logits may round to one number.
    predicted = (logits > 0).astype(np.int64) if logits.ndim == 1 else logits.argmax(axis=1)
    rows, classes = np.arange(len(labels)), logs.shape[1]
    confusion = np.bincount(labels * classes + predicted, minlength=classes**2).reshape(classes, classes)
    confidence = np.exp(logs[rows, predicted])
    wrong = np.flatnonzero(predicted != labels)
    worst = wrong[np.argsort(-confidence[wrong], kind="stable")[:mistakes]]
    return Evaluation(
        confusion,
        float(-logs[rows, labels].mean()),
        reliability(confidence, predicted == labels),
        [Mistake(int(row), int(labels[row]), int(predicted[row]), float(confidence[row])) for row in worst],
    )


def log_probabilities(logits: np.ndarray) -> np.ndarray:
    """The logarithms of the classes' probabilities, float64 `(rows, classes)`; logits as for `evaluate`.

    >>> log_probabilities(np.array([0.0])).tolist()
    [[-0.6931471805599453, -0.6931471805599453]]
    """
    values = logits.astype(np.float64)
    if values.ndim == 1:
        values = np.stack([np.zeros_like(values), values], axis=1)
    values = values - values.max(axis=1, keepdims=True)
    return values - np.log(np.exp(values).sum(axis=1, keepdims=True))


def reliability(confidence: np.ndarray, right: np.ndarray, bins: int = BINS) -> list[Bin]:
    """The reliability diagram: rows in intervals of equal width by their confidence.

    Args:
        confidence: float64 `(rows,)`, in [0, 1].
        right: bool `(rows,)`, whether a row was taken for what it is.
        bins: how many intervals.

    Returns:
        All of them, empty ones too. A confidence on a border belongs to the lower one, as in Guo et al.
    """
    ends = np.linspace(0, 1, bins + 1)
    places = np.searchsorted(ends[1:-1], confidence, side="left")
    rows = np.bincount(places, minlength=bins)
    with np.errstate(invalid="ignore"):
        sure = np.bincount(places, confidence, bins) / rows
        true = np.bincount(places, right, bins) / rows
    columns = (ends[:-1], ends[1:], rows, sure, true)
    return [Bin(*each) for each in zip(*(column.tolist() for column in columns), strict=True)]
