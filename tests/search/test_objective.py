"""The objective of a run, against closed forms."""

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lt_lightning.errors import SettingError
from lt_lightning.runs.description import Description
from lt_lightning.runs.metrics import ACCURACY, BITS, LOSS
from lt_lightning.runs.objective import area, objective_of, planned_objective, smallest_within
from lt_lightning.runs.records import Record


def record(round: int, alive: int, valid_acc: float, valid_loss: float = 1.0) -> Record:
    return Record(round, 1 - alive / 1000, alive, 1000, 1, 0.5, valid_loss, valid_acc, 9.0, 0.1, 1.0)


ROUNDS = (record(0, 1000, 0.80, 0.5), record(1, 500, 0.82, 0.4), record(2, 250, 0.795, 0.6), record(3, 125, 0.7, 0.9))


def described(**config: object) -> Description:
    return Description.from_json({"config": config})


@given(st.floats(0, 1), st.floats(-0.2, 0.2), st.floats(0.001, 0.9), st.integers(2, 9))
def test_the_area_of_a_line_over_log_density_is_its_middle(
    value: float, slope: float, least: float, count: int
) -> None:
    logs = [math.log(least) * place / (count - 1) for place in range(count)]
    values = [value + slope * log for log in logs]
    assert area([math.exp(one) for one in logs], values) == pytest.approx(value + slope * math.log(least) / 2)


def test_the_area_is_the_integral_whatever_the_order_and_the_scale_of_densities() -> None:
    # v = (ln d)² over [e⁻¹, 1] is 1/3, to the trapezoids' error h²/6.
    logs = [-place / 1000 for place in range(1001)]
    densities, values = [math.exp(one) for one in logs], [one**2 for one in logs]
    assert area(densities, values) == pytest.approx(1 / 3 + 1e-6 / 6, abs=1e-12)
    assert area([one / 7 for one in reversed(densities)], values[::-1]) == pytest.approx(area(densities, values))
    assert area([0.5], [0.9]) == 0.9
    assert area([0.5, 0.5], [0.9, 0.7]) == pytest.approx(0.8)
    assert math.isnan(area([1.0, 0.5], [0.9, math.nan]))


@pytest.mark.parametrize(("within", "reference", "density"), [
    (0.0, None, 0.5), (0.5, None, 0.25), (9.9, None, 0.25), (10.0, None, 0.125), (0.0, 0.82, 0.5), (3.0, 0.82, 0.25),
    (0.0, 0.9, 1.0), (0.0, 0.1, 0.125),
])  # fmt: skip
def test_smallest_within_is_the_density_of_the_sparsest_ticket_as_good(within, reference, density) -> None:
    assert smallest_within(ROUNDS, ACCURACY, within, reference) == density


def test_smallest_within_has_the_unit_of_the_metric() -> None:
    assert smallest_within(ROUNDS, LOSS, 0.1) == 0.25
    assert smallest_within(ROUNDS, LOSS, 0.09) == 0.5
    assert smallest_within(ROUNDS, BITS, 0.4 / math.log(2)) == 0.125
    assert math.isnan(smallest_within([record(0, 1000, math.nan)], ACCURACY))


@pytest.mark.parametrize(("config", "better", "value"), [
    ({}, "max", 0.7), ({"metric": "test_loss"}, "min", 0.9), ({"objective": "valid_loss"}, "min", 0.9),
    ({"objective": "valid_acc", "metric": "valid_loss"}, "max", 0.7), ({"objective": "valid_f1"}, "max", 0.6),
    ({"objective": "smallest_within", "objective_within": 0.5}, "min", 0.25),
    ({"objective": "auc"}, "max", (0.8 / 2 + 0.82 + 0.795 + 0.7 / 2) / 3),
    ({"objective": "auc", "metric": "valid_loss"}, "min", (0.5 / 2 + 0.4 + 0.6 + 0.9 / 2) / 3),
    ({"objective": "valid_gain", "metrics": {"gain": {}}}, None, 0.4),
    ({"objective": "valid_gain", "metric": "valid_gain", "metric_mode": "max", "metrics": {"gain": {}}}, "max", 0.4),
])  # fmt: skip
def test_a_run_has_the_objective_of_its_settings(config, better, value) -> None:
    last = replace(ROUNDS[-1], valid_f1=0.6, logged={"valid_gain": 0.4, "test_gain": 0.1})
    rounds = (*ROUNDS[:-1], last)
    objective = objective_of(described(**config), rounds)
    assert objective.better == better
    assert objective.read(rounds) == pytest.approx(value)


def test_a_value_that_is_not_measured_is_refused() -> None:
    with pytest.raises(SettingError, match="objective: valid_f1 is not measured, only valid_acc, valid_loss; choose"):
        objective_of(described(objective="valid_f1"), ROUNDS).read(ROUNDS)


@pytest.mark.slow
def test_the_direction_is_known_before_a_run_begins(configure) -> None:
    assert planned_objective(configure("objective=auc")).better == "max"
    assert planned_objective(configure("+experiment=seq2seq")).better == "max"
    assert planned_objective(configure("+experiment=char_lm", "objective=auc")).better == "min"


@pytest.mark.parametrize(("overrides", "said"), [
    (["objective=test_acc"], "objective: 'test_acc' is not of the validation part"),
    (["objective=valid_bleu"], "'valid_bleu' is none of auc, smallest_within, valid_acc, valid_f1, valid_loss"),
    (["objective=auc", "pruning=snip", "pruning.density=0.1"], "auc compares rounds, and pruning.schedule=at_init"),
    (["objective_reference=0.9"], "objective_reference: only read with objective=smallest_within"),
    (["objective=smallest_within", "objective_within=-1"], "objective_within: -1.0 is not a finite number from 0 on"),
])  # fmt: skip
def test_objectives_that_are_refused(configure, overrides, said) -> None:
    with pytest.raises(SettingError, match=said):
        configure(*overrides)
