"""A comparison as a page that stands alone: no script, nothing fetched."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from lt_lightning.report import facts
from lt_lightning.report.comparison.comparison import full_networks, same_start, shown_ticket, winning_point
from lt_lightning.report.comparison.grouping import compared_columns
from lt_lightning.report.comparison.study import Study
from lt_lightning.report.comparison.tables import all_tables
from lt_lightning.report.facts import DASH
from lt_lightning.report.pages import Picture, render
from lt_lightning.report.statistics import Estimate
from lt_lightning.runs.columns import Column
from lt_lightning.runs.confusion import too_many
from lt_lightning.runs.formatting import exact, percent, show_setting
from lt_lightning.runs.metrics import Metric

_TILES = 3


class Shown(NamedTuple):
    """A column of a table on the page.

    Attributes:
        heading: the heading.
        cell: return the cell of a row, whose values are found by name.
        is_text: whether cells are words, or else numbers.
    """

    heading: str
    cell: Callable[[Mapping[str, Any]], str]
    is_text: bool = False


class Section(NamedTuple):
    """A table on the page with its heading and the note below it."""

    heading: str
    columns: Sequence[Shown]
    rows: Sequence[Mapping[str, Any]]
    note: str = ""

    @property
    def cells(self) -> list[list[str]]:
        """The cells of each row."""
        return [[column.cell(row) for column in self.columns] for row in self.rows]

    @property
    def texts(self) -> list[int]:
        """The positions of the columns of words."""
        return [position for position, column in enumerate(self.columns) if column.is_text]


def render_comparison(study: Study, pictures: Sequence[Picture], base: Path) -> str:
    """Return a comparison as one HTML document.

    Args:
        study: what is compared.
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
    """Return the tables of the page; some comparisons have no pairs or no classes."""
    metric, words = study.metric, study.words
    key = metric.key
    rows: dict[str, Any] = {name: table.to_dict("records") for name, table in all_tables(study, base).items()}
    group, sparsity = Shown("group", _of("group"), is_text=True), _of("sparsity", percent)
    seeds_of_ticket, density = Shown("n", _of("n")), Shown("density", _of("density", percent))
    measures = [
        shown
        for name, column in compared_columns(metric).items()
        for shown in (
            Shown(column.heading, _of(name, column.show)),
            Shown(f"95 % interval{' (%)' * column.is_share}", _interval(name, column)),
        )
    ]
    sections = [
        Section(
            "Groups",
            (
                group,
                Shown("seeds", _of("seeds"), is_text=True),
                Shown(words.full, lambda row: plus_minus(_estimate(row, f"full_{key}"), metric)),
                Shown("best ticket", _of(f"best_{key}", metric.show)),
                Shown("its sparsity", _of("best_sparsity", percent)),
                Shown(words.smallest, _of(f"winner_{key}", metric.show)),
                Shown("its sparsity", _of("winner_sparsity", percent)),
            ),
            rows["groups"],
            f"{metric.names.removeprefix('test ').capitalize()} are mean {metric.names}.",
        ),
        Section(
            "Paired differences",
            (
                Shown("pair", _of("pair"), is_text=True),
                density,
                Shown("sparsity", sparsity),
                Shown("difference", _of(f"difference_{key}", lambda value: _number(value, metric.test, "+"))),
                Shown("95 % interval", _interval(f"difference_{key}", metric.test)),
                seeds_of_ticket,
                Shown("verdict", _of("verdict"), is_text=True),
            ),
            rows["paired"],
            f"{first_minus_second(metric)}, in {metric.unit}, over the seeds that both have.",
        ),
        Section(
            "Rounds",
            (group, Shown("round", _of("round")), density, Shown("sparsity", sparsity), seeds_of_ticket, *measures),
            rows["rounds"],
        ),
        Section(
            f"{words.right.capitalize()} of each {words.one}",
            (
                group,
                Shown("ticket", _of("ticket"), is_text=True),
                seeds_of_ticket,
                Shown(words.one, _of("class"), is_text=True),
                Shown(words.tested.removeprefix("test "), _of("rows", "{:,}".format)),
                Shown(words.right, _of("accuracy", percent)),
            ),
            rows["classes"],
            f"{words.tested.capitalize()} are counted once a seed, all n seeds together that kept their answers."
            f"{too_many(len({row['class'] for row in rows['classes']}), words.many)}",
        ),
        Section(
            "Runs",
            (
                Shown("folder", _of("folder"), is_text=True),
                group,
                Shown("seed", _of("seed")),
                Shown("last round", _of("rounds")),
                Shown(words.full, _of(f"full_{key}", metric.show)),
                Shown("last ticket", _of(f"last_{key}", metric.show)),
            ),
            rows["runs"],
        ),
    ]
    return [section for section in sections if section.rows]


def _of(name: str, show: Callable[[Any], str] = str) -> Callable[[Mapping[str, Any]], str]:
    """Return a function that shows a row's value of a name."""
    return lambda row: DASH if row[name] is None else show(row[name])


def _estimate(row: Mapping[str, Any], name: str) -> Estimate:
    return Estimate(row[name], row[f"{name}_low"], row[f"{name}_high"], row["n"])


def _interval(name: str, column: Column) -> Callable[[Mapping[str, Any]], str]:
    """Return a function that shows a row's interval of a value."""

    def show(row: Mapping[str, Any]) -> str:
        ends = [row[f"{name}_low"], row[f"{name}_high"]]
        return DASH if None in ends else " … ".join(_number(end, column) for end in ends)

    return show


def _number(value: float, column: Column, sign: str = "-") -> str:
    return f"{column.scale * value:{sign}.{column.digits}f}".replace("-", "−")


def _extent(study: Study) -> str:
    runs = f"{len(study.runs)} run{'s' * (len(study.runs) > 1)}"
    groups = f"{len(study.groups)} group{'s' * (len(study.groups) > 1)}"
    going = sum(not run.description.finished for run in study.runs)
    out = f" · {going} not finished" if going else ""
    out += f" · {len(study.left_out)} left out" if study.left_out else ""
    return f"{runs} in {groups} · {seeds(study)}{out}"


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
    sheets = [facts.groups(run.description) for run in study.runs]
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
