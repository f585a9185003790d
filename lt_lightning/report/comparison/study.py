"""Gather runs to compare: read them, group them, and name those that are left out."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lt_lightning.errors import SettingError
from lt_lightning.report.comparison.comparison import Point, curve
from lt_lightning.report.comparison.grouping import Group, comparable, group_runs
from lt_lightning.report.comparison.joining import parts_of
from lt_lightning.report.comparison.pairing import Difference, Pair, against_full, pairs
from lt_lightning.runs.metrics import Metric
from lt_lightning.runs.reading import Run, find_runs, read_run
from lt_lightning.runs.tasks import Wording, shared_wording


@dataclass(frozen=True)
class Study:
    """The runs of a comparison in groups.

    Attributes:
        groups: at least one, in order.
        curves: each group's means over its seeds, by the group's label.
        pairs: the pairs of groups to look at.
        full: each group's differences to the full networks of the same seeds, by the group's label.
        read: all runs that could be read, also those that are left out of the groups.
        left_out: a line for each run, or part of a run, that is not in the groups: its name, the fault, the remedy.
    """

    groups: tuple[Group, ...]
    curves: dict[str, tuple[Point, ...]]
    pairs: tuple[Pair, ...]
    full: dict[str, tuple[Difference, ...]]
    read: tuple[Run, ...]
    left_out: tuple[str, ...]

    @property
    def metric(self) -> Metric:
        """The metric that judges all runs."""
        return self.groups[0].metric

    @property
    def words(self) -> Wording:
        """The names of the things of the runs' task."""
        # A run that is compared with another's full network takes its word for it.
        named = [run.description.words for group in self.groups for run in group.runs if run.reference is None]
        return shared_wording(named or [run.description.words for run in self.runs])

    @property
    def runs(self) -> tuple[Run, ...]:
        """The runs of all groups, as they are on disk."""
        return tuple(parts_of(run for group in self.groups for run in group.runs))


def gather(folders: Sequence[Path]) -> Study:
    """Read runs, and those in folders of runs, and group them.

    Raises:
        SettingError: nothing is left to compare; a line for each reason.
    """
    read, left_out = _read(folders)
    runs, other_data = comparable(read)
    groups, repeated = group_runs(runs)
    damages = [damage for group in groups for run in group.runs for damage in run.damages]
    left_out += [*other_data, *repeated, *damages]
    if not groups:
        raise SettingError("\n".join(left_out))
    curves = {group.label: curve(group) for group in groups}
    full = {group.label: against_full(group) for group in groups}
    return Study(tuple(groups), curves, tuple(pairs(groups)), full, tuple(read), tuple(left_out))


def _read(folders: Sequence[Path]) -> tuple[list[Run], list[str]]:
    runs, left_out, seen = [], [], set()
    for folder in folders:
        found = find_runs(folder)
        if not found:
            why = "no runs in it, however deep" if folder.is_dir() else "no such folder"
            left_out.append(f"{folder}: {why}; give run directories, or a folder that holds some")
        for inside in found:
            real = os.path.realpath(inside)
            if real in seen:
                continue
            seen.add(real)
            try:
                runs.append(read_run(inside))
            except SettingError as error:
                left_out.append(" ".join(str(error).split()))
    return runs, left_out
