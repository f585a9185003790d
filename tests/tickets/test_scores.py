"""Temperatures are the best ones, and coverage counts the rows above a threshold."""

import numpy as np
import pytest

from lt_lightning.tickets.scores import COLDEST, evaluate, fit_temperature, log_probabilities


@pytest.mark.parametrize("temperature", [0.3, 1.0, 2.5])
@pytest.mark.parametrize("classes", [1, 4])
def test_a_temperature_that_made_labels_is_found(temperature: float, classes: int) -> None:
    rng = np.random.default_rng(0)
    logits = 3 * rng.standard_normal((40_000, classes))
    logits = logits[:, 0] if classes == 1 else logits
    chances = np.exp(log_probabilities(logits / temperature))
    labels = (chances.cumsum(axis=1) < rng.random((len(logits), 1))).sum(axis=1)
    found = fit_temperature(logits, labels)
    assert found == pytest.approx(temperature, rel=0.03)
    assert found is not None
    losses = [evaluate(logits / scale, labels, 0).log_loss for scale in (found * 0.99, found, found * 1.01)]
    assert min(losses) == losses[1]


def test_no_temperature_is_the_best_without_a_mistake_or_without_any_order() -> None:
    assert fit_temperature(np.array([[2.0, 0], [0, 1]]), np.array([0, 1])) is None
    assert fit_temperature(np.array([[2.0, 0], [0, 1]]), np.array([1, 0])) is None
    assert fit_temperature(np.full((3, 2), 1e5), np.array([1, 0, 0])) is None
    assert COLDEST < 1


def test_rows_above_a_threshold_are_counted_one_by_one() -> None:
    rng = np.random.default_rng(1)
    logits, labels = rng.standard_normal((500, 3)), rng.integers(3, size=500)
    found = evaluate(logits, labels)
    chances = np.exp(log_probabilities(logits))
    for threshold in (0.0, 0.4, 0.7, 1.0):
        answered = [row for row in range(500) if chances[row].max() >= threshold]
        right = sum(chances[row].argmax() == labels[row] for row in answered)
        one = found.answered(threshold)
        assert (one.answered, one.coverage) == (len(answered), len(answered) / 500)
        assert one.accuracy == pytest.approx(right / len(answered) if answered else np.nan, nan_ok=True)
