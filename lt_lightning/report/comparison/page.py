"""Write a comparison as a page that stands alone: no script, nothing fetched."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from pandas import DataFrame

from lt_lightning.report import facts
from lt_lightning.report.comparison.comparison import full_networks, same_start, shown_ticket, winning_point
from lt_lightning.report.comparison.grouping import compared_columns
from lt_lightning.report.comparison.study import Study
from lt_lightning.report.comparison.tables import all_tables
from lt_lightning.report.facts import DASH
from lt_lightning.report.pages import Picture, Section, Shown, render
from lt_lightning.report.statistics import Estimate
from lt_lightning.runs.columns import Column
from lt_lightning.runs.confusion import too_many
from lt_lightning.runs.formatting import exact, mean_count, percent, show_setting
from lt_lightning.runs.metrics import Metric

_TILES = 3
_MOST_COLUMNS = 9
"""The number of groups and pairs that fit side by side on the page; the CSV table has all."""


def render_comparison(study: Study, pictures: Sequence[Picture], base: Path) -> str:
    """Return a comparison as one HTML document.

    Args:
        study: the runs in their groups.
        pictures: the figures, in their order on the page.
        base: the folder of the page, from which runs below it are named.
    """
    names = {facts.title(run.description) for run in study.runs}
    about = corpus_and_model(study).replace(" · ", ", ")
    return render(
        "comparison.html.j2",
        name=names.pop() if len(names) == 1 else about,
        lede=f"{about}. {_what_differs(study)}",
        note=_extent(study),
        tiles=_tiles(study),
        pictures=pictures,
        metric=study.metric,
        words=study.words,
        sections=_sections(study, base),
        facts=_common(study),
        left_out=study.left_out,
    )


def _sections(study: Study, base: Path) -> list[Section]:
    """Return the tables of the page."""
    metric, words, key = study.metric, study.words, study.metric.key
    rows = {name: _rows(table) for name, table in all_tables(study, base).items()}
    group, number = Shown("group", "group", is_text=True), Shown("n", "n")
    density, sparsity = Shown("density", "density", percent), Shown("sparsity", "sparsity", percent)
    measures = [
        shown
        for name, column in compared_columns(metric).items()
        for shown in (
            Shown(column.heading, name, lambda one, column=column: column.show(one.mean)),
            Shown(f"95 % interval{' (%)' * column.is_share}", name, partial(_interval, column=column)),
        )
    ]
    difference = f"difference_{key}"
    labels, pairs = list(study.curves), [pair.label for pair in study.pairs]
    steps = [Shown("steps", "steps", mean_count)] * any("steps" in row for row in rows["rounds"])
    side_by_side = [
        *(Shown(label, f"{label}_{key}", partial(plus_minus, metric=metric)) for label in labels),
        *(Shown(label, f"difference: {label}_{key}", partial(_signed, column=metric.test)) for label in pairs),
    ]
    return [
        Section("Groups", rows["groups"], (
            group, Shown("seeds", "seeds", is_text=True),
            Shown(words.full, f"full_{key}", partial(plus_minus, metric=metric)),
            Shown("best ticket", f"best_{key}", metric.show), Shown("its sparsity", "best_sparsity", percent),
            Shown(words.smallest, f"winner_{key}", metric.show), Shown("its sparsity", "winner_sparsity", percent),
        ), f"{metric.names.removeprefix('test ').capitalize()} are mean {metric.names}."),
        Section(
            "By density", rows["densities"] if len(side_by_side) <= _MOST_COLUMNS else [],
            (Shown("round", "round"), density, number, *side_by_side),
            f"Mean {metric.names} of tickets of one density, ± half the width of the 95 % interval where there are "
            f"several seeds, and behind them the paired differences in {metric.unit}. Round and n are those of the "
            "first group and of the group with most seeds.",
        ),
        Section("Paired differences", rows["paired"], (
            Shown("pair", "pair", is_text=True), density, sparsity,
            Shown("difference", difference, lambda one: _number(one.mean, metric.test, "+")),
            Shown("95 % interval", difference, partial(_interval, column=metric.test)),
            number, Shown("verdict", "verdict", is_text=True),
        ), f"{first_minus_second(metric)}, in {metric.unit}, over the seeds that both have."),
        Section("Rounds", rows["rounds"], (
            group, Shown("round", "round"), density, sparsity, number, *steps, *measures,
        )),
        Section(f"{words.right.capitalize()} of each {words.one}", rows["classes"], (
            group, Shown("ticket", "ticket", is_text=True), number, Shown(words.one, "class", is_text=True),
            Shown(words.tested.removeprefix("test "), "rows", "{:,}".format),
            Shown(words.right, "accuracy", percent),
        ), f"{words.tested.capitalize()} are counted once a seed, all n seeds together that kept their answers."
           f"{too_many(len({row['class'] for row in rows['classes']}), words.many)}"),
        Section("Runs", rows["runs"], (
            Shown("folder", "folder", is_text=True), group, Shown("seed", "seed"), Shown("last round", "rounds"),
            Shown(words.full, f"full_{key}", metric.show), Shown("last ticket", f"last_{key}", metric.show),
        )),
    ]  # fmt: skip


def _rows(table: DataFrame) -> list[dict[str, Any]]:
    """Return the rows of a table by name; a value with an interval is an `Estimate`."""
    rows: list[dict[str, Any]] = [{str(name): value for name, value in row.items()} for row in table.to_dict("records")]
    for row in rows:
        for name in [name.removesuffix("_low") for name in row if name.endswith("_low")]:
            if row[name] is not None:
                row[name] = Estimate(row[name], row[f"{name}_low"], row[f"{name}_high"], row["n"])
    return rows


def _signed(one: Estimate, column: Column) -> str:
    """Return a difference with half the width of its interval."""
    half = "" if one.half is None else f" ± {_number(one.half, column)}"
    return f"{_number(one.mean, column, '+')}{half}"


def _interval(one: Estimate, column: Column) -> str:
    if one.low is None or one.high is None:
        return DASH
    return f"{_number(one.low, column)} … {_number(one.high, column)}"


def _number(value: float, column: Column, sign: str = "-") -> str:
    return f"{column.scale * value:{sign}.{column.digits}f}".replace("-", "−")


def _extent(study: Study) -> str:
    runs = f"{len(study.runs)} run{'s' * (len(study.runs) > 1)}"
    groups = f"{len(study.groups)} group{'s' * (len(study.groups) > 1)}"
    going = sum(not run.description.finished for run in study.runs)
    out = f" · {going} not finished" if going else ""
    out += f" · {len(study.left_out)} left out" if study.left_out else ""
    return f"{runs} in {groups} · {seeds(study)}{budget(study)}{out}"


def budget(study: Study) -> str:
    """Return the number of optimizer steps of the rounds, behind a dot; nothing if no run has recorded it."""
    steps = facts.steps_line(record for run in study.runs for record in run.compared)
    return steps and f" · {steps}"


def corpus_and_model(study: Study) -> str:
    """Return the corpus and the networks, in a few words."""
    corpus = facts.say(study.runs[0].description.corpus.name)
    networks = dict.fromkeys(facts.say(run.description.model) for run in study.runs)
    return f"{corpus} · {' and '.join(networks) if len(networks) <= 2 else f'{len(networks)} kinds of networks'}"


def seeds(study: Study) -> str:
    """Return the number of seeds of the groups, or the seeds themselves if all groups have the same few."""
    counts = [len(group.runs) for group in study.groups]
    plural = "s" * (max(counts) > 1)
    if len({group.seeds for group in study.groups}) == 1 and counts[0] <= 10:
        return f"seed{plural} {', '.join(study.groups[0].seeds)}"
    return f"{facts.many(counts)} seed{plural} a group"


def _what_differs(study: Study) -> str:
    keys = list(study.groups[0].settings)
    if not keys:
        return "All runs have the same settings; their seeds differ."
    values = {key: dict.fromkeys(show_setting(group.settings[key]) for group in study.groups) for key in keys}
    said = [f"{key} ({', '.join(of)})" for key, of in values.items()]
    return f"What differs: {'; '.join(said)}."


def _tiles(study: Study) -> list[tuple[str, str, str]]:
    tiles, metric = [], study.metric
    if same_start(study.groups):
        full = full_networks(study.groups)
        width = "" if full.half is None else f"± {metric.scale * full.half:.{metric.digits}f}, "
        tiles.append(("Full network", metric.show(full.mean), f"mean {metric.name}, {width}n = {full.n}"))
    for group in study.groups[: _TILES + 1 - len(tiles)]:
        points = study.curves[group.label]
        if len(points) == 1 and not same_start(study.groups):  # nothing is pruned further
            about = f"mean {metric.name}, n = {points[0].test.n}"
            tiles.append((f"{study.words.full.capitalize()}, {group.label}", plus_minus(points[0].test, metric), about))
            continue
        winner, full = winning_point(points), points[0].test
        label = f"{study.words.smallest.capitalize()}, {group.label}"
        if winner is None:
            shown = shown_ticket(points)
            if shown:
                best, of_full = (metric.show_with_unit(value) for value in (shown[0].test.mean, full.mean))
                about = f"no ticket wins; the best has {best}, the {study.words.full} {of_full}"
            else:
                about = "no round of pruning has all seeds yet"
            tiles.append((label, DASH, about))
        else:
            reached = metric.show(winner.test.mean)
            about = f"of the weights: {reached} mean {metric.name}, n = {winner.test.n}"
            tiles.append((label, percent(winner.density), about))
    return tiles


def plus_minus(one: Estimate, metric: Metric) -> str:
    """Return a mean with half the width of its interval."""
    half = "" if one.half is None else f" ± {metric.scale * one.half:.{metric.digits}f}"
    unit = " %" if metric.is_share else ""
    return f"{metric.scale * one.mean:.{metric.digits}f}{half}{unit}" if one.n else DASH


def first_minus_second(metric: Metric) -> str:
    """Return the meaning of a paired difference."""
    return f"{metric.title} of the first minus {metric.that} of the second"


_MOST_VALUES, _MOST_LETTERS = 6, 200
"""If there are more values or letters, only the fact that the values differ is shown."""


def _common(study: Study) -> dict[str, list[tuple[str, str]]]:
    """Return the facts about the runs; of facts that differ, all values if these are few and short."""
    sheets = [facts.groups(run.description, run.records) for run in study.runs]
    common: dict[str, list[tuple[str, str]]] = {}
    for heading in sheets[0]:
        named = [{fact.name: fact for fact in sheet[heading]} for sheet in sheets]
        names = dict.fromkeys(name for of in named for name in of)
        common[heading] = [(name, _said([of.get(name) for of in named])) for name in names]
    return common


def _said(found: Sequence[facts.Fact | None]) -> str:
    """Return one fact of several runs in words. Values are compared instead of words, which may be shortened."""
    words: dict[str, str] = {}
    for fact in found:
        words.setdefault(exact(fact and fact.value), fact.said if fact else DASH)
    if len(words) == 1:
        return next(iter(words.values()))
    short = len(words) <= _MOST_VALUES and sum(map(len, words.values())) <= _MOST_LETTERS
    return "; ".join(words.values()) if short and len({*words.values()}) == len(words) else "differs"
