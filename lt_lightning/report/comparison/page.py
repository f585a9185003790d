"""A comparison as a page that stands alone: no script, nothing fetched."""

from collections.abc import Sequence
from pathlib import Path

from lt_lightning.report import facts
from lt_lightning.report.comparison.comparison import full_networks, same_start, shown_ticket, winning_point
from lt_lightning.report.comparison.study import Study
from lt_lightning.report.comparison.tables import (
    classes_table,
    groups_table,
    paired_table,
    rounds_table,
    runs_table,
)
from lt_lightning.report.facts import DASH
from lt_lightning.report.pages import Picture, render
from lt_lightning.report.statistics import Estimate
from lt_lightning.runs.confusion import too_many
from lt_lightning.runs.formatting import exact, loss, percent, show_setting
from lt_lightning.runs.metrics import Metric

_TILES = 3


def render_comparison(study: Study, pictures: Sequence[Picture], base: Path) -> str:
    """Return a comparison as one HTML document.

    Args:
        study: what is compared.
        pictures: the figures, in their order on the page.
        base: the folder of the page, from which runs below it are named.
    """
    names = {facts.title(run.description) for run in study.runs}
    about = corpus_and_model(study).replace(" · ", ", ")
    classes = _classes(study)
    return render(
        "comparison.html.j2",
        name=names.pop() if len(names) == 1 else about,
        lede=f"{about}. {_what_differs(study)}",
        note=_extent(study),
        tiles=_tiles(study),
        pictures=pictures,
        metric=study.metric,
        words=study.words,
        groups=_groups(study),
        pairs=_paired(study),
        difference=first_minus_second(study.metric),
        rounds=_rounds(study),
        classes=classes,
        too_many=too_many(len({row[3] for row in classes}), study.words.many),
        runs=_runs(study, base),
        facts=_common(study),
        left_out=study.left_out,
    )


def _extent(study: Study) -> str:
    runs = f"{len(study.runs)} run{'s' * (len(study.runs) > 1)}"
    groups = f"{len(study.groups)} group{'s' * (len(study.groups) > 1)}"
    going = sum(not run.description.finished for run in study.runs)
    out = f" · {going} not finished" if going else ""
    out += f" · {len(study.left_out)} left out" if study.left_out else ""
    return f"{runs} in {groups} · {seeds(study)}{out}"


def corpus_and_model(study: Study) -> str:
    """The corpus and the networks, in a few words."""
    corpus = facts.say(study.runs[0].description.corpus.name)
    networks = dict.fromkeys(facts.say(run.description.model) for run in study.runs)
    return f"{corpus} · {' and '.join(networks) if len(networks) <= 2 else f'{len(networks)} kinds of networks'}"


def seeds(study: Study) -> str:
    """How many seeds the groups have, which where all have the same few."""
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
    """A value with half the width of its interval."""
    half = "" if one.half is None else f" ± {metric.scale * one.half:.{metric.digits}f}"
    unit = " %" if metric.is_share else ""
    return f"{metric.scale * one.mean:.{metric.digits}f}{half}{unit}" if one.n else DASH


def first_minus_second(metric: Metric) -> str:
    """What a paired difference is."""
    return f"{metric.title} of the first minus {metric.that} of the second"


def _reached(value: float | None, metric: Metric) -> str:
    return DASH if value is None else metric.show(value)


def _share(value: float | None) -> str:
    return DASH if value is None else percent(value)


def _interval(low: float | None, high: float | None, factor: float = 100, digits: int = 2) -> str:
    if low is None or high is None:
        return DASH
    return f"{_number(factor * low, digits)} … {_number(factor * high, digits)}"


def _number(value: float, digits: int) -> str:
    return f"{value:.{digits}f}".replace("-", "−")


def _groups(study: Study) -> list[tuple[str, ...]]:
    metric = study.metric
    return [
        (
            row[0], row[2], plus_minus(Estimate(row[3], row[4], row[5], row[1]), metric), _reached(row[8], metric),
            _share(row[7]), _reached(row[11], metric), _share(row[10]),
        )
        for row in groups_table(study).rows
    ]  # fmt: skip


def _paired(study: Study) -> list[tuple[str, ...]]:
    metric = study.metric
    return [
        (
            row[0], percent(row[2]), percent(row[3]),
            f"{metric.scale * row[4]:+.{metric.digits}f}".replace("-", "−"),
            _interval(row[5], row[6], metric.scale, metric.digits), str(row[7]), row[8],
        )
        for row in paired_table(study).rows
    ]  # fmt: skip


def _rounds(study: Study) -> list[tuple[str, ...]]:
    metric = study.metric
    return [
        (
            row[0], str(row[1]), percent(row[2]), percent(row[3]), str(row[4]), metric.show(row[5]),
            _interval(row[6], row[7], metric.scale, metric.digits), loss(row[8]), _interval(row[9], row[10], 1, 3),
            percent(row[11]), _interval(row[12], row[13]),
        )
        for row in rounds_table(study).rows
    ]  # fmt: skip


def _classes(study: Study) -> list[tuple[str, ...]]:
    rows = classes_table(study).rows
    return [(*row[:2], str(row[2]), row[3], f"{row[4]:,}", _share(row[5])) for row in rows]


def _runs(study: Study, base: Path) -> list[tuple[str, ...]]:
    return [
        (*row[:3], str(row[3]), *(study.metric.show(value) for value in row[4:]))
        for row in runs_table(study, base).rows
    ]


_MOST_VALUES, _MOST_LETTERS = 6, 200
"""Of more values, or of longer ones, only that they differ is shown."""


def _common(study: Study) -> dict[str, list[tuple[str, str]]]:
    """Return what is known about the runs; of facts that differ, all their values where these are few and short."""
    sheets = [facts.groups(run.description) for run in study.runs]
    common: dict[str, list[tuple[str, str]]] = {}
    for heading in sheets[0]:
        named = [{fact.name: fact for fact in sheet[heading]} for sheet in sheets]
        names = dict.fromkeys(name for of in named for name in of)
        common[heading] = [(name, _said([of.get(name) for of in named])) for name in names]
    return common


def _said(found: Sequence[facts.Fact | None]) -> str:
    """Return one fact of several runs in words. Values are compared, not words: these may be shortened."""
    words: dict[str, str] = {}
    for fact in found:
        words.setdefault(exact(fact and fact.value), fact.said if fact else DASH)
    if len(words) == 1:
        return next(iter(words.values()))
    short = len(words) <= _MOST_VALUES and sum(map(len, words.values())) <= _MOST_LETTERS
    return "; ".join(words.values()) if short and len({*words.values()}) == len(words) else "differs"
