"""Register `lt_lightning.search` with Hydra, which makes sweepers of this namespace alone and imports it always."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hydra.plugins.sweeper import Sweeper

if TYPE_CHECKING:
    from hydra.types import HydraContext, TaskFunction
    from omegaconf import DictConfig

    from lt_lightning.search.sweeper import Search


class OptunaSweeper(Sweeper):
    """Search for settings with Optuna; `conf/hydra/sweeper/optuna.yaml` describes the arguments."""

    def __init__(
        self,
        n_trials: int,
        n_jobs: int,
        sampler: str,
        sampler_options: Any,
        seed: int,
        pruner: str | None,
        pruner_options: Any,
        direction: str | None,
        storage: str | None,
        study_name: str | None,
        params: Any,
    ) -> None:
        self._search: Search | None = None

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Check the settings of the search."""
        from lt_lightning.search.sweeper import Search

        self.config, self.hydra_context = config, hydra_context
        self._search = Search(config, hydra_context, task_function)

    def sweep(self, arguments: list[str]) -> Any:
        """Run the trials, and return the best value, or None if no trial is complete."""
        assert self._search is not None
        return self._search.run(arguments)
