"""The engine of `hydra/launcher=submitit_local`: processes of this machine, each with a time limit, as under SLURM."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from lt_lightning.errors import ResumableError
from lt_lightning.launchers.job import EngineSetup, SweepJob, WorkerTask, failed
from lt_lightning.launchers.submitit_job import RequeuedTask, read_result
from lt_lightning.launchers.surroundings import Surroundings, known_threads, simultaneous
from lt_lightning.runtime.lifeline import Lifeline

if TYPE_CHECKING:
    from hydra.core.utils import JobReturn

    from lt_lightning.config.launchers import SubmititLocalConfig

_POLL_SECONDS = 0.2


class LocalEngine:
    """Run jobs in processes of their own."""

    def __init__(self, setup: EngineSetup) -> None:
        settings: SubmititLocalConfig = setup.settings  # pyright: ignore[reportAssignmentType]
        self._setup, self._settings = setup, settings
        given = settings.threads or settings.cpus_per_task
        self._threads = given or known_threads()
        self._at_once = settings.array_parallelism or simultaneous(self._threads)
        # submitit hides all GPUs from a job that asks for none.
        visible = os.environ.get("CUDA_VISIBLE_DEVICES") if settings.gpus_per_node is None else None
        self._hides = settings.gpus_per_node is None and visible is None
        self._surroundings = Surroundings.of_this_process(given, CUDA_VISIBLE_DEVICES=visible)

    def describe(self, count: int) -> str:
        """Return the number of processes and their threads."""
        return self._setup.describe_workers("submitit on this machine", count, self._at_once, self._threads)

    def run(self, jobs: list[SweepJob]) -> Iterator[tuple[SweepJob, JobReturn]]:
        """Yield results in the order in which jobs end."""
        waiting, running = list(reversed(jobs)), list[tuple[SweepJob, Any]]()
        with Lifeline() as lifeline:
            while waiting or running:
                while waiting and len(running) < self._at_once:
                    job = waiting.pop()
                    running.append((job, self._start(job, lifeline.address)))
                ended = [pair for pair in running if pair[1].done()]
                running = [pair for pair in running if pair not in ended]
                for job, process in ended:
                    yield job, self._result(job, process)
                if not ended:
                    time.sleep(_POLL_SECONDS)

    def _start(self, job: SweepJob, lifeline: str) -> Any:
        from submitit import LocalExecutor

        settings = self._settings
        executor = LocalExecutor(
            self._setup.absolute(settings.submitit_folder), max_num_timeout=settings.max_num_timeout
        )
        executor.update_parameters(
            timeout_min=settings.timeout_min,
            signal_delay_s=settings.signal_delay_s,
            gpus_per_node=settings.gpus_per_node or 0,
            stderr_to_stdout=settings.stderr_to_stdout,
            setup=settings.setup or [],
        )
        task = WorkerTask(  # SIGUSR2 is submitit's
            self._surroundings, lifeline, listens=(signal.SIGINT, signal.SIGTERM), ignores=(signal.SIGUSR1,)
        )
        limit = 60 * settings.timeout_min - settings.signal_delay_s
        return executor.submit(RequeuedTask(task, job, unhide=self._hides, limit=limit))

    def _result(self, job: SweepJob, process: Any) -> JobReturn:
        if not process.paths.result_pickle.exists():
            return failed(
                job, ResumableError(f"its process ended without a result; {process.paths.stdout} has its output")
            )
        return read_result(job, process)
