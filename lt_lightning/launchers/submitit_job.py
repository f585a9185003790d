"""The callable that submitit pickles, starts and requeues, and its result."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lt_lightning.errors import ResumableError
from lt_lightning.launchers.job import SweepJob, WorkerTask, failed, lost
from lt_lightning.runtime.cluster import describe_standstill

if TYPE_CHECKING:
    from hydra.core.utils import JobReturn
    from submitit.helpers import DelayedSubmission


_STARTED = time.monotonic()
"""When the process of a job has loaded this module to unpickle its task: seconds after its start."""

_requeued = False
"""Whether this process has been asked to end, as its job is requeued."""


@dataclass(frozen=True)
class RequeuedTask:
    """A job that goes on where it was when submitit starts it again.

    submitit calls `checkpoint` shortly before a time limit, or when a job is preempted, and starts what it returns. The
    state of the run is on disk already, and `resume=auto`, the default in jobs of submitit, goes on with it.

    Attributes:
        task: runs the job.
        job: the job.
        unhide: whether to show the job the GPUs that submitit hides.
        limit: the seconds after which submitit warns the job of its time limit. An earlier warning is a preemption.
    """

    task: WorkerTask
    job: SweepJob
    unhide: bool = False
    limit: float = 0.0

    def __call__(self) -> JobReturn:
        """Run the job.

        Raises:
            SystemExit: the job is requeued, and must leave no result.
        """
        if self.unhide:
            os.environ.pop("CUDA_VISIBLE_DEVICES", None)
        result = self.task(self.job)
        if _requeued:  # submitit raised this somewhere in the job; an error may have replaced it
            raise SystemExit(-1)
        return result

    def checkpoint(self) -> DelayedSubmission:
        """Return the task to start next.

        Raises:
            ResumableError: the job would stand still.
        """
        from submitit.helpers import DelayedSubmission

        timed_out = time.monotonic() - _STARTED >= 0.8 * self.limit  # SLURM's clock began before the process
        folder = Path(self.task.surroundings.folder, self.job.folder)
        if timed_out and (fault := describe_standstill(folder)) is not None:
            raise ResumableError(
                f"hydra.launcher.timeout_min: the job is not requeued, as {fault}; raise the limit above the duration "
                "of an epoch"
            )
        global _requeued
        _requeued = True
        return DelayedSubmission(self)


def read_result(job: SweepJob, submitted: Any) -> JobReturn:
    """Return the result of a job that has ended; of several tasks that of the first, which writes the records."""
    from submitit.core.utils import FailedJobError, UncompletedJobError

    first = submitted.task(0)
    try:
        return first.result()
    except (FailedJobError, UncompletedJobError) as error:
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        raised = next((line for line in reversed(lines) if "Error: " in line), lines[0])
        return failed(job, ResumableError(f"{raised}; {first.paths.stdout} has its output"))
    except Exception as error:  # the file of the result is damaged
        return lost(job, error)
