"""The engine of `hydra/launcher=joblib`: processes of this machine, by loky, joblib's pool of processes.

`joblib.Parallel` itself would run one job at a time in this process, give workers one thread, and kill them without
warning when the sweep is stopped.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from typing import TYPE_CHECKING, Any

from lt_lightning.errors import ResumableError
from lt_lightning.launchers.job import EngineSetup, SweepJob, WorkerTask, failed, lost
from lt_lightning.launchers.surroundings import Surroundings, known_threads, simultaneous
from lt_lightning.runtime.lifeline import Lifeline

if TYPE_CHECKING:
    from hydra.core.utils import JobReturn

    from lt_lightning.config.launchers import JoblibConfig

_IDLE_SECONDS = 60
_KILLED = ResumableError(
    "a worker was killed, which happens when memory runs out, and all others end with it; run fewer jobs at the same "
    "time (hydra.launcher.n_jobs)"
)


class LokyEngine:
    """Run jobs in workers, which serve several jobs each."""

    def __init__(self, setup: EngineSetup) -> None:
        settings: JoblibConfig = setup.settings  # pyright: ignore[reportAssignmentType]
        self._setup = setup
        self._threads = settings.threads or known_threads()
        self._at_once = settings.n_jobs if settings.n_jobs > 0 else simultaneous(self._threads)
        self._surroundings = Surroundings.of_this_process(settings.threads)
        self._lifeline: Lifeline | None = None

    def describe(self, count: int) -> str:
        """Return the number of workers and their threads."""
        return self._setup.describe_workers("joblib", count, self._at_once, self._threads)

    def run(self, jobs: list[SweepJob]) -> Iterator[tuple[SweepJob, JobReturn]]:
        """Yield results in the order in which jobs end."""
        waiting, running = list(reversed(jobs)), dict[Future[Any], SweepJob]()
        try:
            while waiting or running:
                while waiting and len(running) < self._at_once:
                    job = waiting.pop()
                    running[self._start(job, min(self._at_once, len(jobs)))] = job
                # With a time limit, as signals are only handled between waits on some systems.
                ended, _ = wait(running, timeout=1.0, return_when=FIRST_COMPLETED)
                for future in ended:
                    job = running.pop(future)
                    yield job, self._result(job, future)
        except BaseException:
            self._stop()
            raise

    def _start(self, job: SweepJob, workers: int) -> Future[Any]:
        from joblib.externals.loky import get_reusable_executor

        if self._lifeline is None:
            self._lifeline = Lifeline()
        task = WorkerTask(self._surroundings, self._lifeline.address, self._setup.output(job))
        # A broken pool is replaced by a new one.
        return get_reusable_executor(max_workers=workers, timeout=_IDLE_SECONDS).submit(task, job)

    def _result(self, job: SweepJob, future: Future[Any]) -> JobReturn:
        try:
            return future.result()
        except BrokenProcessPool:
            return failed(job, _KILLED)
        except Exception as error:
            return lost(job, error)

    def _stop(self) -> None:
        from joblib.externals.loky import get_reusable_executor

        if self._lifeline is None:
            return
        self._lifeline.cut()
        get_reusable_executor().shutdown(wait=True, kill_workers=True)
