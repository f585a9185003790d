"""Draw all figures of a comparison with their captions."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from matplotlib.figure import Figure

from lt_lightning.report.comparison.comparison import Point, full_networks, shown_ticket
from lt_lightning.report.comparison.grouping import Group
from lt_lightning.report.comparison.page import budget, corpus_and_model, seeds
from lt_lightning.report.comparison.pairing import Pair, same_start
from lt_lightning.report.comparison.sections import first_minus_second
from lt_lightning.report.comparison.study import Study
from lt_lightning.report.comparison.tables import confusion_runs, group_confusion
from lt_lightning.report.figures.axes import Level, levels_of
from lt_lightning.report.figures.comparison import (
    MOST_BANDS,
    MOST_GROUPS,
    drawn_range,
    means_figure,
    networks_figure,
    paired_figure,
    paired_range,
)
from lt_lightning.report.figures.confusion import Panel, confusion_figure
from lt_lightning.report.figures.curves import compared_learning_figure
from lt_lightning.report.figures.run import layers_figure
from lt_lightning.report.run import ABOUT_LAYERS, about_baseline, about_confusion
from lt_lightning.report.statistics import Estimate, estimate, scaled
from lt_lightning.runs.confusion import MOST_CLASSES, classes_of
from lt_lightning.runs.formatting import percent
from lt_lightning.runs.metrics import Metric, shared_baseline
from lt_lightning.runs.records import LayerRecord

Drawn = tuple[str, Figure, str, str]
"""The name of a figure's files, the figure, its content in words, and its caption."""

FIGURES = r"accuracy|bits_per_character|exact_match|paired|validation_loss|learning|(layers|confusion)(_\d+)?"
"""A pattern of the names of a comparison's figures."""

_EACH = 4  # the largest number of figures that show one group each


def compose(study: Study, learning: Sequence[int]) -> Iterator[Drawn]:
    """Draw every figure for which the runs have data, with learning curves of the rounds `learning`."""
    if not any(len(points) > 1 for points in study.curves.values()):
        yield _networks(study)  # nothing is pruned, so there is no axis of densities
        if learning:
            yield _learning(study, learning)
        yield from _confusions(study)
        return
    yield _metric(study)
    # Groups that prune by different shares may have the full networks alone in common, which is no figure.
    if met := [pair for pair in study.pairs if any(one.round for one in pair.differences)]:
        yield _paired(study, met)
    words = ("validation_loss", "Validation loss against density", "mean validation loss")
    name, figure, shows, caption = _means(study, words, lambda point: point.values["valid_loss"])
    yield name, figure, shows, caption + _of_many(len(study.groups), MOST_GROUPS, "groups")
    if learning:
        yield _learning(study, learning)
    yield from _layers(study)
    yield from _confusions(study)


def _below(study: Study) -> str:
    means = "means over " * any(group.runs[1:] for group in study.groups)
    return f"{corpus_and_model(study)} · {means}{seeds(study)}{budget(study)}"


def _of_many(count: int, most: int, what: str) -> str:
    return f" Of {count} {what}, the first {most} are drawn; the tables hold all." if count > most else ""


def _networks(study: Study) -> Drawn:
    metric, baseline = study.metric, shared_baseline([run.description.baseline for run in study.runs])
    curves = dict(list(study.curves.items())[:MOST_GROUPS])
    values = {label: scaled(points[0].test, metric.scale) for label, points in curves.items()}
    title = f"{metric.title} of the {study.words.fulls}"
    words = (title, _below(study), f"mean {metric.axis}")
    figure = networks_figure(values, words, levels_of(math.nan, baseline, metric))
    caption = f"{title}: the mean over the seeds of each group, with its 95 % t interval where there are several."
    caption += f" {about_baseline(baseline, metric)}" if baseline is not None else ""
    caption += _of_many(len(study.groups), MOST_GROUPS, "groups")
    return metric.figure, figure, f"{title}: {_below(study)}", caption


def _metric(study: Study) -> Drawn:
    metric, start = study.metric, full_networks(study.groups)
    full = start.mean if start.n and same_start(study.groups) else None
    baseline = shared_baseline([run.description.baseline for run in study.runs])
    words = (metric.figure, f"{metric.title} against density", f"mean {metric.axis}")
    levels = levels_of(math.nan if full is None else full, baseline, metric)
    name, figure, shows, caption = _means(study, words, lambda point: scaled(point.test, metric.scale), levels)
    if full is not None:
        caption += f" The dashed grey line is the {study.words.fulls}' mean, {metric.show(full)}"
        alike = len({group.seeds for group in study.groups}) == 1
        caption += "." if alike else ", over all seeds; a group's own is where its line begins."
    if any(group.is_branch for group in study.groups):
        caption += " A line of runs that trained no full network begins at that of the runs they are compared with."
    if baseline is not None:
        caption += f" {about_baseline(baseline, metric)}"
    return name, figure, shows, caption + _of_many(len(study.groups), MOST_GROUPS, "groups")


def _means(
    study: Study, words: tuple[str, str, str], measure: Callable[[Point], Estimate], levels: Sequence[Level] = ()
) -> Drawn:
    name, title, axis = words
    curves = dict(list(study.curves.items())[:MOST_GROUPS])
    figure = means_figure(curves, measure, (title, _below(study), axis), levels)
    drawn = [measure(point) for points in curves.values() for point in points if point.density]
    beyond = drawn_range(curves, measure, levels)[2]
    bands = len(curves) <= MOST_BANDS and any(one.low is not None for one in drawn)
    caption = f"{title}: the mean over the seeds of each group after each round, sparser to the right."
    if bands:
        caption += " The bands are 95 % t intervals, edged in their line's dashes."
    elif any(one.low is not None for one in drawn):
        caption += " The intervals are in the table of rounds, as so many bands would cover each other."
    else:
        caption += " With one seed per group there are no intervals."
    if beyond:
        caption += (
            " Some lines or bands go on beyond the figure; a triangle on the edge stands for a ticket beyond it, whose "
            "value is in the table of rounds."
        )
    return name, figure, f"{title}: {_below(study)}", caption


def _paired(study: Study, met: Sequence[Pair]) -> Drawn:
    metric = study.metric
    pairs = [_in_unit(pair, metric) for pair in met[:MOST_GROUPS]]
    title = f"Paired differences of {metric.name}"
    beyond = paired_range(pairs)[2]
    caption = (
        f"{first_minus_second(metric)}, seed by seed, in {metric.unit}: the mean over the seeds that both have, with "
        f"its 95 % t interval. {'Above' if metric.higher_is_better else 'Below'} zero the first is better; where the "
        "interval holds zero, these seeds do not tell. Intervals are of one density each; the verdicts of the table "
        "are corrected for all."
        + (" Some lines or intervals go on beyond the figure." if beyond else "")
        + _of_many(len(met), MOST_GROUPS, "pairs")
    )
    axis = f"{metric.name}, difference ({metric.unit.removeprefix('percentage ')})"
    return "paired", paired_figure(pairs, title, _below(study), axis), f"{title}: {_below(study)}", caption


def _in_unit(pair: Pair, metric: Metric) -> Pair:
    """Return a pair with its differences in the unit of the axis."""
    differences = (replace(one, value=scaled(one.value, metric.scale)) for one in pair.differences)
    return replace(pair, differences=tuple(differences))


def shared_rounds(study: Study) -> list[int]:
    """Return the rounds that have a learning curve in every group that has learning curves."""
    rounds = [{epoch.round for run in group.runs for epoch in run.epochs} for group in _of_rounds(study)]
    return sorted(set.intersection(*filter(None, rounds))) if any(rounds) else []


def _of_rounds(study: Study) -> list[Group]:
    """Return the groups of runs whose rounds are their own: of joined runs, the numbers stand for densities."""
    return [group for group in study.groups if not any(run.parts for run in group.runs)]


def _learning(study: Study, rounds: Sequence[int]) -> Drawn:
    title = "Learning curves"
    groups = [group for group in _of_rounds(study) if any(run.epochs for run in group.runs)][:MOST_GROUPS]
    epochs = {group.label: [run.epochs for run in group.runs] for group in groups}
    curves = {group.label: study.curves[group.label] for group in groups}
    caption = (
        f"{study.words.valid.capitalize()} and loss on the validation part after each epoch of some rounds; in round 0 "
        f"of the {study.words.fulls}. Means over the seeds of each group that trained so far."
    ) + _of_many(len(study.groups), MOST_GROUPS, "groups")
    figure = compared_learning_figure(epochs, curves, rounds, title, _below(study), study.words.valid)
    return "learning", figure, f"{title}: {_below(study)}", caption


def _layers(study: Study) -> Iterator[Drawn]:
    found = {group.label: rows for group in study.groups if (rows := mean_layers(group))}
    title = "Density of each parameter (% alive)"
    if layers_agree(list(found.values())):
        longest = max(found.values(), key=len, default=[])
        if longest:
            caption = f"{ABOUT_LAYERS} All groups agree, but for rounding."
            yield "layers", layers_figure(longest, title, _below(study)), f"{title}: {_below(study)}", caption
        return
    for number, (label, rows) in enumerate(list(found.items())[:_EACH], 1):
        below = f"{label} · {_below(study)}"
        caption = f"{label}: {ABOUT_LAYERS}{_of_many(len(found), _EACH, 'groups') if number == 1 else ''}"
        yield f"layers_{number}", layers_figure(rows, title, below), f"{title}: {below}", caption


def mean_layers(group: Group) -> list[LayerRecord]:
    """Return the living entries of each parameter in each round, on average over the group's seeds."""
    cells: dict[tuple[int, str], list[LayerRecord]] = {}
    for run in group.runs:
        for layer in run.layers:
            cells.setdefault((layer.round, layer.parameter), []).append(layer)
    return [
        replace(rows[0], alive=min(round(estimate(row.alive for row in rows).mean), rows[0].total))
        for rows in cells.values()
    ]


def layers_agree(groups: Sequence[Sequence[LayerRecord]]) -> bool:
    """Return whether all groups keep the same number of entries of each parameter in each round, up to rounding."""
    seen: dict[tuple[int, str], LayerRecord] = {}
    for rows in groups:
        for row in rows:
            other = seen.setdefault((row.round, row.parameter), row)
            if other.total != row.total or abs(other.alive - row.alive) > max(1, 0.001 * row.total):
                return False
    return True


def _of_seeds(group: Group, study: Study) -> str:
    counted, all_ = len(confusion_runs(group, study)), len(group.runs)
    return f"{counted} seed{'s' * (counted > 1)}" if counted == all_ else f"{counted} of {all_} seeds"


def _confusions(study: Study) -> Iterator[Drawn]:
    found = {group.label: counts for group in study.groups if (counts := group_confusion(group, study))}
    title = "What is taken for what"
    for number, (label, counts) in enumerate(list(found.items())[:_EACH], 1):
        classes = classes_of(study.runs[0].description, *counts.values())
        if len(classes) > MOST_CLASSES:
            continue
        ticket = shown_ticket(study.curves[label])
        sparse, dense = ticket[0].density if ticket else 1.0, study.curves[label][0].density
        panels = [
            Panel(f"{what}\n{percent(dense if what == study.words.full else sparse)} alive", of)
            for what, of in counts.items()
        ]
        group = next(group for group in study.groups if group.label == label)
        below = f"{label} · {corpus_and_model(study)} · summed over {_of_seeds(group, study)}{budget(study)}"
        words = study.words
        caption = f"{label}: {about_confusion(words)} {words.tested.capitalize()} are counted once a seed."
        caption += _of_many(len(found), _EACH, "groups") if number == 1 else ""
        name = "confusion" if len(found) == 1 else f"confusion_{number}"
        yield name, confusion_figure(panels, title, below, classes, words), f"{title}: {below}", caption
