"""Prepare the jobs of a sweep, run them by the engine that the settings choose, and show their results as they come."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from contextlib import closing
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lt_lightning.config.launchers import LauncherConfig
from lt_lightning.experiment.interpolations import within_job
from lt_lightning.experiment.resume.compare import how_to_go_on, near
from lt_lightning.experiment.sweep_progress import current_sweep
from lt_lightning.launchers.job import Engine, EngineSetup, SweepJob
from lt_lightning.runtime.signals import interruption

if TYPE_CHECKING:
    from hydra.core.utils import JobReturn
    from hydra.types import HydraContext, TaskFunction
    from omegaconf import DictConfig


class Sweep:
    """The jobs of a sweep, which may come in several batches."""

    def __init__(self, context: HydraContext, task: TaskFunction, config: DictConfig) -> None:
        from omegaconf import OmegaConf

        self._context, self._config, self._task = context, config, task
        settings: Any = OmegaConf.to_object(config.hydra.launcher)
        assert isinstance(settings, LauncherConfig)
        self._folder = near(Path(config.hydra.sweep.dir))
        self._progress = current_sweep(self._folder)
        module, _, name = settings.engine.rpartition(".")
        setup = EngineSetup(settings, self._folder, task, config, lambda job: self._announce(job))
        self._engine: Engine = getattr(import_module(module), name)(setup)
        self._told = False

    def launch(self, overrides: Mapping[int, Sequence[str]], total: int | None) -> dict[int, JobReturn]:
        """Run a batch of jobs.

        Args:
            overrides: those of each job, by its number in the sweep.
            total: the number of all jobs of the sweep, if the sweeper knows it.

        Returns:
            The results by number, in the order of `overrides`.
        """
        total = total if total is not None else self._count(len(overrides))
        self._progress.expect(overrides, total, list(self._config.hydra.overrides.task))
        jobs = [self._prepare(number, list(one)) for number, one in overrides.items()]
        if not self._told and (line := self._engine.describe(len(jobs))):
            self._progress.tell(line)
        self._told = True
        results: dict[int, JobReturn] = {}
        try:
            with closing(self._engine.run(jobs)) as running:  # pyright: ignore[reportArgumentType]
                for job, result in running:
                    results[job.number] = result
                    self._progress.show(job.number, job.folder, result)
        except BaseException as error:
            if (stopped := interruption(error)) is not None:
                stopped.advice = how_to_go_on(self._folder)
                stopped.goes_on = self._config.resume is not None
                stopped.folder = self._folder
                raise stopped from None
            raise
        return {job.number: results[job.number] for job in jobs}

    def _announce(self, job: SweepJob) -> None:
        self._progress.announce(job.number)

    def _count(self, batch: int) -> int | None:
        """Return the number of jobs of a sweep whose sweeper does not say it: Hydra's own launches all at once."""
        sweeper = self._config.hydra.sweeper
        return batch if "max_batch_size" in sweeper and sweeper.max_batch_size is None else None

    def _prepare(self, number: int, overrides: list[str]) -> SweepJob:
        """Compose the configuration of a job, and assign its folder."""
        from omegaconf import open_dict

        config: Any = self._context.config_loader.load_sweep_config(self._config, overrides)
        with open_dict(config):
            config.hydra.job.id = str(number)
            config.hydra.job.num = number
        with within_job(config):
            # Now, in the order of the jobs, whichever begins first.
            folder = Path(str(config.hydra.sweep.dir), str(config.hydra.sweep.subdir))
        return SweepJob(number, near(folder), config, self._context, self._named_task(), self._config.hydra.job.name)

    def _named_task(self) -> tuple[str, str]:
        """Return the module and the name of the function that runs a job, for another process."""
        module = self._task.__module__
        spec = sys.modules["__main__"].__spec__ if module == "__main__" else None
        return module if spec is None else spec.name, self._task.__name__
