"""The engine of `hydra/launcher=basic`: one job after the other in this process, each with its table on the screen."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from lt_lightning.launchers.job import EngineSetup, SweepJob, run_here

if TYPE_CHECKING:
    from hydra.core.utils import JobReturn


class BasicEngine:
    """Run jobs here."""

    def __init__(self, setup: EngineSetup) -> None:
        self._setup = setup

    def describe(self, count: int) -> str:
        """Return nothing: each job announces itself."""
        return ""

    def run(self, jobs: list[SweepJob]) -> Iterator[tuple[SweepJob, JobReturn]]:
        """Yield the result of each job."""
        from hydra.core.utils import configure_log

        for job in jobs:
            self._setup.announce(job)
            result = run_here(job, self._setup.task)
            hydra = self._setup.config.hydra
            configure_log(hydra.hydra_logging, hydra.verbose)  # the job had logs of its own
            yield job, result
