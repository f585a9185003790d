"""Tell a search how a trial's run does after each round, and ask whether it is hopeless.

A run knows its trial by Hydra's settings alone, so that it can run in the processes of any launcher.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lt_lightning.errors import ResumableError, first_line
from lt_lightning.search.study import StudyPlace, find_id, load_study, open_storage, place_of, require_optuna

if TYPE_CHECKING:
    from optuna import Study
    from optuna.storages import BaseStorage

TARGET = "hydra_plugins.lt_lightning_optuna.OptunaSweeper"
STOPPED = "stopped_after"
"""The attribute of a trial with the round after which its run was stopped as hopeless."""


@dataclass(frozen=True)
class TrialPlace:
    """The trial of a run: its study and its number."""

    study: StudyPlace
    number: int


def find_trial(hydra: Any, name: str) -> TrialPlace | None:
    """Return the trial that a job of a sweep is, or None for any other job.

    Args:
        hydra: Hydra's part of the job's configuration.
        name: the experiment's name.
    """
    from hydra.types import RunMode
    from omegaconf import OmegaConf

    settings: Any = OmegaConf.to_container(hydra.sweeper, resolve=False)
    if hydra.mode != RunMode.MULTIRUN or not isinstance(settings, Mapping) or settings.get("_target_") != TARGET:
        return None
    place = place_of(settings, Path(hydra.runtime.cwd) / hydra.sweep.dir, name)
    return TrialPlace(place, int(hydra.job.num))


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
            ResumableError: the storage cannot be read or written.
        """
        from optuna.exceptions import OptunaError

        try:
            return self._report(values, may_stop)
        except (OSError, OptunaError) as error:
            raise ResumableError(
                f"hydra.sweeper.storage: trial {self._place.number} cannot be recorded ({first_line(error)}); make the "
                "storage writable"
            ) from error

    def _report(self, values: Mapping[int, float], may_stop: bool) -> bool:
        study, storage, trial_id = self._opened = self._opened or self._open()
        trial = storage.get_trial(trial_id)
        if trial.state.is_finished():  # a run of a finished search that its user continues
            return False
        for round_, value in values.items():
            if round_ not in trial.intermediate_values:
                storage.set_trial_intermediate_value(trial_id, round_, value)
        stopped = STOPPED in trial.user_attrs
        if may_stop and not stopped and study.pruner.prune(study, storage.get_trial(trial_id)):
            storage.set_trial_user_attr(trial_id, STOPPED, max(values))
            stopped = True
        return stopped and may_stop

    def _open(self) -> tuple[Study, BaseStorage, int]:
        require_optuna()
        place = self._place.study
        storage = open_storage(place.storage)
        return load_study(place, storage), storage, find_id(place, storage, self._place.number)
