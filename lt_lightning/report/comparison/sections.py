"""Lay out the tables of a comparison as sections of its page."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from pandas import DataFrame

from lt_lightning.report.comparison.collapse import definition
from lt_lightning.report.comparison.comparison import Point
from lt_lightning.report.comparison.grouping import compared_columns
from lt_lightning.report.comparison.study import Study
from lt_lightning.report.comparison.tables import all_tables
from lt_lightning.report.facts import DASH
from lt_lightning.report.pages import Section, Shown
from lt_lightning.report.statistics import Estimate
from lt_lightning.runs.columns import Column
from lt_lightning.runs.confusion import too_many
from lt_lightning.runs.densities import densities_alike
from lt_lightning.runs.formatting import mean_count, percent
from lt_lightning.runs.metrics import Metric

_MOST_COLUMNS = 9
"""The number of groups and pairs that fit side by side on the page; the CSV table has all."""

_GROUP, _NUMBER = Shown("group", "group", is_text=True), Shown("n", "n")
_DENSITY, _SPARSITY = Shown("density", "density", percent), Shown("sparsity", "sparsity", percent)


def sections_of(study: Study, base: Path) -> list[Section]:
    """Return the tables of the page.

    Args:
        study: the runs in their groups.
        base: the folder of the page, from which runs below it are named.
    """
    metric, words, key = study.metric, study.words, study.metric.key
    rows = {name: _rows(table) for name, table in all_tables(study, base).items()}
    sections = [
        Section("Groups", rows["groups"], (
            _GROUP, Shown("seeds", "seeds", is_text=True),
            Shown(words.full, f"full_{key}", partial(plus_minus, metric=metric)),
            Shown("best ticket", f"best_{key}", metric.show), Shown("its sparsity", "best_sparsity", percent),
            Shown(words.smallest, f"winner_{key}", metric.show), Shown("its sparsity", "winner_sparsity", percent),
            Shown("by seed", "winners", is_text=True),
            Shown("its difference", f"difference_winners_{key}", partial(_signed, column=metric.test)),
        ), f"{metric.names.removeprefix('test ').capitalize()} are mean {metric.names}. By seed: how many "
           f"seeds have a {words.smallest} of their own, and its mean difference to the {words.full} of that seed."),
        *_areas(metric, rows["areas"]),
        _densities(study, rows["densities"]),
        _paired(metric, rows["paired"]),
        _against_full(study, rows["against_full"]),
        _rounds(metric, rows["rounds"]),
        Section(f"{words.right.capitalize()} of each {words.one}", rows["classes"], (
            _GROUP, Shown("ticket", "ticket", is_text=True), _NUMBER, Shown(words.one, "class", is_text=True),
            Shown(words.tested.removeprefix("test "), "rows", "{:,}".format),
            Shown(words.right, "accuracy", percent),
        ), f"{words.tested.capitalize()} are counted once a seed, all n seeds together that kept their answers."
           f"{too_many(len({row['class'] for row in rows['classes']}), words.many)}"),
        Section("Runs", rows["runs"], (
            Shown("folder", "folder", is_text=True), _GROUP, Shown("seed", "seed"), Shown("last round", "rounds"),
            Shown(words.full, f"full_{key}", metric.show), Shown("last ticket", f"last_{key}", metric.show),
        )),
    ]  # fmt: skip
    return [section._replace(can_fold=True) for section in sections]


def _rows(table: DataFrame) -> list[dict[str, Any]]:
    """Return the rows of a table by name; a value with an interval is an `Estimate`."""
    rows: list[dict[str, Any]] = [{str(name): value for name, value in row.items()} for row in table.to_dict("records")]
    for row in rows:
        for name in [name.removesuffix("_low") for name in row if name.endswith("_low")]:
            if row[name] is not None:
                row[name] = Estimate(row[name], row[f"{name}_low"], row[f"{name}_high"], row["n"])
    return rows


def _areas(metric: Metric, rows: Sequence[Mapping[str, Any]]) -> list[Section]:
    """Return the areas of the groups and their paired differences."""
    of_groups, of_pairs = ([row for row in rows if row[name] is not None] for name in ("group", "pair"))
    if not of_groups:
        return []
    first = of_groups[0]
    span = f"{first['densities']} densities from {percent(first['densest'])} to {percent(first['sparsest'])}"
    area = Shown(f"area{' (%)' * metric.is_share}", f"area_{metric.key}", partial(_mean, column=metric.test))
    interval = Shown("95 % interval", f"area_{metric.key}", partial(_interval, column=metric.test))
    return [
        Section(
            "One number per group", of_groups, (_GROUP, area, interval, _NUMBER),
            f"The area under {metric.name} over the logarithm of the density, of each seed: its mean over the {span}, "
            "which all groups share.",
        ),
        Section(
            "Differences of these numbers", of_pairs, (
                Shown("pair", "pair", is_text=True),
                *_tests(metric, "first minus second"),
            ), _family(of_pairs),
        ),
    ]  # fmt: skip


def _densities(study: Study, rows: Sequence[Mapping[str, Any]]) -> Section:
    """Return the groups side by side; where a ticket has collapsed, the rate and the median for the interval."""
    metric, key = study.metric, study.metric.key
    labels, names = list(study.curves), [pair.label for pair in study.pairs]
    shown: list[dict[str, Any]] = []
    for row in rows:
        cells = {f"of {label}": _value(row, f"{label}_{key}", f"{label}_collapsed", metric) for label in labels}
        for pair in study.pairs:
            one = row[f"difference: {pair.label}_{key}"]
            points = [*study.curves[pair.first.label], *study.curves[pair.second.label]]
            is_mixed = _has_collapsed(row["density"], points)
            cells[f"pair {pair.label}"] = one and (
                _mean(one, metric.test, "+") if is_mixed else _signed(one, metric.test)
            )
        shown.append({**row, **cells})
    columns = [
        *(Shown(label, f"of {label}") for label in labels),
        *(Shown(name, f"pair {name}") for name in names),
    ]
    has_rates = any(name.endswith("_collapsed") for row in rows for name in row)
    return Section(
        "By density", shown if len(columns) <= _MOST_COLUMNS else [],
        (Shown("round", "round"), _DENSITY, _NUMBER, *columns),
        f"Mean {metric.names} of tickets of one density, ± half the width of the 95 % interval where there are "
        f"several seeds, and behind them the paired differences in {metric.unit}. Round and n are those of the "
        f"first group and of the group with most seeds.{_about_collapse(study.words.full) * has_rates}",
    )  # fmt: skip


def _about_collapse(full: str) -> str:
    return (
        f" {definition(full)} Where one has, the median stands in place of the mean and its interval, and behind it in "
        "brackets the number of such seeds; the CSV tables have both."
    )


def _has_collapsed(density: float, points: Sequence[Point]) -> bool:
    return any(point.collapsed[0] for point in points if densities_alike(point.density, density))


def _value(row: Mapping[str, Any], name: str, rate: str, metric: Metric) -> str | None:
    """Return a mean with its interval or, where tickets have collapsed, their rate beside the median."""
    if row[name] is None:
        return None
    if _is_mixed(row.get(rate)):
        return f"{metric.show(row[f'{name}_median'])} [{row[rate]}]"
    return plus_minus(row[name], metric)


def _is_mixed(rate: str | None) -> bool:
    return rate is not None and not rate.startswith("0 ")


def _paired(metric: Metric, rows: Sequence[Mapping[str, Any]]) -> Section:
    """Return the differences of pairs with their tests."""
    return Section(
        "Paired differences", rows, (
            Shown("pair", "pair", is_text=True), _DENSITY, *_tests(metric, "difference"),
        ), f"{first_minus_second(metric)}, in {metric.unit}, over the seeds that both have. {_family(rows)}",
    )  # fmt: skip


def _against_full(study: Study, rows: Sequence[Mapping[str, Any]]) -> Section:
    """Return the differences of tickets and full networks with their tests."""
    metric = study.metric
    about = f"{metric.title} of tickets minus {metric.that} of the {study.words.fulls} of the same seeds"
    return Section(
        f"Against the {study.words.full}", rows, (_GROUP, _DENSITY, *_tests(metric, "difference")),
        f"{about}, in {metric.unit}. {_family(rows)}",
    )  # fmt: skip


def _tests(metric: Metric, heading: str) -> list[Shown]:
    """Return the columns of a difference and its tests."""
    difference = f"difference_{metric.key}"
    return [
        Shown(heading, difference, partial(_mean, column=metric.test, sign="+")),
        Shown("95 % interval", difference, partial(_interval, column=metric.test)),
        _NUMBER, Shown("p", "p", _p), Shown("Holm's p", "p_holm", _p),
        Shown("equivalent within", "equivalent_within", partial(_number, column=metric.test)),
        Shown("verdict", "verdict", is_text=True),
    ]  # fmt: skip


def _family(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return how the tests of a table are corrected."""
    size = sum(row["p"] is not None for row in rows)
    if not size:
        return "No pair has two seeds to test."
    return (
        f"p is of the two-sided paired t-test over seeds; Holm's p is corrected for the {size} tests of this table, "
        "and decides at .05. Equivalent within: the smallest margin within which two one-sided t-tests at .05 show "
        "equivalence; it is not corrected."
    )


def _rounds(metric: Metric, rows: Sequence[Mapping[str, Any]]) -> Section:
    """Return the rounds of all groups, with the other columns that were measured."""
    name = f"test_{metric.key}"
    shown = [
        {**row, "spread": _value(row, name, "collapsed", metric) if _is_mixed(row.get("collapsed")) else
         _interval(row[name], metric.test)}
        for row in rows
    ]  # fmt: skip
    measures = []
    for key, column in compared_columns(metric).items():
        measures.append(Shown(column.heading, key, lambda one, column=column: column.show(one.mean)))
        about = f"95 % interval{' (%)' * column.is_share}"
        measures.append(Shown(about, "spread") if key == name else Shown(about, key, partial(_interval, column=column)))
    steps = [Shown("steps", "steps", mean_count)] * any("steps" in row for row in rows)
    is_mixed = any(_is_mixed(row.get("collapsed")) for row in rows)
    return Section("Rounds", shown, (
        _GROUP, Shown("round", "round"), _DENSITY, _SPARSITY, _NUMBER, *steps, *measures,
    ), "Where tickets have collapsed, the median and their number stand for the interval." * is_mixed)  # fmt: skip


def plus_minus(one: Estimate, metric: Metric) -> str:
    """Return a mean with half the width of its interval."""
    half = "" if one.half is None else f" ± {metric.scale * one.half:.{metric.digits}f}"
    unit = " %" if metric.is_share else ""
    return f"{metric.scale * one.mean:.{metric.digits}f}{half}{unit}" if one.n else DASH


def first_minus_second(metric: Metric) -> str:
    """Return the meaning of a paired difference."""
    return f"{metric.title} of the first minus {metric.that} of the second"


def _signed(one: Estimate, column: Column) -> str:
    """Return a difference with half the width of its interval."""
    half = "" if one.half is None else f" ± {_number(one.half, column)}"
    return f"{_mean(one, column, '+')}{half}"


def _mean(one: Estimate, column: Column, sign: str = "-") -> str:
    return _number(one.mean, column, sign)


def _interval(one: Estimate, column: Column) -> str:
    if one.low is None or one.high is None:
        return DASH
    return f"{_number(one.low, column)} … {_number(one.high, column)}"


def _number(value: float, column: Column, sign: str = "-") -> str:
    return f"{column.scale * value:{sign}.{column.digits}f}".replace("-", "−")


def _p(value: float) -> str:
    """Return a p value with three decimals.

    >>> _p(0.11231), _p(0.00004), _p(1.0)
    ('0.112', '<0.001', '1.000')
    """
    return "<0.001" if value < 0.001 else f"{value:.3f}"
