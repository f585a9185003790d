"""Search for settings: ask Optuna for trials, run them by Hydra's launcher, and record their objectives.

The study's storage has everything: a search that was killed resumes with the trials that had not ended, each with the
number, the values and the folder that it had. Trials run in batches of `n_jobs`.
"""

from __future__ import annotations

import json
import logging
import math
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lt_lightning.config.validation import read_config
from lt_lightning.errors import InUseError, ResumableError, SettingError
from lt_lightning.lottery.settings import LotteryError
from lt_lightning.runs.objective import Objective, planned_objective
from lt_lightning.runs.reading import read_object
from lt_lightning.runtime.terminal import write
from lt_lightning.search.pruners import make_pruner
from lt_lightning.search.results import Outcome, describe_best, describe_trial, find_best, read_outcomes, write_results
from lt_lightning.search.samplers import grid_size, make_sampler
from lt_lightning.search.space import Space, read_space
from lt_lightning.search.storage import shown_storage, unreachable
from lt_lightning.search.study import draw, find_id, open_study, place_of, require_optuna
from lt_lightning.search.trial import FOLDER, STOPPED, study_override
from lt_lightning.storage.atomic import write_whole, writing_to
from lt_lightning.storage.lock import STATE

if TYPE_CHECKING:
    from hydra.core.utils import JobReturn
    from hydra.types import HydraContext, TaskFunction
    from omegaconf import DictConfig
    from optuna.samplers import BaseSampler
    from optuna.trial import FrozenTrial

log = logging.getLogger(__name__)

_SWEEP = "sweep"
"""The attribute of a trial with the sweep that runs it, as searches in several places may share a storage."""

_HOPELESS = 3
"""A search whose first trials all fail ends after so many of them."""

DIRECTIONS = {"max": "maximize", "min": "minimize"}


@contextmanager
def _reaching_storage() -> Iterator[None]:
    """Raise a `ResumableError` if the storage cannot be reached."""
    from optuna.exceptions import StorageInternalError

    try:
        yield
    except (OSError, StorageInternalError) as error:
        raise unreachable("the search", error) from error


class Search:
    """A search, as Hydra's sweeper; its settings are those of `conf/hydra/sweeper/optuna.yaml`.

    Args:
        config: the composed configuration of the sweep.
        hydra_context: Hydra's loader of configurations.
        task_function: runs a job.

    Raises:
        SettingError: a setting of the search is refused, or Optuna is not installed.
    """

    def __init__(self, config: DictConfig, hydra_context: HydraContext, task_function: TaskFunction) -> None:
        from hydra.core.plugins import Plugins
        from omegaconf import OmegaConf

        settings: Any = OmegaConf.to_container(config.hydra.sweeper, resolve=True)
        self._config, self._context, self._settings = config, hydra_context, settings
        for key in ("n_trials", "n_jobs"):
            if type(settings[key]) is not int or settings[key] < 1:
                raise SettingError(f"hydra.sweeper.{key}: {settings[key]} is no whole number from 1 on; give one")
        if type(settings["seed"]) is not int or settings["seed"] < 0:
            raise SettingError(f"hydra.sweeper.seed: {settings['seed']} is no whole number from 0 on; give one")
        if settings["direction"] not in (None, *DIRECTIONS.values()):
            raise SettingError(f"hydra.sweeper.direction: {settings['direction']!r} is none of minimize, maximize")
        require_optuna()
        make_pruner(settings["pruner"], settings["pruner_options"] or {})
        self._folder = Path(config.hydra.sweep.dir)
        self._place = place_of(settings, self._folder.absolute(), str(config.name))
        self._record = config.copy()
        config.hydra.overrides.hydra.append(study_override(self._place))
        self._launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def run(self, arguments: Sequence[str]) -> float | None:
        """Run the trials that are missing, and return the best value, or None if no trial is complete.

        Args:
            arguments: the overrides of the task on the command line, those that vary too.

        Raises:
            SettingError: the space is empty, the storage belongs to another search or has a trial with values outside
                of the space, or the first trials all failed.
            ResumableError: the storage cannot be reached.
        """
        from hydra.core.override_parser.overrides_parser import OverridesParser
        from omegaconf import OmegaConf

        parser = OverridesParser.create(config_loader=self._context.config_loader)
        self._space = space = read_space(self._settings["params"], arguments, parser)
        self._sampler(0)
        self._most = self._settings["n_trials"]
        if self._settings["sampler"] == "grid":
            self._most = min(self._most, grid_size(space))
        self._objective, direction, made_by = self._describe(space)
        with _reaching_storage(), writing_to(self._folder):
            (self._folder / STATE).mkdir(parents=True, exist_ok=True)
            self._study, self._storage = open_study(self._place, direction, made_by)
            self._id = self._find_id()
            OmegaConf.save(self._record, self._folder / "multirun.yaml")
        while batch := self._next_batch():
            self._run_batch(batch)
        outcomes = self._write()
        write(*describe_best(outcomes, self._study.direction, self._objective.name, self._folder))
        self._require_success(outcomes)
        best = find_best(outcomes, self._study.direction)
        return None if best is None else best.value

    def _describe(self, space: Space) -> tuple[Objective, str, dict[str, Any]]:
        """Return the objective and its direction, and what must stay the same for all trials."""
        composed = self._context.config_loader.load_sweep_config(self._config, space.overrides(space.middle))
        config = read_config(composed)
        objective = planned_objective(config)
        direction = self._settings["direction"] or DIRECTIONS.get(objective.better or "")
        if direction is None:
            raise SettingError(
                f"hydra.sweeper.direction: missing: give maximize if higher values of {objective.name} are better, and "
                "minimize if lower ones are"
            )
        objective_keys = ("objective", "objective_within", "objective_reference", "metric")
        made_by = {
            "name": config.name,
            **{key: getattr(config, key) for key in objective_keys},
            "pruning.rounds": config.pruning.rounds,
            "hydra.sweeper.params": space.describe(),
        }
        return objective, direction, made_by

    def _find_id(self) -> str:
        """Return the id by which this sweep knows its trials in a shared storage; make one for a new sweep."""
        path = self._folder / STATE / "search.json"
        if not path.exists():
            write_whole(path, json.dumps({_SWEEP: uuid.uuid4().hex}) + "\n")
        return str(read_object(path).get(_SWEEP))

    @_reaching_storage()
    def _next_batch(self) -> dict[int, FrozenTrial]:
        """Return the trials that run next, by number: those that had not ended, and new ones up to a full batch."""
        from optuna.trial import TrialState

        size = self._settings["n_jobs"]
        for number, trial in self._running().items():
            if STOPPED in trial.user_attrs:
                self._study.tell(number, state=TrialState.PRUNED)
        batch = dict(islice(self._running().items(), size))
        # Batches end at multiples of their size, also where a kill has left a part of one.
        while (count := self._count()) < self._most and len(batch) < size and (not batch or len(self._own()) % size):
            draw(self._study, self._sampler(count), self._space.dimensions, {_SWEEP: self._id})
            batch = self._running()
        return batch

    def _count(self) -> int:
        return len(self._study.get_trials(deepcopy=False))

    def _own(self) -> list[FrozenTrial]:
        """Return the trials of this sweep; searches elsewhere may share the storage."""
        return [one for one in self._study.get_trials(deepcopy=False) if one.user_attrs.get(_SWEEP) == self._id]

    def _running(self) -> dict[int, FrozenTrial]:
        """Return the trials of this sweep that have not ended, by number.

        Raises:
            SettingError: one has values that this search does not draw. Its overrides could run any code.
        """
        running = {one.number: one for one in self._own() if one.state.name == "RUNNING"}
        for number, trial in running.items():
            if (fault := self._space.find_fault(trial.params)) is not None:
                raise SettingError(
                    f"hydra.sweeper.storage: trial {number} in {shown_storage(self._place.storage)} has {fault}; its "
                    "values are not this search's, so start another search"
                )
        return running

    def _sampler(self, number: int) -> BaseSampler:
        settings = self._settings
        options = settings["sampler_options"] or {}
        return make_sampler(settings["sampler"], options, settings["seed"], number, self._space)

    def _run_batch(self, batch: Mapping[int, FrozenTrial]) -> None:
        """Run trials, and record their results; raise the first error that ends the search."""
        error = None
        for number, job in self._launch({number: self._space.overrides(one.params) for number, one in batch.items()}):
            error = self._settle(number, job) or error
        try:
            outcomes = self._write()
        except ResumableError as unwritten:
            raise error or unwritten from None
        for one in outcomes:
            if one.number in batch and one.state != "RUNNING":
                write(describe_trial(one, outcomes, self._study.direction))
        if error is not None:
            raise error
        self._require_success(outcomes)

    def _launch(self, jobs: Mapping[int, list[str]]) -> Iterator[tuple[int, JobReturn]]:
        """Run jobs, and yield their numbers and results; third-party launchers run consecutive numbers only."""
        if (launch := getattr(self._launcher, "launch_numbered", None)) is not None:
            yield from launch(jobs, self._most).items()
            return
        for numbers in _consecutive(jobs):
            overrides = [jobs[number] for number in numbers]
            yield from zip(numbers, self._launcher.launch(overrides, initial_job_idx=numbers[0]), strict=True)

    @_reaching_storage()
    def _settle(self, number: int, job: JobReturn) -> BaseException | None:
        """Record the result of a trial, and return its error if that ends the search."""
        from optuna.trial import TrialState

        value = job._return_value  # the public property prints an error, which was printed before
        if isinstance(value, (ResumableError, InUseError)):
            return value  # the trial goes on when the search resumes
        trial_id = find_id(self._place, self._storage, number)
        if job.hydra_cfg is not None:
            folder = str(job.hydra_cfg.hydra.runtime.output_dir)
            self._storage.set_trial_user_attr(trial_id, FOLDER, folder)
        if isinstance(value, BaseException):
            self._study.tell(number, state=TrialState.FAIL)
            return None if isinstance(value, (SettingError, LotteryError)) else value
        if STOPPED in self._storage.get_trial(trial_id).user_attrs:
            self._study.tell(number, state=TrialState.PRUNED)
        elif value is None or math.isnan(value):
            log.warning("trial %s: its run has no %s", number, self._objective.name)
            self._study.tell(number, state=TrialState.FAIL)
        else:
            self._study.tell(number, float(value))
        return None

    @_reaching_storage()
    def _write(self) -> list[Outcome]:
        """Write the files of the search so far, and return the results of its trials."""
        outcomes = read_outcomes(self._study, self._space, self._folder)
        with writing_to(self._folder):
            write_results(self._folder, outcomes, self._study, self._objective.name)
        return outcomes

    def _require_success(self, outcomes: Sequence[Outcome]) -> None:
        failed = sum(one.state == "FAIL" for one in outcomes)
        over = failed >= min(_HOPELESS, self._most)
        if over and not any(one.state in ("COMPLETE", "PRUNED") for one in outcomes):
            raise SettingError(
                f"hydra/sweeper: the first {failed} trials failed, each for the reason above; correct the settings, or "
                "what the search varies, and start another search"
            )


def _consecutive(numbers: Iterable[int]) -> Iterator[list[int]]:
    """Yield the runs of consecutive numbers in ascending order."""
    begun: list[int] = []
    for number in sorted(numbers):
        if begun and number != begun[-1] + 1:
            yield begun
            begun = []
        begun.append(number)
    if begun:
        yield begun
