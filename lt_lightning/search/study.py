"""Open the study of a search in its storage, which all its processes share."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lt_lightning.errors import SettingError, first_line
from lt_lightning.extras import needs_package
from lt_lightning.search.space import Dimension
from lt_lightning.search.storage import JOURNAL, absolute_storage, create_journal, open_storage, shown_storage

if TYPE_CHECKING:
    from optuna import Study
    from optuna.samplers import BaseSampler
    from optuna.storages import BaseStorage

_MADE_BY = "lt_lightning"
"""The attribute of a study with the settings that must be the same for all of its trials."""


@dataclass(frozen=True)
class StudyPlace:
    """The study of a search, as plain values, for each of its processes.

    Attributes:
        storage: the path of a journal, or the URL of a database.
        name: the name of the study.
        pruner: the name of the pruner.
        pruner_options: its arguments.
    """

    storage: str
    name: str
    pruner: str | None = None
    pruner_options: Mapping[str, Any] = field(default_factory=dict)


def place_of(settings: Mapping[str, Any], sweep: Path, name: str) -> StudyPlace:
    """Return the place of a search's study.

    Args:
        settings: the `hydra.sweeper` group, without interpolations.
        sweep: the absolute path of the sweep's folder.
        name: the experiment's, for a study that has no name.
    """
    given = settings.get("storage")
    storage = str(sweep / JOURNAL) if given is None else absolute_storage(str(given))
    options = settings.get("pruner_options") or {}
    return StudyPlace(storage, str(settings.get("study_name") or name), settings.get("pruner"), dict(options))


def require_optuna() -> None:
    """Import Optuna, quietly; raise a `SettingError` if it is not installed."""
    try:
        import optuna
    except ImportError as error:
        raise SettingError(f"hydra/sweeper: optuna {needs_package(error.name or 'optuna', 'optuna')}") from None
    optuna.logging.set_verbosity(optuna.logging.WARNING)


def build(cls: Callable[..., Any], arguments: Mapping[str, Any], setting: str) -> Any:
    """Return an object of Optuna's; raise a `SettingError` if it does not take the arguments, or needs a package."""
    from optuna.exceptions import ExperimentalWarning

    name = getattr(cls, "__name__", str(cls))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ExperimentalWarning)
            return cls(**arguments)
    except ImportError as error:
        package = error.name or "cmaes"
        raise SettingError(f"{setting}: {name} needs the package {package}; pip install {package}") from None
    except (TypeError, ValueError) as error:
        raise SettingError(f"{setting}: {name} refuses them ({first_line(error)}); correct them") from None


def open_study(place: StudyPlace, direction: Any, made_by: Mapping[str, Any]) -> tuple[Study, BaseStorage]:
    """Open the study of a search, and create it if it is missing. Nothing is written to that of another search.

    Args:
        place: where it lies.
        direction: `maximize` or `minimize`.
        made_by: what must be the same for all of its trials, by the names of the settings.

    Raises:
        SettingError: the storage cannot be opened, or the study belongs to another search.
    """
    import optuna
    from optuna.exceptions import DuplicatedStudyError

    create_journal(place.storage)
    storage = open_storage(place.storage)
    if _has_study(place, storage):
        _require_same(load_study(place, storage), place, direction, made_by)
    else:
        with suppress(DuplicatedStudyError):
            optuna.create_study(storage=storage, study_name=place.name, direction=direction)
    study = load_study(place, storage)
    if _is_new(study):
        study.set_user_attr(_MADE_BY, dict(made_by))
        # Another search may have begun in between; if it begins only now, its next start is refused.
        _require_same(study, place, direction, made_by)
    return study, storage


def _has_study(place: StudyPlace, storage: BaseStorage) -> bool:
    try:
        storage.get_study_id_from_name(place.name)
    except KeyError:
        return False
    return True


def _is_new(study: Study) -> bool:
    """Return whether a study has no trials and no description; the search that created it may have been killed."""
    return _MADE_BY not in study.user_attrs and not study.get_trials(deepcopy=False)


def _require_same(study: Study, place: StudyPlace, direction: str, made_by: Mapping[str, Any]) -> None:
    """Raise a `SettingError` if a study belongs to another search."""
    described = made_by if _is_new(study) else study.user_attrs.get(_MADE_BY, {})
    then = {**described, "hydra.sweeper.direction": study.direction.name.lower()}
    now = {**made_by, "hydra.sweeper.direction": direction}
    for key in dict.fromkeys([*now, *then]):
        if then.get(key) != now.get(key):
            raise SettingError(
                f"{key}: the study {place.name!r} in {shown_storage(place.storage)} has {_said(then.get(key))}, "
                f"not {_said(now.get(key))}; give what it began with, or another hydra.sweeper.study_name"
            )


def load_study(place: StudyPlace, storage: BaseStorage) -> Study:
    """Return a study that exists, and that draws no trials, see `draw`; raise a `SettingError` if it is missing."""
    import optuna

    from lt_lightning.search.pruners import make_pruner

    if not _has_study(place, storage):
        raise SettingError(f"hydra.sweeper.study_name: {shown_storage(place.storage)} has no study {place.name!r}")
    pruner, sampler = make_pruner(place.pruner, place.pruner_options), optuna.samplers.RandomSampler()
    return optuna.load_study(study_name=place.name, storage=storage, pruner=pruner, sampler=sampler)


def draw(study: Study, sampler: BaseSampler, dimensions: Sequence[Dimension], attributes: Mapping[str, Any]) -> None:
    """Add a trial that runs to a study.

    Optuna would write the trial, each of its values and each attribute one after the other, and a kill in between
    leaves a part. So the trial is drawn from a copy of the study in memory, and written as a whole.

    Args:
        study: the study.
        sampler: chooses the values.
        dimensions: the settings that vary.
        attributes: the user attributes of the trial.
    """
    import optuna

    copied = optuna.create_study(
        study_name=study.study_name, direction=study.direction, sampler=sampler, pruner=study.pruner
    )
    for one in study.get_trials(deepcopy=False):
        if one.state.name != "WAITING":  # enqueued by a user of Optuna; never run here
            copied.add_trial(one)
    trial = copied.ask()
    for dimension in dimensions:
        dimension.suggest(trial)
    drawn = copied.trials[-1]
    study.add_trial(
        optuna.trial.create_trial(
            state=optuna.trial.TrialState.RUNNING,
            params=drawn.params,
            distributions=drawn.distributions,
            user_attrs=dict(attributes),
            system_attrs=drawn.system_attrs,
        )
    )


def find_id(place: StudyPlace, storage: BaseStorage, number: int) -> int:
    """Return the storage's id of a trial; raise a `SettingError` if the trial is missing."""
    try:
        return storage.get_trial_id_from_study_id_trial_number(storage.get_study_id_from_name(place.name), number)
    except KeyError:
        raise SettingError(
            f"hydra.sweeper.storage: {shown_storage(place.storage)} has no trial {number} of the study {place.name!r}"
        ) from None


def _said(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key}={one}" for key, one in value.items())
    return "null" if value is None else str(value)
