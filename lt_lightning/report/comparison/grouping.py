"""Group runs whose settings are the same, and label the groups by the settings that differ."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from pandas import DataFrame

from lt_lightning.report import facts
from lt_lightning.report.comparison.collapse import collapse_level, is_below
from lt_lightning.report.comparison.joining import (
    UNREAD,
    determinants,
    full_records,
    is_single,
    join,
    target,
    unread_settings,
)
from lt_lightning.report.comparison.labels import BRANCH, SCHEDULE, TICKET, label_keys, label_of, order_of, shorten
from lt_lightning.runs.columns import VALID_ACC, VALID_LOSS, Column
from lt_lightning.runs.earlier import PRUNING
from lt_lightning.runs.formatting import exact, flat_settings, percent
from lt_lightning.runs.metrics import Metric
from lt_lightning.runs.reading import Run, natural
from lt_lightning.runs.recorded import Origin
from lt_lightning.runs.records import Record

# Settings that do not make another experiment: paths, the number of rounds, the device. The number of processes does
# make one, as each process takes a batch of its own; `run.json` has it.
_SAME_EXPERIMENT = frozenset(
    {
        "branch.of", "branch.rounds", "objective", "objective_within", "objective_reference", "report",
        "seed", "seed_order", "name", "metric", "metric_mode", "pruning.rounds", "tickets.keep", "data.path",
        "data.delimiter", "data.hub_config", "data.test_fraction", "data.num_workers", "data.kind",
        "logger", "model.prompt", "model.temperature", "model.sample_length",
        *(
            f"trainer.{key}"
            for key in (
                "accelerator", "devices", "num_nodes", "strategy", "logger", "log_every_n_steps", "default_root_dir",
                "enable_progress_bar", "enable_model_summary", "enable_checkpointing",
            )
        ),
    }
)  # fmt: skip

_ORIGIN = ("corpus", "experiment", "rewind", "round")
_MUST_AGREE = ("task", "metric", "corpus.name", "corpus.class_names", "corpus.fingerprint")


@dataclass(frozen=True)
class Group:
    """Runs that differ in their seeds alone.

    Attributes:
        label: the name that tells it from the other groups, e.g. `rewind init`.
        settings: the settings that differ among the groups, by their full names, with this group's values.
        runs: one per seed, in the order of the seeds. Runs of one round each are joined, so that their densities make
            a curve.
    """

    label: str
    settings: Mapping[str, Any]
    runs: tuple[Run, ...]

    @property
    def metric(self) -> Metric:
        """The metric that judges the runs."""
        return self.runs[0].metric

    @property
    def seeds(self) -> tuple[str, ...]:
        """The seeds, in the order of the runs."""
        return tuple(facts.seed(run.description) for run in self.runs)

    @property
    def is_branch(self) -> bool:
        """Whether the full networks are those of other runs: of the trunks of branches, or of runs of the same seed."""
        return not any(run.has_own_full for run in self.runs)

    @property
    def has_full(self) -> bool:
        """Whether there is a full network to compare with; if not, the densest network takes its place."""
        return not any(is_single(run) and run.reference is None for run in self.runs)

    @cached_property
    def rounds(self) -> DataFrame:
        """A row per seed and round, of `compared_columns` and the values named below.

        `judged` chooses winners, and `collapsed` is 1.0 for a ticket that has collapsed, NaN where that is not known.
        The full networks have the place 0, if there are any; each other round has one place more than its number.
        """
        columns = {**compared_columns(self.metric), "judged": self.metric.valid}
        has_full = self.has_full
        return DataFrame(
            {
                "seed": seed, "place": 0 if has_full and record is run.full else record.round + 1,
                "round": record.round, "density": record.density,
                "epochs": record.epochs, "steps": math.nan if record.steps is None else record.steps,
                "collapsed": is_below(self.metric.read(record), level),
                **{name: column.read(record) for name, column in columns.items()},
            }
            for seed, run in zip(self.seeds, self.runs, strict=True)
            for level in [collapse_level(run)]
            for record in run.compared
        )  # fmt: skip

    def by_seed(self, name: str, place: int) -> dict[str, float]:
        """Return a column of `rounds` by seed, at one place."""
        rows = self.rounds[self.rounds["place"] == place]
        return dict(zip(rows["seed"], rows[name], strict=True))


def compared_columns(metric: Metric) -> dict[str, Column]:
    """Return the columns whose means over seeds a comparison shows, by their names in its tables."""
    return {f"test_{metric.key}": metric.test, "valid_loss": VALID_LOSS, "valid_acc": VALID_ACC}


def comparable(runs: Sequence[Run]) -> tuple[list[Run], list[str]]:
    """Return the runs with the task and data of most of them, and a line for each other run with the value it has.

    If several data have as many runs, those of the run that was named first count.
    """
    if not runs:
        return [], []
    data = [exact([_seen(run, path) for path in _MUST_AGREE]) for run in runs]
    # max and index both take the first of equals.
    usual = runs[data.index(max(data, key=data.count))]
    kept, left_out = [], []
    for run in runs:
        for path in _MUST_AGREE:
            here, there = (_seen(one, path) for one in (run, usual))
            if here != there:
                left_out.append(
                    f"{run.folder}: {path} is {shorten(here)}, but {shorten(there)} in {usual.folder}; "
                    f"compare runs of the same {path if path in ('task', 'metric') else 'data'}"
                )
                break
        else:
            kept.append(run)
    return kept, left_out


def _seen(run: Run, path: str) -> Any:
    # A run without the metric's columns is judged by another metric.
    if path == "metric":
        return run.metric.name
    about = run.description
    if path == "corpus.fingerprint":  # of the rows; how they were split is a setting
        return {part: mark for part, mark in (about.corpus.fingerprint or {}).items() if part != "groups"} or None
    return about.task.name if path == "task" else getattr(about.corpus, path.removeprefix("corpus."))


def group_runs(runs: Sequence[Run]) -> tuple[list[Group], list[str]]:
    """Return the groups, in an order that readers expect, and a line for each run that repeats another's seed."""
    settings = [_settings(run) for run in runs]
    are_branches = [run.description.branch is not None for run in runs]
    keys, members = _members(settings)
    are_mixed = any(len({are_branches[position] for position in positions}) > 1 for positions in members)
    # A branch reads fewer settings than its trunk: perhaps none of those that differ.
    have_no_name = any(
        is_one and len(members) > 1 and all(settings[position].get(key) == UNREAD for key in keys)
        for position, is_one in enumerate(are_branches)
    )
    if are_mixed or have_no_name:
        settings = [
            {**one, BRANCH: "yes" if is_one else "no"} for one, is_one in zip(settings, are_branches, strict=True)
        ]
    for positions in _members(settings)[1]:
        if _seeds_share_tickets([runs[position] for position in positions]):
            for position in positions:
                file = runs[position].description.config.pruning.ticket
                settings[position][TICKET] = f"{facts.say(file)}: {settings[position][TICKET]}"
    keys, members = _members(settings)
    fulls = full_records(runs, settings)
    groups, left_out = [], []
    for positions in members:
        values = {key: settings[positions[0]].get(key) for key in keys}
        kept, repeated = _one_a_seed([runs[position] for position in positions])
        if any(map(is_single, kept)):
            texts = {runs[position].folder: determinants(runs[position], settings[position]) for position in positions}
            kept = _joined(kept, {run.folder: fulls.get(texts[run.folder]) for run in kept})
        groups.append(Group("", values, tuple(kept)))
        left_out += repeated
    groups.sort(key=lambda group: [order_of(*setting) for setting in group.settings.items()])
    named = label_keys(keys, [group.settings for group in groups])
    groups = [replace(group, label=label_of({key: group.settings[key] for key in named})) for group in groups]
    return _told_apart(groups), left_out


def _joined(runs: Sequence[Run], fulls: Mapping[Path, Record | None]) -> list[Run]:
    """Return the runs of each seed as one; compare them with full networks only if there is one for every seed."""
    seeds: dict[str, list[Run]] = {}
    for run in runs:
        seeds.setdefault(facts.seed(run.description), []).append(run)
    places = {density: place for place, density in enumerate(sorted({*map(target, runs)}, reverse=True))}
    has_all = all(full is not None for full in fulls.values())
    return [join(of_seed, places, fulls[of_seed[0].folder] if has_all else None) for of_seed in seeds.values()]


def _members(settings: Sequence[Mapping[str, Any]]) -> tuple[list[str], list[list[int]]]:
    """Return the settings that differ, and the positions of the runs that have the same values of them."""
    # Texts that only equal values share; a setting that is missing is null.
    values = DataFrame([{key: exact(value) for key, value in of_run.items()} for of_run in settings]).fillna("null")
    read = values.mask(values == exact(UNREAD))
    keys = [key for key in values if not _same_experiment(key) and read[key].nunique() > 1]
    keys.sort(key=lambda key: key != SCHEDULE)  # the first that readers look for
    if not keys:
        return [], [[*range(len(settings))]] if settings else []
    return keys, [list(rows.index) for _, rows in values.groupby(keys, sort=False)]


def _seeds_share_tickets(runs: Sequence[Run]) -> bool:
    """Return whether some of these runs have the same seed but began with different tickets."""
    began = {(facts.seed(run.description), _seal(run)) for run in runs}
    return len({seed for seed, _ in began}) < len(began)


def _seal(run: Run) -> str | None:
    return run.description.ticket and run.description.ticket.seal


def _settings(run: Run) -> dict[str, Any]:
    # The path of a ticket tells nothing, and each seed may have its own ticket: its origin and density count.
    origin = run.description.ticket
    return {
        "scheduler.name": "none",  # older runs had no others
        "optimizer.no_decay": [],
        **PRUNING,
        **flat_settings(run.description.config.values),
        TICKET: "none" if origin is None else _kind_of_ticket(origin),
        "processes": run.description.processes or 1,
        **unread_settings(run),
    }


def _kind_of_ticket(origin: Origin) -> str:
    """Return a text that tells tickets apart, whichever seed found them."""
    corpus, experiment, rewind, round_ = (facts.say(getattr(origin, key)) for key in _ORIGIN)
    density = facts.DASH if origin.sparsity is None else percent(1 - origin.sparsity)
    return f"round {round_} of {corpus}, {density} ({experiment}, {rewind})"


def _same_experiment(key: str) -> bool:
    # A logger or a strategy may be an object with settings of its own.
    return any(key == one or key.startswith(f"{one}.") for one in _SAME_EXPERIMENT)


def _told_apart(groups: Sequence[Group]) -> list[Group]:
    """Return the groups with a number behind a repeated label: 1 and "1" are written alike."""
    labels = [group.label for group in groups]
    return [
        replace(group, label=f"{group.label} ({labels[:i].count(group.label) + 1})")
        if group.label in labels[:i]
        else group
        for i, group in enumerate(groups)
    ]


def _one_a_seed(runs: Sequence[Run]) -> tuple[list[Run], list[str]]:
    """Return the longest run of each seed, of equally long ones the latest, and a line for each of the others.

    Of runs of one round each density counts.
    """
    seeds: dict[tuple[str, str], list[Run]] = {}
    for run in runs:
        density = exact(target(run)) if is_single(run) else ""
        seeds.setdefault((facts.seed(run.description), density), []).append(run)
    kept, left_out = [], []
    for seed, density in sorted(seeds, key=lambda one: (natural(one[0]), natural(one[1]))):
        # The sort is stable: of runs that started at the same time, the one named last comes last.
        *others, best = sorted(
            seeds[seed, density], key=lambda run: (len(run.records), facts.say(run.description.started))
        )
        kept.append(best)
        left_out += [
            f"{run.folder}: seed {seed} again, as in {best.folder}, which has "
            f"{'more' if len(best.records) > len(run.records) else 'as many'} rounds; give each seed once"
            for run in others
        ]
    return kept, left_out
