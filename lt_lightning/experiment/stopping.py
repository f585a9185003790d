"""Stop a run after a round if the search that it belongs to finds it hopeless."""

from __future__ import annotations

from collections.abc import Sequence

import torch.distributed

from lt_lightning.config.schema import Config
from lt_lightning.runs.description import Description
from lt_lightning.runs.objective import objective_of
from lt_lightning.runs.records import Record
from lt_lightning.search.trial import RoundReports, TrialPlace


class Watch:
    """Measures a run's objective after each round.

    Args:
        config: the settings.
        trial: the run's trial; None for a run without a search.
        is_writer: whether this process speaks for the run.
        last: the number of the run's last round.

    Attributes:
        line: why the run was stopped; None while it goes on.
    """

    def __init__(self, config: Config, trial: TrialPlace | None, is_writer: bool, last: int) -> None:
        self._trial, self._last = trial, last
        self._is_asked_for = config.objective is not None or trial is not None
        self._reports = RoundReports(trial) if trial is not None and is_writer else None
        self.line: str | None = None

    def is_hopeless(self, description: Description, records: Sequence[Record]) -> bool:
        """Return whether the run must stop before its next round; the answer is the same in all of its processes.

        Processes that cannot communicate yet, as a run resumes, ask after the next round.

        Args:
            description: the run's `run.json`.
            records: the rounds so far, the full network first.

        Raises:
            SettingError: the objective is not among what the rounds measure.
            ResumableError: the search cannot be told.
        """
        if not records or not self._is_asked_for:
            return False
        objective = objective_of(description, records)
        values = {one.round: objective.read(records[: place + 1]) for place, one in enumerate(records)}
        if self._trial is None:
            return False
        newest = records[-1].round
        may_stop = newest < self._last
        if may_stop and not _can_agree(description.processes or 1):
            return False
        stops = self._reports is not None and self._reports.report(values, may_stop=may_stop)
        if may_stop and _from_rank_0(stops):
            self.line = f"stopped after round {newest}: trial {self._trial.number} of its search is hopeless"
        return self.line is not None


def _can_agree(processes: int) -> bool:
    """Return whether the processes of the run can communicate: Lightning connects them as the first round begins."""
    return processes == 1 or _are_connected()


def _are_connected() -> bool:
    return torch.distributed.is_available() and torch.distributed.is_initialized()


def _from_rank_0(value: bool) -> bool:
    """Return rank 0's value in all processes of the run."""
    if not _are_connected():
        return value
    values = [value]
    torch.distributed.broadcast_object_list(values, src=0)
    return values[0]
