"""Register `lt_lightning.study` with Hydra, which makes sweepers of this namespace alone and imports it always."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hydra.plugins.sweeper import Sweeper

if TYPE_CHECKING:
    from hydra.types import HydraContext, TaskFunction
    from omegaconf import DictConfig

    from lt_lightning.study.sweeper import StudyRunner


class StudySweeper(Sweeper):
    """Run the runs of a study; `python -m lt_lightning.study` chooses this sweeper."""

    def __init__(self) -> None:
        self._runner: StudyRunner | None = None

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Make the runner."""
        from lt_lightning.study.sweeper import StudyRunner

        self._runner = StudyRunner(config, hydra_context, task_function)

    def sweep(self, arguments: list[str]) -> Any:
        """Run what is missing."""
        assert self._runner is not None
        self._runner.run()
