"""The launcher that Hydra's scan for plugins finds; `lt_lightning.launchers` does its work.

Hydra imports this module in every start, and takes plugins from this namespace package alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from hydra.plugins.launcher import Launcher

if TYPE_CHECKING:
    from hydra.core.utils import JobReturn
    from hydra.types import HydraContext, TaskFunction
    from omegaconf import DictConfig


class SweepLauncher(Launcher):
    """Run the jobs of a sweep by the engine that `hydra/launcher` chooses.

    Attributes:
        total: the number of jobs of the whole sweep, for a sweeper that launches them in batches and knows it.
    """

    def __init__(self, **settings: Any) -> None:
        # `setup` reads them from the configuration, with their types.
        self.total: int | None = None

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Make the engine."""
        from lt_lightning.launchers.sweep import Sweep

        self._sweep = Sweep(hydra_context, task_function, config)

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Run a batch of jobs, and return their results in the same order; failed jobs have the status FAILED."""
        return self._sweep.launch(job_overrides, initial_job_idx, self.total)
