"""Search for settings: ask Optuna for trials, run them by Hydra's launcher, and tell Optuna their objectives.

The study's storage has everything: a search that was killed resumes with the trials that had not ended, each with the
number, the values and the folder that it had. Trials run in batches of `n_jobs`, whose numbers are consecutive.
"""

from __future__ import annotations

import json
import logging
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lt_lightning.config.validation import read_config
from lt_lightning.errors import InUseError, ResumableError, SettingError
from lt_lightning.lottery.settings import LotteryError
from lt_lightning.runs.objective import Objective, planned_objective
from lt_lightning.runs.reading import read_object
from lt_lightning.runtime.terminal import write
from lt_lightning.search.pruners import make_pruner
from lt_lightning.search.results import FOLDER, Outcome, describe_best, describe_trial, read_outcomes, write_results
from lt_lightning.search.samplers import grid_size, make_sampler
from lt_lightning.search.space import Space, read_space
from lt_lightning.search.study import JOURNAL, drop_torn_line, open_study, place_of, require_optuna
from lt_lightning.search.trial import STOPPED
from lt_lightning.storage.atomic import write_whole, writing_to
from lt_lightning.storage.lock import STATE

if TYPE_CHECKING:
    from hydra.core.utils import JobReturn
    from hydra.types import HydraContext, TaskFunction
    from omegaconf import DictConfig
    from optuna.trial import FrozenTrial

log = logging.getLogger(__name__)

_SWEEP = "sweep"
"""The attribute of a trial with the sweep that runs it, as searches in several places may share a storage."""

_HOPELESS = 3
"""A search whose first trials all fail ends after so many of them."""

DIRECTIONS = {"max": "maximize", "min": "minimize"}


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
        self._launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )
        self._folder = Path(config.hydra.sweep.dir)
        self._place = place_of(settings, self._folder.absolute(), str(config.name))

    def run(self, arguments: Sequence[str]) -> float | None:
        """Run the trials that are missing, and return the best value.

        Args:
            arguments: the overrides of the task on the command line, those that vary too.

        Raises:
            SettingError: the space is empty, the storage belongs to another search, or no trial has a value.
        """
        from hydra.core.override_parser.overrides_parser import OverridesParser
        from omegaconf import OmegaConf

        parser = OverridesParser.create(config_loader=self._context.config_loader)
        self._space = space = read_space(self._settings["params"], arguments, parser)
        self._sampler(0, 0)
        self._most = self._settings["n_trials"]
        if self._settings["sampler"] == "grid":
            self._most = min(self._most, grid_size(space))
        self._objective, direction, made_by = self._describe(space)
        with writing_to(self._folder):
            (self._folder / STATE).mkdir(parents=True, exist_ok=True)
            drop_torn_line(self._folder / JOURNAL)
            self._study = open_study(self._place, direction, made_by)
            self._id = self._find_id()
            OmegaConf.save(self._config, self._folder / "multirun.yaml")
        while batch := self._next_batch():
            self._run_batch(batch)
        outcomes = self._write()
        write(*describe_best(outcomes, self._study.direction, self._objective.name, self._folder))
        self._require_success(outcomes)
        return None if not any(one.value is not None for one in outcomes) else self._study.best_value

    def _describe(self, space: Space) -> tuple[Objective, str, dict[str, Any]]:
        """Return the objective and its direction, and what must stay the same for all trials."""
        config = read_config(self._compose(space.overrides(space.middle)))
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

    def _compose(self, overrides: Sequence[str]) -> DictConfig:
        return self._context.config_loader.load_sweep_config(self._config, list(overrides))

    def _find_id(self) -> str:
        """Return what tells this sweep from others that share its storage."""
        path = self._folder / STATE / "search.json"
        if not path.exists():
            write_whole(path, json.dumps({_SWEEP: uuid.uuid4().hex}) + "\n")
        return str(read_object(path).get(_SWEEP))

    def _next_batch(self) -> list[int]:
        """Return the numbers of the trials that run next: those that had not ended, and new ones up to a full batch."""
        from optuna.trial import Trial, TrialState

        size, batch = self._settings["n_jobs"], []
        own_storage = self._settings["storage"] is None
        for trial in self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            if trial.user_attrs.get(_SWEEP, self._id if own_storage else None) != self._id:
                continue  # of another search in the same storage
            if STOPPED in trial.user_attrs:
                self._tell(trial.number, TrialState.PRUNED, None)
                continue
            # A kill may have come between two draws of it.
            self._set_sampler(trial.number, 0)
            self._draw(Trial(self._study, trial._trial_id))  # no public way leads back to a trial that runs
            batch.append(trial.number)
        batch = batch[:size]
        count = self._count()
        while count < self._most and len(batch) < size and (not batch or count % size):
            self._set_sampler(count, 0)
            trial = self._study.ask()
            self._draw(trial)
            batch.append(trial.number)
            count = self._count()
        return batch

    def _count(self) -> int:
        """Return how many trials there are, but those that a user has enqueued."""
        return sum(one.state.name != "WAITING" for one in self._study.get_trials(deepcopy=False))

    def _draw(self, trial: Any) -> None:
        trial.set_user_attr(_SWEEP, self._id)
        for step, one in enumerate(self._space.dimensions, start=1):
            self._set_sampler(trial.number, step)
            one.suggest(trial)

    def _set_sampler(self, number: int, step: int) -> None:
        self._study.sampler = self._sampler(number, step)

    def _sampler(self, number: int, step: int) -> Any:
        settings = self._settings
        return make_sampler(
            settings["sampler"], settings["sampler_options"] or {}, settings["seed"], number, step, self._space
        )

    def _run_batch(self, batch: Sequence[int]) -> None:
        """Run trials, and tell the study what came of them; raise the first error that ends the search."""
        trials = {one.number: one for one in self._study.get_trials(deepcopy=False) if one.number in batch}
        error = None
        for numbers in _consecutive(batch):
            jobs = [self._space.overrides(trials[number].params) for number in numbers]
            for overrides in jobs:
                self._compose(overrides)  # raises before any of them runs
            returns = self._launcher.launch(jobs, initial_job_idx=numbers[0])
            for number, job in zip(numbers, returns, strict=True):
                error = self._settle(number, job) or error
        outcomes = self._write()
        done = set(batch)
        for one in outcomes:
            if one.number in done and one.state != "RUNNING":
                write(describe_trial(one, outcomes, self._study.direction))
        if error is not None:
            raise error
        self._require_success(outcomes)

    def _settle(self, number: int, job: JobReturn) -> BaseException | None:
        """Tell the study what came of a trial, and return the error that ends the search, if it is one."""
        from optuna.trial import TrialState

        self._note_folder(number, job)
        # Its public property prints an error once more.
        value = job._return_value
        if isinstance(value, BaseException):
            if isinstance(value, (ResumableError, InUseError)):
                return value  # the trial goes on when the search resumes
            self._tell(number, TrialState.FAIL, None)
            return None if isinstance(value, (SettingError, LotteryError)) else value
        stopped = STOPPED in self._trial(number).user_attrs
        if stopped:
            self._tell(number, TrialState.PRUNED, None)
        elif value is None or value != value:
            log.warning("trial %s: its run has no %s", number, self._objective.name)
            self._tell(number, TrialState.FAIL, None)
        else:
            self._tell(number, TrialState.COMPLETE, float(value))
        return None

    def _tell(self, number: int, state: Any, value: float | None) -> None:
        self._set_sampler(number, len(self._space.dimensions) + 1)
        self._study.tell(number, value, state=state)

    def _trial(self, number: int) -> FrozenTrial:
        return next(one for one in self._study.get_trials(deepcopy=False) if one.number == number)

    def _note_folder(self, number: int, job: JobReturn) -> None:
        from optuna.trial import Trial

        if job.hydra_cfg is None:  # it did not begin
            return
        folder = Path(job.hydra_cfg.hydra.runtime.output_dir)
        self._set_sampler(number, 0)
        Trial(self._study, self._trial(number)._trial_id).set_user_attr(FOLDER, str(folder))

    def _write(self) -> list[Outcome]:
        """Write the files of the search so far, and return what came of its trials."""
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


def _consecutive(numbers: Sequence[int]) -> Iterator[list[int]]:
    """Yield the runs of consecutive numbers, which Hydra's launchers ask for."""
    begun: list[int] = []
    for number in sorted(numbers):
        if begun and number != begun[-1] + 1:
            yield begun
            begun = []
        begun.append(number)
    if begun:
        yield begun
