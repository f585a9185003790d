"""The engine of `hydra/launcher=submitit_slurm`: the jobs of a sweep as an array of SLURM jobs."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from lt_lightning.errors import ResumableError, SettingError
from lt_lightning.launchers.job import EngineSetup, SweepJob, WorkerTask, failed
from lt_lightning.launchers.submitit_job import RequeuedTask, read_result
from lt_lightning.launchers.surroundings import Surroundings, count_cores, known_threads
from lt_lightning.runtime.signals import delayed

if TYPE_CHECKING:
    from hydra.core.utils import JobReturn

    from lt_lightning.config.launchers import SubmititSlurmConfig

_POLL_SECONDS = 1.0
_QUEUE_SECONDS = 15.0
"""How often the queue is read: a job without a result that is not in it has been cancelled or lost."""
_QUEUED = "PENDING,RUNNING,SUSPENDED,COMPLETING,CONFIGURING,REQUEUED,REQUEUE_HOLD,STAGE_OUT,STOPPED"
"""The states of jobs that have not ended."""
_OWN = ("_target_", "submitit_folder", "threads", "max_num_timeout")
_NAMES = {"timeout_min": "time", "name": "job_name", "mem_gb": "mem", "tasks_per_node": "ntasks_per_node"}
"""Settings that are no parameters of submitit's, and those with other names there."""
_OF_CLUSTER = frozenset({"SLURM_CONF", "SLURM_CLUSTERS", "SLURM_JWT"})


class SlurmEngine:
    """Submit jobs, and wait for their results."""

    def __init__(self, setup: EngineSetup) -> None:
        settings: SubmititSlurmConfig = setup.settings  # pyright: ignore[reportAssignmentType]
        self._setup, self._settings = setup, settings
        asked = settings.threads or known_threads() or settings.cpus_per_task
        # Without any wish few cores are asked for: more wait longer, and small networks do not gain by them.
        self._threads = asked or min(4, count_cores())
        self._surroundings = Surroundings.of_this_process(self._threads)

    def describe(self, count: int) -> str:
        """Return the cores, the minutes and the GPUs of each job."""
        wish = self._parameters()
        parts = [f"{wish.get('cpus_per_task', 'unknown')} cores", f"{self._settings.timeout_min} minutes"]
        gpus = wish.get("gpus_per_node")
        parts += [f"{gpus} GPU{'s' * (gpus > 1)}"] if gpus else []
        return f"{count} job{'s' * (count > 1)} in SLURM's queue, {', '.join(parts)} each; their output: {self._logs()}"

    def run(self, jobs: list[SweepJob]) -> Iterator[tuple[SweepJob, JobReturn]]:
        """Yield results in the order in which jobs end; cancel the jobs that are left when closed."""
        running: list[tuple[SweepJob, Any]] = []
        missing: set[str] = set()
        try:
            with delayed():  # sbatch may have submitted the jobs already, and must return their numbers
                running += zip(jobs, self._submit(jobs), strict=True)
            checked = time.monotonic()
            while running:
                ended = [pair for pair in running if pair[1].task(0).paths.result_pickle.exists()]
                if time.monotonic() - checked > _QUEUE_SECONDS:
                    queued = read_queue([one.job_id for _, one in running])
                    gone = {one.job_id for _, one in running if queued is not None and one.job_id not in queued}
                    # Twice, as a result may come late through a network's disk.
                    ended += [pair for pair in running if pair[1].job_id in gone & missing and pair not in ended]
                    missing, checked = gone, time.monotonic()
                for job, one in ended:
                    running.remove((job, one))
                    yield job, self._result(job, one)
                if not ended:
                    time.sleep(_POLL_SECONDS)
        finally:
            cancel([one.job_id for _, one in running])

    def _submit(self, jobs: list[SweepJob]) -> list[Any]:
        from submitit import SlurmExecutor
        from submitit.core.utils import FailedJobError, FailedSubmissionError

        folder = self._setup.absolute(self._settings.submitit_folder)
        executor = SlurmExecutor(folder, max_num_timeout=self._settings.max_num_timeout)
        executor.update_parameters(**self._parameters())
        # Signals are submitit's: SLURM sends SIGTERM before it preempts a job, which goes on then.
        task = WorkerTask(self._surroundings, listens=(), ignores=())
        limit = 60 * self._settings.timeout_min - self._settings.signal_delay_s
        try:
            with _outside_allocation(), executor.batch():
                return [executor.submit(RequeuedTask(task, job, limit=limit)) for job in jobs]
        except (FailedJobError, FailedSubmissionError, subprocess.CalledProcessError) as error:
            lines = [line.strip() for line in str(error).splitlines() if "error" in line.lower()] or [str(error)]
            raise SettingError(
                f"hydra/launcher=submitit_slurm: SLURM refuses the jobs ({lines[-1]}); correct the settings below "
                "hydra.launcher"
            ) from error

    def _parameters(self) -> Mapping[str, Any]:
        """Return the parameters of submitit's executor, by its names."""
        given = {key: value for key, value in asdict(self._settings).items() if key not in _OWN and value is not None}
        wish = {_NAMES.get(key, key): value for key, value in given.items()}
        if "mem" in wish:
            wish["mem"] = f"{round(1024 * wish['mem'])}MB"
        if not {"cpus_per_task", "cpus_per_gpu"} & set(wish):
            workers = self._setup.config.data.get("num_workers") or 0
            wish["cpus_per_task"] = self._threads + workers
        if not {"gpus_per_node", "gpus_per_task", "gres"} & set(wish) and self._setup.gpus:
            wish["gpus_per_node"] = self._setup.gpus
        # A node that is lost, or wanted by others, starts the job again.
        wish["additional_parameters"] = {"requeue": True, **wish["additional_parameters"]}
        return wish

    def _logs(self) -> str:
        return str(self._settings.submitit_folder).removesuffix("/%j")

    def _result(self, job: SweepJob, one: Any) -> JobReturn:
        if not one.task(0).paths.result_pickle.exists():
            return failed(job, ResumableError(
                f"SLURM ended job {one.job_id} without a result (cancelled, out of memory, or past its time); "
                f"{one.task(0).paths.stdout} has its output"
            ))  # fmt: skip
        return read_result(job, one)


@contextmanager
def _outside_allocation() -> Iterator[None]:
    """Hide the variables of the allocation that a sweep may start in: sbatch takes them for wishes.

    Those that describe the cluster, and the user's own wishes (SBATCH_…), stay.
    """
    hidden = {
        name: value for name, value in os.environ.items() if name.startswith("SLURM_") and name not in _OF_CLUSTER
    }
    hidden = hidden if "SLURM_JOB_ID" in os.environ else {}
    for name in hidden:
        del os.environ[name]
    try:
        yield
    finally:
        os.environ.update(hidden)


def read_queue(jobs: list[str]) -> set[str] | None:
    """Return those of the jobs that are waiting or running, tasks of arrays as 12_3; None if SLURM does not answer."""
    parents = sorted({job.partition("_")[0] for job in jobs})
    command = ["squeue", "--noheader", "--array", "--format=%i", f"--states={_QUEUED}", f"--jobs={','.join(parents)}"]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    if ran.returncode:
        return set() if "Invalid job id" in ran.stderr else None
    return set(ran.stdout.split())


def cancel(jobs: list[str]) -> None:
    """Cancel jobs, whether they wait or run."""
    if jobs:
        subprocess.run(["scancel", *jobs], capture_output=True, check=False)
