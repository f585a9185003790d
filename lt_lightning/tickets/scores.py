"""Compare predicted probabilities with labels: counts, rates, losses, calibration, coverage. NumPy alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

BINS = 15
"""Number of bins in the reliability diagram, as in Guo et al."""
THRESHOLDS = (0.0, *(round(0.05 * step, 2) for step in range(1, 20)), 0.97, 0.99, 0.995, 0.999)
"""Thresholds of confidence at which coverage is given."""
COLDEST, HOTTEST = 0.01, 100.0
"""The temperatures that `fit_temperature` searches."""
_HALVINGS = 40


@dataclass(frozen=True)
class Bin:
    """The rows whose confidence lies in (`low`, `high`], or [0, `high`] in the first bin."""

    low: float
    high: float
    rows: int  # their number
    confidence: float  # their mean confidence; NaN without rows
    accuracy: float  # the share predicted correctly; NaN without rows


@dataclass(frozen=True)
class ClassScore:
    """The scores of a class."""

    rows: int  # the number of rows of this class, its support
    taken: int  # the number of rows predicted as this class
    right: int  # the number of rows that are both

    @property
    def precision(self) -> float:
        """`right` / `taken`; NaN if `taken` is 0."""
        return self.right / self.taken if self.taken else float("nan")

    @property
    def recall(self) -> float:
        """`right` / `rows`; NaN if `rows` is 0."""
        return self.right / self.rows if self.rows else float("nan")

    @property
    def f1(self) -> float:
        """The harmonic mean of precision and recall; 0 if one of them is NaN, NaN if both are.

        >>> ClassScore(rows=4, taken=2, right=2).f1
        0.6666666666666666
        """
        return 2 * self.right / (self.rows + self.taken) if self.rows + self.taken else float("nan")


@dataclass(frozen=True)
class Mistake:
    """A row that was predicted as another class."""

    row: int  # its number, counted from 0
    label: int  # its class
    predicted: int  # the predicted class
    confidence: float  # the probability of `predicted`


@dataclass(frozen=True)
class Coverage:
    """What a ticket answers if it leaves out rows whose confidence is below a threshold."""

    threshold: float
    answered: int  # the number of rows that are answered
    coverage: float  # their share
    accuracy: float  # the share of them predicted correctly; NaN without rows


@dataclass(frozen=True)
class Evaluation:
    """The scores of a ticket on labelled rows."""

    confusion: np.ndarray  # int64 `(classes, classes)`: the number of rows by class (row) and predicted class (column)
    log_loss: float  # the mean of −ln p, where p is the probability of a row's own class
    bins: Sequence[Bin]  # the reliability diagram, from low to high confidence
    mistakes: Sequence[Mistake]  # the most confident mistakes, by falling confidence, then by row
    confidence: np.ndarray  # float64 `(rows,)`: the probability of each row's predicted class
    correct: np.ndarray  # bool `(rows,)`: whether a row is predicted correctly

    def answered(self, threshold: float) -> Coverage:
        """Return how many rows are answered whose confidence is at least a threshold, and how many of them are right.

        The curve of these is the risk-coverage curve of El-Yaniv and Wiener 2010 (JMLR 11).
        """
        chosen = self.correct[self.confidence >= threshold]
        accuracy = float(chosen.mean()) if len(chosen) else float("nan")
        return Coverage(threshold, len(chosen), len(chosen) / self.rows, accuracy)

    @property
    def rows(self) -> int:
        """The number of rows."""
        return int(self.confusion.sum())

    @property
    def right(self) -> int:
        """The number of rows predicted correctly."""
        return int(self.confusion.trace())

    @property
    def accuracy(self) -> float:
        """The share of rows predicted correctly."""
        return self.right / self.rows

    @property
    def classes(self) -> list[ClassScore]:
        """The scores of each class."""
        rows, taken = self.confusion.sum(axis=1).tolist(), self.confusion.sum(axis=0).tolist()
        return [ClassScore(*each) for each in zip(rows, taken, self.confusion.diagonal().tolist(), strict=True)]

    @property
    def macro_f1(self) -> float:
        """The unweighted mean of the classes' F1, without classes that have no rows and no predictions."""
        return float(np.nanmean([score.f1 for score in self.classes]))

    @property
    def calibration_error(self) -> float:
        """The expected calibration error: how far confidence is from accuracy, bin by bin, weighted by their rows.

        See: Guo et al. 2017, https://arxiv.org/abs/1706.04599.
        """
        gaps = [bin.rows * abs(bin.accuracy - bin.confidence) for bin in self.bins if bin.rows]
        return float(sum(gaps) / self.rows)


def evaluate(logits: np.ndarray, labels: np.ndarray, mistakes: int = 10) -> Evaluation:
    """Compare a network's logits with labels.

    Args:
        logits: `(rows, classes)`, or `(rows,)` class 1's of two classes.
        labels: int64 `(rows,)`, the class of each row; at least one.
        mistakes: the number of most confident mistakes to keep.

    Raises:
        ValueError: there are no rows, or the numbers of logits and labels differ.

    Examples:
        >>> found = evaluate(np.array([[2.0, 0.0], [0.0, 1.0], [3.0, 0.0]]), np.array([0, 1, 1]))
        >>> found.confusion.tolist(), found.mistakes[0].row
        ([[1, 0], [1, 1]], 2)
    """
    if len(labels) == 0 or len(logits) != len(labels):
        raise ValueError(f"{len(logits)} rows of logits for {len(labels)} labels; give as many, and at least one")
    logs = log_probabilities(logits)
    # From logits, as in training: probabilities of different logits may round to the same number.
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
        confidence,
        predicted == labels,
    )


def fit_temperature(logits: np.ndarray, labels: np.ndarray) -> float | None:
    """Return the temperature that makes the log loss of `logits / temperature` least.

    See: Guo et al. 2017, https://arxiv.org/abs/1706.04599, section 4.2.

    Args:
        logits: as for `evaluate`.
        labels: int64 `(rows,)`, the class of each row; at least one.

    Returns:
        The temperature; None if the least one lies beyond [`COLDEST`, `HOTTEST`], as it does without any mistake.

    Examples:
        >>> fit_temperature(np.array([2.0, 2.0, 2.0, 2.0]), np.array([1, 1, 1, 0]))  # three of four: ln 3 = 2 / 1.82
        1.82
    """
    values = logits.astype(np.float64)
    values = np.stack([np.zeros_like(values), values], axis=1) if values.ndim == 1 else values
    own = values[np.arange(len(labels)), labels].mean()

    def slope(sharpness: float) -> float:
        """Return the derivative of the log loss by 1 / temperature, which rises: the loss is convex."""
        return float((np.exp(log_probabilities(sharpness * values)) * values).sum(axis=1).mean() - own)

    low, high = 1 / HOTTEST, 1 / COLDEST
    if not slope(low) < 0 < slope(high):
        return None
    for _ in range(_HALVINGS):
        middle = (low * high) ** 0.5
        low, high = (middle, high) if slope(middle) < 0 else (low, middle)
    return float(f"{1 / low:.4g}")


def log_probabilities(logits: np.ndarray) -> np.ndarray:
    """Return the logarithms of the classes' probabilities, float64 `(rows, classes)`; logits as for `evaluate`.

    >>> log_probabilities(np.array([0.0])).tolist()
    [[-0.6931471805599453, -0.6931471805599453]]
    """
    values = logits.astype(np.float64)
    if values.ndim == 1:
        values = np.stack([np.zeros_like(values), values], axis=1)
    values = values - values.max(axis=1, keepdims=True)
    return values - np.log(np.exp(values).sum(axis=1, keepdims=True))


def reliability(confidence: np.ndarray, right: np.ndarray, bins: int = BINS) -> list[Bin]:
    """Return the reliability diagram: `bins` bins of equal width, empty ones too.

    `confidence` are floats `(rows,)` in [0, 1]; a value on a border belongs to the lower bin, as in Guo et al. `right`
    are booleans `(rows,)`: whether a row is predicted correctly.
    """
    ends = np.linspace(0, 1, bins + 1)
    places = np.searchsorted(ends[1:-1], confidence, side="left")
    rows = np.bincount(places, minlength=bins)
    with np.errstate(invalid="ignore"):
        sure = np.bincount(places, confidence, bins) / rows
        true = np.bincount(places, right, bins) / rows
    columns = (ends[:-1], ends[1:], rows, sure, true)
    return [Bin(*each) for each in zip(*(column.tolist() for column in columns), strict=True)]
