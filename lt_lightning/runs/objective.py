"""The objective: one number of a run, on the validation part, by which sweepers choose settings.

Pure functions of the rounds' records. `objective_of` reads the settings.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from types import MappingProxyType
from typing import Any

from lt_lightning.config.choice import values_of
from lt_lightning.config.metric_names import parse_name
from lt_lightning.config.schema import Config
from lt_lightning.config.sources import CustomData
from lt_lightning.errors import SettingError
from lt_lightning.runs.description import Description
from lt_lightning.runs.metrics import BITS, BY_NAME, EXACT_MATCH, Metric, logged_metric
from lt_lightning.runs.reading import Run
from lt_lightning.runs.recorded import RecordedConfig
from lt_lightning.runs.records import Record
from lt_lightning.runs.tasks import OWN, TASKS
from lt_lightning.runs.winners import reaches, smallest_winner


@dataclass(frozen=True)
class Objective:
    """The number of a run that a sweeper makes as high, or as low, as it can.

    Attributes:
        name: its name in the settings.
        better: `max` or `min`: which values are better; None if that is not known.
        measure: return the value of some rounds, the full network first; NaN if it was not measured.
    """

    name: str
    better: str | None
    measure: Callable[[Sequence[Record]], float]

    def read(self, records: Sequence[Record]) -> float:
        """Return the value of some rounds; raise a `SettingError` if it was not measured."""
        value = self.measure(records)
        if math.isnan(value):
            there = [name for name in ("valid_acc", "valid_f1", "valid_loss") if _has(records[-1], name)]
            there += [name for name in records[-1].logged if parse_name(name).part in ("valid", "")]
            raise SettingError(
                f"objective: {self.name} is not measured, only {', '.join(there) or 'the training part'}; "
                "choose one that is"
            )
        return value


def _has(record: Record, name: str) -> bool:
    value = getattr(record, name)
    return value is not None and not math.isnan(value)


def area(densities: Sequence[float], values: Sequence[float]) -> float:
    """Return the mean of values over the logarithm of the density: the area under their curve, by trapezoids.

    With the densities in falling order, d₀ ≥ … ≥ dₙ > 0, and their values v₀, …, vₙ, it is

        Σ (ln dᵢ₋₁ − ln dᵢ) (vᵢ₋₁ + vᵢ) / 2  /  (ln d₀ − ln dₙ)

    with i from 1 to n, and the plain mean if all densities are equal. It has the values' unit, and does not depend on
    the base of the logarithm. NaN if a value is.

    >>> round(area([1.0, 0.5, 0.25], [0.9, 0.8, 0.5]), 12)
    0.75
    """
    points = sorted(zip(densities, values, strict=True), key=lambda one: -one[0])
    span = math.log(points[0][0]) - math.log(points[-1][0])
    if span == 0 or any(math.isnan(value) for value in values):
        return sum(values) / len(values)
    return sum(
        (math.log(high) - math.log(low)) * (first + second) / 2
        for (high, first), (low, second) in pairwise(points)
    ) / span  # fmt: skip


def smallest_within(
    records: Sequence[Record], metric: Metric, within: float = 0.0, reference: float | None = None
) -> float:
    """Return the density of the sparsest ticket that is about as good as the full network, on the validation part.

    Args:
        records: the full network's, and those of the tickets.
        metric: the metric of the run.
        within: a ticket may be worse by this; in the metric's unit, of accuracy in points.
        reference: compare with this validation value in place of the full network's.

    Returns:
        The density of the full network if no ticket is good enough; NaN without validation values.
    """
    if math.isnan(metric.judge(records[0])):
        return math.nan
    if reference is None:
        winner = smallest_winner(records, metric, within)
        return (winner or records[0]).density
    good = [one.density for one in records if reaches(metric.judge(one), reference, metric, within)]
    return min([records[0].density, *good])


def objective_of(description: Description, records: Sequence[Record] = ()) -> Objective:
    """Return the objective of a run's settings.

    Args:
        description: the run's `run.json`, or what is known of it before it begins.
        records: the rounds so far.
    """
    values = description.config.values or {}
    name, metric = values.get("objective"), description.metric_for(records)
    if name is not None and name in _OF_ROUNDS:
        return _OF_ROUNDS[name](metric, values)
    if name is None:
        valid = metric.valid
        return Objective("validation value of the last round", valid.better, _last(valid.read))
    return _of_last_round(name, values, records)


def planned_objective(config: Config) -> Objective:
    """Return the objective that a run of these settings will have."""
    values = json.loads(json.dumps(values_of(config)))  # choices by their names
    task = OWN if isinstance(config.data, CustomData) else TASKS[config.model.task]
    return objective_of(Description(task=task, config=RecordedConfig.from_json(values)))


def objective_value(run: Run) -> float:
    """Return the objective of a run that has rounds; NaN if it was not measured."""
    return objective_of(run.description, run.compared).measure(run.compared)


def _auc(metric: Metric, values: Mapping[str, Any]) -> Objective:
    def measure(records: Sequence[Record]) -> float:
        alive = [one for one in records if one.alive]
        return area([one.density for one in alive], [metric.judge(one) for one in alive])

    return Objective("auc", metric.valid.better, measure)


def _smallest(metric: Metric, values: Mapping[str, Any]) -> Objective:
    within, reference = float(values.get("objective_within", 1.0)), values.get("objective_reference")
    return Objective(
        "smallest_within", "min", lambda records: smallest_within(records, metric, within, reference)
    )  # fmt: skip


_OF_ROUNDS: Mapping[str, Callable[[Metric, Mapping[str, Any]], Objective]] = MappingProxyType(
    {"auc": _auc, "smallest_within": _smallest}
)
"""The objectives of all rounds, `config.enums.OBJECTIVES`."""


def _of_last_round(name: str, values: Mapping[str, Any], records: Sequence[Record]) -> Objective:
    """Return the objective that is a validation value of the last round."""
    logged = parse_name(name)
    known = BY_NAME.get(logged.quantity)
    if known is not None and known not in (BITS, EXACT_MATCH) and logged.part == "valid":
        own = known.valid
        if records and math.isnan(own.read(records[0])):  # logged under another name by a module of the user's own
            own = logged_metric(name, own.better, records).valid
        return Objective(name, own.better, _last(own.read))
    given = values.get("metric_mode") if values.get("metric") == name else None
    better = given or logged.mode
    return Objective(name, better, _last(logged_metric(name, better or "max", ()).valid.read))


def _last(read: Callable[[Record], float]) -> Callable[[Sequence[Record]], float]:
    return lambda records: read(records[-1])
