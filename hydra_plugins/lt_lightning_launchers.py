"""The launcher that Hydra's scan for plugins finds; `lt_lightning.launchers` does its work.

Hydra imports this module in every start, and takes plugins from this namespace package alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from hydra.plugins.launcher import Launcher

if TYPE_CHECKING:
    from hydra.core.utils import JobReturn
    from hydra.types import HydraContext, TaskFunction
    from omegaconf import DictConfig


class SweepLauncher(Launcher):
    """Run the jobs of a sweep by the engine that `hydra/launcher` chooses."""

    def __init__(self, **settings: Any) -> None:
        """Do nothing: `setup` reads the settings from the configuration, with their types."""

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Make the engine."""
        from lt_lightning.launchers.sweep import Sweep

        self._sweep = Sweep(hydra_context, task_function, config)

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Run a batch of jobs, and return their results in the same order; failed jobs have the status FAILED."""
        return [*self._sweep.launch(dict(enumerate(job_overrides, initial_job_idx)), None).values()]

    def launch_numbered(self, jobs: Mapping[int, Sequence[str]], total: int) -> Mapping[int, JobReturn]:
        """Run a batch of jobs whose numbers need not be consecutive, as Hydra's `launch` requires.

        Args:
            jobs: the overrides of the jobs by number.
            total: the number of jobs of the whole sweep.

        Returns:
            The results by number; failed jobs have the status FAILED.
        """
        return self._sweep.launch(jobs, total)
