"""Record a trial's objective after each round, and ask the search whether the trial is hopeless.

A run knows its trial by Hydra's settings alone, so that it can run in the processes of any launcher.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from lt_lightning.config.quoting import escape, quoted
from lt_lightning.errors import SettingError
from lt_lightning.search.storage import open_storage, unreachable
from lt_lightning.search.study import StudyPlace, find_id, load_study, require_optuna

if TYPE_CHECKING:
    from optuna import Study
    from optuna.storages import BaseStorage

STOPPED = "stopped_after"
"""The attribute of a trial with the round after which its run was stopped as hopeless."""

FOLDER = "folder"
"""The attribute of a trial with the absolute path of its run directory."""

_KEY = "hydra.sweeper.study"
"""The setting with the study of a search, for its jobs, in which other settings of the search may differ."""


@dataclass(frozen=True)
class TrialPlace:
    """The trial of a run.

    Attributes:
        study: its study.
        number: its number.
        folder: the absolute path of the run directory.
    """

    study: StudyPlace
    number: int
    folder: str


def study_override(place: StudyPlace) -> str:
    """Return the override that gives a job the study of its search; see `find_trial`."""
    return f"+{_KEY}={quoted(escape(json.dumps(asdict(place))))}"


def find_trial(hydra: Any) -> TrialPlace | None:
    """Return the trial that a job of a search is, or None for any other job.

    Args:
        hydra: Hydra's part of the job's configuration.
    """
    study = hydra.sweeper.get(_KEY.rpartition(".")[2])
    if study is None:
        return None
    return TrialPlace(StudyPlace(**json.loads(study)), int(hydra.job.num), str(hydra.runtime.output_dir))


class RoundReports:
    """The values of a trial by round, in the storage of its search."""

    def __init__(self, place: TrialPlace) -> None:
        self._place = place
        self._opened: tuple[Study, BaseStorage, int] | None = None

    def report(self, values: Mapping[int, float], *, may_stop: bool) -> bool:
        """Record the values so far, and return whether the run is hopeless and must stop.

        Args:
            values: the objective after each round so far, by round.
            may_stop: whether rounds follow.

        Raises:
            ResumableError: the storage cannot be read or written, or has no such trial.
        """
        require_optuna()
        from optuna.exceptions import OptunaError

        try:
            return self._report(values, may_stop)
        except (OSError, OptunaError, SettingError) as error:  # SettingError: a storage that cannot be opened
            raise unreachable(f"trial {self._place.number}", error) from error

    def _report(self, values: Mapping[int, float], may_stop: bool) -> bool:
        study, storage, trial_id = self._opened = self._opened or self._open()
        trial = storage.get_trial(trial_id)
        if trial.state.is_finished():  # a run of a finished search that its user continues
            return False
        if trial.user_attrs.get(FOLDER) != self._place.folder:
            storage.set_trial_user_attr(trial_id, FOLDER, self._place.folder)
        stopped, newest = STOPPED in trial.user_attrs, max(values)
        for round_ in sorted(values):
            is_new = round_ not in trial.intermediate_values
            if is_new:
                storage.set_trial_intermediate_value(trial_id, round_, values[round_])
            # After each round, as the run that was not interrupted did: a pruner looks at the last value.
            if may_stop and not stopped and (is_new or round_ == newest):
                stopped = study.pruner.prune(study, storage.get_trial(trial_id))
                if stopped:
                    storage.set_trial_user_attr(trial_id, STOPPED, newest)
        return stopped and may_stop

    def _open(self) -> tuple[Study, BaseStorage, int]:
        place = self._place.study
        storage = open_storage(place.storage)
        return load_study(place, storage), storage, find_id(place, storage, self._place.number)
