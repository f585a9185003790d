"""One job of a sweep, as sent to the process that runs it, and its result."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from lt_lightning.errors import ResumableError, SettingError
from lt_lightning.launchers.surroundings import Surroundings
from lt_lightning.runtime.fast_import import prefer_installed
from lt_lightning.runtime.lifeline import hold
from lt_lightning.runtime.signals import WARNINGS, Interruption, listen
from lt_lightning.runtime.terminal import prepare_streams
from lt_lightning.storage.atomic import UNWRITABLE, unwritable
from lt_lightning.storage.lock import STATE

if TYPE_CHECKING:
    from hydra.core.utils import JobReturn
    from hydra.types import HydraContext, TaskFunction
    from omegaconf import DictConfig

    from lt_lightning.config.launchers import LauncherConfig

log = logging.getLogger(__name__)


class JobError(RuntimeError):
    """A job failed for another reason than a user's mistake; its message has the traceback."""


@dataclass(frozen=True)
class SweepJob:
    """A job.

    Attributes:
        number: its number in the sweep, from 0.
        folder: its run directory.
        config: its composed configuration, Hydra's part included.
        context: Hydra's callbacks.
        task: the module and the name of the function that runs it.
        program: the name of the program, for Hydra's logs.
    """

    number: int
    folder: Path
    config: DictConfig
    context: HydraContext
    task: tuple[str, str]
    program: str


class Engine(Protocol):
    """Runs jobs."""

    def describe(self, count: int) -> str:
        """Return how `count` jobs are run, in words; empty if there is nothing to say."""
        ...

    def run(self, jobs: list[SweepJob]) -> Iterator[tuple[SweepJob, JobReturn]]:
        """Yield the result of each job as it ends. Closing the iterator ends the workers."""
        ...


@dataclass(frozen=True)
class EngineSetup:
    """The settings and the surroundings of an engine.

    Attributes:
        settings: those of the launcher.
        sweep: the sweep's folder.
        task: the function that runs a job.
        config: the configuration of the sweep; swept settings differ in its jobs.
        announce: shows that a job begins on this screen.
    """

    settings: LauncherConfig
    sweep: Path
    task: TaskFunction
    config: DictConfig
    announce: Callable[[SweepJob], None]

    @property
    def gpus(self) -> int:
        """Return the number of GPUs that a job needs, as far as its settings say."""
        trainer = self.config.trainer
        if str(trainer.accelerator) not in ("gpu", "cuda"):
            return 0
        devices = trainer.devices
        if isinstance(devices, int) or (isinstance(devices, str) and devices.isdecimal()):
            return max(1, int(devices))
        return 1 if devices is None or isinstance(devices, str) else len(devices)

    def absolute(self, folder: str) -> Path:
        """Return a path for processes that start elsewhere."""
        return Path.cwd() / folder

    def output(self, job: SweepJob) -> Path:
        """Return the file for the output of a job."""
        return self.absolute(str(self.sweep)) / STATE / f"job_{job.number}.log"

    def describe_workers(self, engine: str, count: int, at_once: int, threads: int | None) -> str:
        """Return how workers of this machine run the jobs, and a remedy if there is one job at a time only."""
        each = f"{threads} thread{'s' * (threads > 1)}" if threads else "all cores"
        line = f"{count} job{'s' * (count > 1)} by {engine}, {min(at_once, count)} at a time with {each} each"
        if at_once == 1 and count > 1 and threads != 1:
            line += "; for more at a time, set fewer hydra.launcher.threads, or OMP_NUM_THREADS"
        return line


def run_here(job: SweepJob, task: TaskFunction) -> JobReturn:
    """Run a job in this process; a failure is in the result."""
    from hydra.core.utils import run_job

    try:
        return run_job(
            hydra_context=job.context,
            task_function=task,
            config=job.config,
            job_dir_key="hydra.sweep.dir",
            job_subdir_key="hydra.sweep.subdir",
        )
    except OSError as error:  # Hydra makes the folder, the log and its notes before the task runs
        return lost(job, error)


@dataclass(frozen=True)
class WorkerTask:
    """A job for a worker process: `WorkerTask(…)(job)`.

    Attributes:
        surroundings: those of the process that started the sweep.
        lifeline: the address of its lifeline; None if the worker may be on another machine.
        output: the file for the output of the worker; None leaves stdout and stderr alone.
        listens: the signals that stop the job.
        ignores: the signals that are meant for the process that started the sweep.
    """

    surroundings: Surroundings
    lifeline: str | None = None
    output: Path | None = None
    listens: tuple[signal.Signals, ...] = (signal.SIGTERM,)
    ignores: tuple[signal.Signals, ...] = (signal.SIGINT, *WARNINGS)

    def __call__(self, job: SweepJob) -> JobReturn:
        """Run the job in this process and return its result, which can be pickled."""
        from hydra.core.utils import JobRuntime, setup_globals

        self.surroundings.enter()
        if self.lifeline is not None:
            hold(self.lifeline)
        if threading.current_thread() is threading.main_thread():
            listen(self.listens)
            for signum in self.ignores:
                signal.signal(signum, signal.SIG_IGN)
        try:
            with _printing_to(self.output):
                prepare_streams()
                prefer_installed()
                setup_globals()
                JobRuntime.instance().set("name", job.program)
                module, name = job.task
                result = run_here(job, getattr(import_module(module), name))
        except Interruption as stopped:
            result = failed(job, ResumableError(f"stopped by {stopped.signal.name}"))
        except OSError as error:  # the output of the job cannot be written
            result = lost(job, error)
        return _sendable(result)


def _sendable(result: JobReturn) -> JobReturn:
    """Replace an error that may not survive pickling by its text."""
    from hydra.core.utils import JobStatus

    error = result._return_value
    kept = type(error).__module__ == SettingError.__module__ or type(error) is JobError
    if result.status is JobStatus.FAILED and not kept:
        text = "".join(traceback.format_exception(error)).strip()
        log.error("%s", text)
        result.return_value = JobError(text)
    return result


@contextmanager
def _printing_to(path: Path | None) -> Iterator[None]:
    """Append the output of this process to a file, libraries' and started processes' output included."""
    if path is None:
        yield
        return
    sys.stdout.flush()
    sys.stderr.flush()
    before = [os.dup(1), os.dup(2)]
    with path.open("ab") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    try:
        yield
    finally:
        try:
            sys.stdout.flush()
            sys.stderr.flush()
        finally:  # also on a full disk: the process may run other jobs
            for target, kept in zip((1, 2), before, strict=True):
                os.dup2(kept, target)
                os.close(kept)


def lost(job: SweepJob, error: Exception) -> JobReturn:
    """Return the result of a job that an error outside of its task ended, such as a full disk."""
    if isinstance(error, OSError) and error.errno in UNWRITABLE:
        return failed(job, ResumableError(str(unwritable(error, job.folder))))
    return failed(job, JobError("".join(traceback.format_exception(error)).strip()))


def failed(job: SweepJob, error: Exception) -> JobReturn:
    """Return the result of a job that failed by an error."""
    from hydra.core.utils import JobReturn, JobStatus

    result = JobReturn(overrides=list(job.config.hydra.overrides.task), status=JobStatus.FAILED)
    result.return_value = error
    return result
