"""Rates, losses and calibration of an evaluation are what counting by hand gives."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lt_lightning.tickets.scores import Evaluation, evaluate, log_probabilities, reliability

# Four rows of three classes: right, wrong, wrong and surer, right.
LOGITS = np.log(np.array([[0.7, 0.2, 0.1], [0.5, 0.3, 0.2], [0.9, 0.08, 0.02], [0.3, 0.4, 0.3]]))
LABELS = np.array([0, 1, 1, 1])


def test_an_evaluation_by_hand() -> None:
    found = evaluate(LOGITS, LABELS)
    assert found.confusion.tolist() == [[1, 0, 0], [2, 1, 0], [0, 0, 0]]
    assert (found.rows, found.right, found.accuracy) == (4, 2, 0.5)
    first, second, third = found.classes
    assert (first.precision, first.recall, first.f1) == (1 / 3, 1.0, 0.5)
    assert (second.precision, second.recall, second.f1) == (1.0, 1 / 3, 0.5)
    assert math.isnan(third.precision) and math.isnan(third.recall) and math.isnan(third.f1)
    assert found.macro_f1 == 0.5  # the third class is nowhere
    assert found.log_loss == pytest.approx(-math.log(0.7 * 0.3 * 0.08 * 0.4) / 4)
    # Confidences 0.7, 0.5, 0.9 and 0.4 fall into bins of their own.
    assert found.calibration_error == pytest.approx((0.3 + 0.5 + 0.9 + 0.6) / 4)
    assert [(one.row, one.label, one.predicted) for one in found.mistakes] == [(2, 1, 0), (1, 1, 0)]
    assert [one.confidence for one in found.mistakes] == pytest.approx([0.9, 0.5])


def test_a_class_that_rows_are_only_taken_for_counts_as_0() -> None:
    found = evaluate(np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([0, 0]))
    assert found.classes[1].f1 == 0
    assert math.isnan(found.classes[1].recall)
    assert found.macro_f1 == pytest.approx((2 / 3 + 0) / 2)


def test_of_equally_confident_mistakes_the_first_comes_first_and_no_more_are_kept_than_asked() -> None:
    found = evaluate(np.zeros((5, 2)), np.array([1, 0, 1, 1, 1]), mistakes=3)
    assert [one.row for one in found.mistakes] == [0, 2, 3]
    assert evaluate(np.zeros((5, 2)), np.ones(5, int), mistakes=0).mistakes == []


def test_a_single_logit_is_that_of_class_1() -> None:
    one = np.array([-2.0, 0.0, 3.0, 1e-12], np.float32)
    labels = np.array([0, 1, 1, 1])
    both = evaluate(np.stack([np.zeros(4), one], axis=1), labels)
    alone = evaluate(one, labels)
    assert alone.confusion.tolist() == both.confusion.tolist() == [[1, 0], [1, 2]]
    assert alone.log_loss == both.log_loss
    assert alone.calibration_error == both.calibration_error > 0


def test_a_certain_mistake_costs_its_logit_and_not_infinity() -> None:
    found = evaluate(np.array([[500.0, 0.0]], np.float32), np.array([1]))
    assert found.log_loss == 500
    assert found.bins[-1].rows == 1
    assert found.calibration_error == 1


def test_a_confidence_on_a_border_is_in_the_lower_bin_and_none_is_lost() -> None:
    bins = reliability(np.array([0.0, 0.2, 0.2000001, 1.0]), np.array([True, False, True, True]), 5)
    assert [bin.rows for bin in bins] == [2, 1, 0, 0, 1]
    assert (bins[0].confidence, bins[0].accuracy) == (0.1, 0.5)
    assert math.isnan(bins[2].accuracy)
    assert (bins[0].low, bins[-1].high) == (0, 1)


def test_nothing_to_evaluate_is_an_error() -> None:
    with pytest.raises(ValueError, match="0 rows"):
        evaluate(np.zeros((0, 2)), np.zeros(0, np.int64))
    with pytest.raises(ValueError, match="2 rows of logits for 3 labels"):
        evaluate(np.zeros((2, 2)), np.zeros(3, np.int64))


@settings(deadline=None)  # how long an example takes says nothing on a machine that others use too
@given(st.integers(1, 60), st.integers(2, 5), st.integers(0, 2**32 - 1))
def test_any_evaluation_is_what_counting_row_by_row_gives(rows: int, classes: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    logits = rng.normal(scale=3, size=(rows, classes)).astype(np.float32)
    labels = rng.integers(classes, size=rows)
    found = evaluate(logits, labels, mistakes=4)
    probabilities = [[math.exp(float(x)) / sum(math.exp(float(y)) for y in row) for x in row] for row in logits]
    taken = [row.index(max(row)) for row in probabilities]
    for label in range(classes):
        for predicted in range(classes):
            pairs = sum((a, b) == (label, predicted) for a, b in zip(labels, taken, strict=True))
            assert found.confusion[label, predicted] == pairs
    scores = []
    for number in {*labels.tolist(), *taken}:
        both = sum(a == b == number for a, b in zip(labels, taken, strict=True))
        precision, recall = both / max(1, taken.count(number)), both / max(1, labels.tolist().count(number))
        scores.append(2 * precision * recall / (precision + recall) if both else 0.0)
    assert found.macro_f1 == pytest.approx(sum(scores) / len(scores))
    losses = [-math.log(row[label]) for row, label in zip(probabilities, labels, strict=True)]
    assert found.log_loss == pytest.approx(sum(losses) / rows)
    assert found.calibration_error == pytest.approx(calibration_error_row_by_row(probabilities, labels, taken))
    surest = sorted((-max(row) for row, a, b in zip(probabilities, labels, taken, strict=True) if a != b))[:4]
    assert [-one.confidence for one in found.mistakes] == pytest.approx(surest)
    np.testing.assert_allclose(np.exp(log_probabilities(logits)), probabilities, rtol=1e-9)
    assert isinstance(found, Evaluation)


def calibration_error_row_by_row(probabilities: list[list[float]], labels: np.ndarray, taken: list[int]) -> float:
    """The sum over bins (m − 1)/15 < p ≤ m/15 of |right − p| summed over their rows, over all rows."""
    gaps = dict.fromkeys(range(1, 16), 0.0)
    for row, label, predicted in zip(probabilities, labels, taken, strict=True):
        gaps[math.ceil(max(row) * 15)] += (label == predicted) - max(row)
    return sum(map(abs, gaps.values())) / len(taken)
