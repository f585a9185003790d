"""Find what makes the groups of a comparison hard to compare, for people to read: the fault, then the remedy."""

import math
from collections.abc import Iterable, Mapping

from lt_lightning.report import facts
from lt_lightning.report.comparison.comparison import Point, shared_densities
from lt_lightning.report.comparison.grouping import Group
from lt_lightning.report.comparison.joining import is_single
from lt_lightning.report.comparison.labels import REWIND
from lt_lightning.report.comparison.study import Study
from lt_lightning.runs.formatting import exact, mean_count, percent, show_setting
from lt_lightning.runs.reading import Run

FEWEST_SEEDS = 5
_NAMED = 4  # of more groups, the first and the number of the others are named
_SAME = 0.01  # budgets that differ by no more, relatively, are one budget: seeds may draw parts of other sizes


def protocol_faults(study: Study) -> list[str]:
    """Return a line for each fault of a comparison's design, such as groups that were trained for longer."""
    found = (
        _unequal_training(study), _early_stopping(study), _few_seeds(study), _unpaired_seeds(study),
        _no_validation(study), _random_masks(study), _learning_rates(study),
    )  # fmt: skip
    return [line for line in found if line]


def _unequal_training(study: Study) -> str:
    pruned = {
        group.label: study.curves[group.label]
        for group in study.groups
        if not all(facts.prunes_nothing(run.description) for run in group.runs)
    }
    has_steps = all(record.steps is not None for run in study.runs for record in run.records)
    unit = "steps" if has_steps else "epochs"
    groups = {group.label: group for group in study.groups}
    worst: tuple[float, float, dict[str, float]] = (1 + _SAME, 1.0, {})
    for points in shared_densities(pruned):
        trained = {label: _mean_of(groups[label], unit, point) for label, point in points.items()}
        least, most = min(trained.values()), max(trained.values())
        if least > 0 and most / least > worst[0]:
            worst = (most / least, next(iter(points.values())).density, trained)
    _, density, trained = worst
    if not trained:
        return ""
    if len(trained) > _NAMED:
        trained = {end(trained, key=lambda label: trained[label]): end(trained.values()) for end in (min, max)}
    said = ", ".join(f"{label} {mean_count(value)}" for label, value in trained.items())
    return (
        f"unequal training: at {percent(density)} of the weights a round has {said} {unit} (means over seeds); give "
        "all groups one budget, with early_stopping.patience=null and equal trainer.max_epochs or trainer.max_steps"
    )


def _mean_of(group: Group, unit: str, point: Point) -> float:
    values = [value for value in group.by_seed(unit, point.place).values() if math.isfinite(value)]
    return sum(values) / len(values) if values else math.nan


def _early_stopping(study: Study) -> str:
    stopped = sum(map(_stops_early, study.runs))
    if not stopped:
        return ""
    which = "all" if stopped == len(study.runs) else f"{stopped} of"
    return (
        f"early stopping: it was on in {which} {len(study.runs)} runs, so that a round's training depends on its "
        "validation loss; train with early_stopping.patience=null"
    )


def _stops_early(run: Run) -> bool:
    values = run.description.config.values or {}
    settings, trainer = values.get("early_stopping"), values.get("trainer")
    patience = settings.get("patience") if isinstance(settings, Mapping) else None
    own = trainer.get("callbacks") if isinstance(trainer, Mapping) else None
    return patience is not None or "EarlyStopping" in exact([own, values.get("callbacks")])


def _few_seeds(study: Study) -> str:
    few = {group.label: len(_seeds(group)) for group in study.groups if len(_seeds(group)) < FEWEST_SEEDS}
    if not few:
        return ""
    counts = facts.many(few.values())
    which = "every group" if len(few) == len(study.groups) else _named(few)
    return (
        f"few seeds: {which} has {counts}, fewer than {FEWEST_SEEDS}, so that intervals are wide and few differences "
        "survive a correction; add runs, such as -m seed=0,1,2,3,4"
    )


def _unpaired_seeds(study: Study) -> str:
    seeds = {group.label: _seeds(group) for group in study.groups}
    if len({frozenset(of_group) for of_group in seeds.values()}) < 2:
        return ""
    said = _named(f"{label} has {', '.join(of_group)}" for label, of_group in seeds.items())
    return f"unpaired seeds: {said}; differences count only the seeds that both have, so run every group with the same"


def _seeds(group: Group) -> list[str]:
    """Return the seeds of a group, each once: branches of one trunk may have other data orders."""
    return list(dict.fromkeys(seed.partition(",")[0] for seed in group.seeds))


def _no_validation(study: Study) -> str:
    blind = [label for label, points in study.curves.items() if len(points) > 1 and not points[0].judged.n]
    if not blind:
        return ""
    return (
        f"no choice of winners: {_named(blind)} has no {study.metric.valid.name}, and the test part must not choose; "
        "give the data a validation part, such as data.valid_fraction=0.1"
    )


def _random_masks(study: Study) -> str:
    rewinds = {group.label: show_setting(group.settings.get(REWIND)) for group in study.groups if _prunes_often(group)}
    drawn = [label for label, rewind in rewinds.items() if rewind == "random"]
    others = [label for label, rewind in rewinds.items() if rewind != "random"]
    if not drawn or not others or not any(point.round > 1 for label in drawn for point in study.curves[label]):
        return ""
    return (
        f"another mask: {_named(drawn)} prunes its own weights, so that from round 2 on its masks differ from those of "
        f"{_named(others)}, and differences do not tell weights from masks; retrain the others' tickets instead, with "
        "python -m lt_lightning.train branch.of=RUN pruning.rewind=random"
    )


def _prunes_often(group: Group) -> bool:
    return REWIND in group.settings and not group.is_branch and not any(map(is_single, group.runs))


def _learning_rates(study: Study) -> str:
    rates = {
        group.label: [show_setting(value) for key, value in group.settings.items() if key.rpartition(".")[2] == "lr"]
        for group in study.groups
    }
    if len({exact(of_group) for of_group in rates.values()}) < 2:
        return ""
    said = _named(f"{label} has {', '.join(of_group)}" for label, of_group in rates.items())
    return f"learning rates differ: {said}; compare groups at one learning rate, or at the best of each on validation"


def _named(names: Iterable[str]) -> str:
    """Return names in words; of many, the first and the number of the others.

    >>> _named("ab"), _named("abcdef")
    ('a, b', 'a, b, c, d and 2 more')
    """
    all_names = list(names)
    more = len(all_names) - _NAMED
    return ", ".join(all_names[:_NAMED]) + (f" and {more} more" if more > 0 else "")
