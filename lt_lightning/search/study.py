"""Open the storage of a search, which all its processes share, and its study in it."""

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
from lt_lightning.storage.atomic import writing_to

if TYPE_CHECKING:
    from optuna import Study
    from optuna.samplers import BaseSampler
    from optuna.storages import BaseStorage

JOURNAL = "study.journal"
"""The file of a search in its sweep's folder, unless `hydra.sweeper.storage` names another place."""

_MADE_BY = "lt_lightning"
"""The attribute of a study that has what it was made by."""


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
        settings: the `hydra.sweeper` group.
        sweep: the absolute path of the sweep's folder.
        name: the experiment's, for a study that has no name.
    """
    given = settings.get("storage")
    storage = given if given and "://" in given else str(Path(given).absolute() if given else sweep / JOURNAL)
    options = settings.get("pruner_options") or {}
    return StudyPlace(storage, settings.get("study_name") or name, settings.get("pruner"), dict(options))


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


def open_storage(storage: str) -> BaseStorage:
    """Open a storage, and create it if it is missing.

    Raises:
        SettingError: it cannot be opened, or the file is no journal of Optuna's.
    """
    from optuna.storages import JournalStorage, RDBStorage
    from optuna.storages.journal import JournalFileBackend

    if "://" not in storage:
        with writing_to(Path(storage).parent):
            try:
                return JournalStorage(JournalFileBackend(storage))
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise SettingError(
                    f"hydra.sweeper.storage: {_shown(storage)} is no journal of Optuna's, or damaged "
                    f"({first_line(error)}); give another path, or restore it from a copy"
                ) from None
    try:
        return RDBStorage(storage)
    except ImportError as error:
        raise SettingError(f"hydra.sweeper.storage: needs the package {error.name}; pip install {error.name}") from None
    except Exception as error:  # of SQLAlchemy, Alembic, or a database's driver
        raise SettingError(
            f"hydra.sweeper.storage: {_shown(storage)} cannot be opened ({first_line(error)}); give a path, "
            "or a URL such as sqlite:///search.db"
        ) from None


def _shown(storage: str) -> str:
    """Return a storage as users type it: a path below the working directory, or a URL without its password."""
    if "://" not in storage:
        path = Path(storage)
        return str(path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path)
    scheme, _, rest = storage.partition("://")
    account, at, place = rest.rpartition("@")
    return f"{scheme}://{account.partition(':')[0]}{at}{place}"


def drop_torn_line(journal: Path) -> None:
    """Remove the beginning of a line that a killed process left at the end of a journal; no process may write to it."""
    if not journal.is_file():
        return
    with journal.open("rb+") as file:
        content = file.read()
        if content and not content.endswith(b"\n"):
            file.truncate(content.rfind(b"\n") + 1)


def open_study(place: StudyPlace, direction: Any, made_by: Mapping[str, Any]) -> tuple[Study, BaseStorage]:
    """Open the study of a search, and create it if it is missing.

    Args:
        place: where it lies.
        direction: `maximize` or `minimize`.
        made_by: what must be the same for all of its trials, by the names of the settings.

    Raises:
        SettingError: the storage cannot be opened, or the study belongs to another search.
    """
    import optuna
    from optuna.exceptions import DuplicatedStudyError

    storage = open_storage(place.storage)
    with suppress(DuplicatedStudyError):
        optuna.create_study(storage=storage, study_name=place.name, direction=direction)
    study = load_study(place, storage)
    if not study.trials and _MADE_BY not in study.user_attrs:  # new, or killed before it was described
        study.set_user_attr(_MADE_BY, dict(made_by))
    then = {**study.user_attrs.get(_MADE_BY, {}), "hydra.sweeper.direction": study.direction.name.lower()}
    now = {**made_by, "hydra.sweeper.direction": direction}
    for key in dict.fromkeys([*now, *then]):
        if then.get(key) != now.get(key):
            raise SettingError(
                f"{key}: the study {place.name!r} in {_shown(place.storage)} has {_said(then.get(key))}, "
                f"not {_said(now.get(key))}; give what it began with, or another hydra.sweeper.study_name"
            )
    return study, storage


def load_study(place: StudyPlace, storage: BaseStorage) -> Study:
    """Return a study that exists; it draws no trials, see `draw`."""
    import optuna

    from lt_lightning.search.pruners import make_pruner

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
        if one.state.name != "WAITING":  # enqueued by a user of Optuna, whom no run answers
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
    """Return what the storage knows a trial by."""
    return storage.get_trial_id_from_study_id_trial_number(storage.get_study_id_from_name(place.name), number)


def _said(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key}={one}" for key, one in value.items())
    return "null" if value is None else str(value)
