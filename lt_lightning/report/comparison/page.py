"""Write a comparison as a page that stands alone: no script, nothing fetched."""

import math
from collections.abc import Sequence
from pathlib import Path

from lt_lightning.report import facts
from lt_lightning.report.comparison.comparison import full_networks, shown_ticket, winning_point
from lt_lightning.report.comparison.pairing import same_start
from lt_lightning.report.comparison.protocol import protocol_faults
from lt_lightning.report.comparison.sections import plus_minus, sections_of
from lt_lightning.report.comparison.study import Study
from lt_lightning.report.facts import DASH
from lt_lightning.report.pages import Picture, render
from lt_lightning.runs.formatting import exact, percent, show_setting
from lt_lightning.runs.metrics import ACCURACY
from lt_lightning.runs.notes import measured_rows

_TILES = 3


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
        sections=sections_of(study, base),
        faults=protocol_faults(study),
        sample=_sample(study),
        facts=_common(study),
        left_out=study.left_out,
    )


def _sample(study: Study) -> str:
    """Return a sentence about the error of the test part as a sample; nothing if it gives no accuracies of rows."""
    run, full = study.runs[0], study.curves[study.groups[0].label][0].test.mean
    # The test part of runs of 0.4 may be limited to an unknown number of rows.
    every = None if measured_rows(run.description, "test") else (run.description.corpus.rows or {}).get("test")
    rows = run.records[0].tested_rows or (run.description.measured or {}).get("test") or every
    if study.metric != ACCURACY or not rows or not 0 <= full <= 1:
        return ""
    error = 100 * math.sqrt(full * (1 - full) / rows)
    return (
        f"The test part is a sample, too: on its {rows:,} rows an accuracy of {percent(full)} has a standard error of "
        f"{error:.2f} points, which the intervals over seeds do not include, as all seeds are tested on the same rows."
    )


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
        of_densities = any(run.parts for group in study.groups for run in group.runs)
        return f"All runs have the same settings; their seeds {'and densities ' * of_densities}differ."
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
        if not group.has_full or (len(points) == 1 and not same_start(study.groups)):  # nothing is pruned further
            at = "" if group.has_full else f" with {percent(points[0].density)} of the weights"
            about = f"mean {metric.name}{at}, n = {points[0].test.n}"
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
