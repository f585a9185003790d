"""Run the missing runs of a study by Hydra's launcher. A study that was stopped goes on with the same command."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lt_lightning.config.quoting import quote, quoted
from lt_lightning.errors import InUseError, ResumableError, SettingError
from lt_lightning.experiment.branch.command import branched_arguments
from lt_lightning.experiment.folders import NAME_KEY, read_folders
from lt_lightning.experiment.resume.command import override_key, settings_among
from lt_lightning.launchers.job import JobError
from lt_lightning.launchers.surroundings import known_threads, simultaneous
from lt_lightning.lottery.settings import LotteryError
from lt_lightning.runtime.signals import interruption
from lt_lightning.runtime.terminal import write
from lt_lightning.study.description import ADVICE
from lt_lightning.study.jobs import Job
from lt_lightning.study.plan import Pace, estimate_hours, missing

if TYPE_CHECKING:
    from hydra.core.utils import JobReturn
    from hydra.types import HydraContext, TaskFunction
    from omegaconf import DictConfig

_LOCAL = ("joblib", "ray", "submitit_local")
"""Launchers that run jobs at the same time on this machine."""

_BATCH = 4
"""Runs in a batch, for each that runs at the same time: more leave cores idle less often, fewer keep seeds together."""


@dataclass(frozen=True)
class Request:
    """The request of a study's command line.

    Attributes:
        jobs: all runs of the study.
        folder: the study's folder.
        paces: how long an epoch takes, by corpus.
        hours: the time in which all runs that are started must end, as far as can be told; None for no limit.
        failed: the folders of the runs that have failed.
    """

    jobs: Sequence[Job]
    folder: Path
    paces: dict[str, Pace]
    hours: float | None = None
    failed: set[str] = field(default_factory=set)


requested: ContextVar[Request] = ContextVar("requested")
"""Hydra makes the sweeper, and passes it nothing but its settings."""


class StudyRunner:
    """The runs of the study that is `requested`, as Hydra's sweeper sees them.

    Args:
        config: the composed configuration of the sweep.
        hydra_context: Hydra's loader of configurations.
        task_function: runs a job.

    Raises:
        SettingError: no study is requested, or the launcher runs jobs in the order of their numbers alone.
    """

    def __init__(self, config: DictConfig, hydra_context: HydraContext, task_function: TaskFunction) -> None:
        from hydra.core.plugins import Plugins

        try:
            self._request = requested.get()
        except LookupError:
            raise SettingError("hydra/sweeper: study is for python -m lt_lightning.study NAME; start that") from None
        self._at_once = _at_once(str(config.hydra.runtime.choices.get("hydra/launcher")), config.hydra.launcher)
        self._batch = self._at_once if self._at_once == 1 else _BATCH * self._at_once
        self._launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )
        if not hasattr(self._launcher, "launch_numbered"):
            raise SettingError(
                "hydra/launcher: a study needs one of basic, joblib, submitit_local, submitit_slurm, ray"
            )

    def run(self) -> None:
        """Run what is missing; an arm that retrains tickets waits for the run that finds them.

        Raises:
            ResumableError: a run could not go on, such as on a full disk.
        """
        request, began = self._request, time.monotonic()
        numbers = _numbers(request.jobs, request.folder)
        self._left = missing(request.jobs, request.folder)
        while batch := self._next(time.monotonic() - began):
            composed = {job: self._complete(job) for job in batch}
            results = self._launch({numbers[job.folder]: one for job, one in composed.items() if one is not None})
            request.failed.update(
                job.folder for job, one in composed.items() if one is None or _has_failed(results[numbers[job.folder]])
            )
            self._left = missing(self._left, request.folder)
        if self._left and not request.failed:
            write(f"{_count(self._left)} left after {request.hours:g} hours; the same command goes on with them")

    def _complete(self, job: Job) -> list[str] | None:
        """Return the overrides of a run; None, and the reason on the screen, if its trunk's cannot be completed."""
        try:
            return _overrides(job, self._request.folder)
        except SettingError as error:
            write(f"{self._request.folder / job.folder}: failed: {error}")
            return None

    def _launch(self, overrides: Mapping[int, list[str]]) -> Mapping[int, JobReturn]:
        if not overrides:
            return {}
        try:
            return self._launcher.launch_numbered(overrides, len(self._request.jobs))  # pyright: ignore[reportAttributeAccessIssue]
        except BaseException as error:
            if (stopped := interruption(error)) is not None:
                stopped.advice = ADVICE
            raise

    def _next(self, elapsed: float) -> list[Job]:
        """Return the runs that are started next: those that fit into the time that is left, if time is limited."""
        request, chosen = self._request, list[Job]()
        for job in self._ready():
            if len(chosen) >= self._batch:
                break
            if request.hours is not None:
                together = estimate_hours([*chosen, job], request.paces) / self._at_once
                longest = max(estimate_hours([one], request.paces) for one in [*chosen, job])
                if elapsed / 3600 + max(together, longest) > request.hours:
                    break
            chosen.append(job)
        return chosen

    def _ready(self) -> Iterator[Job]:
        left = {job.folder for job in self._left}
        for job in self._left:
            if job.folder not in self._request.failed and job.trunk not in left:
                yield job


def _count(jobs: Sequence[Job]) -> str:
    return "1 run is" if len(jobs) == 1 else f"{len(jobs)} runs are"


def _at_once(launcher: str, settings: Any) -> float:
    """Return how many runs a launcher runs at the same time; infinity for a cluster, which has a queue of its own."""
    if launcher == "basic":
        return 1
    if launcher not in _LOCAL:
        return math.inf
    most = settings.get("n_jobs", -1)
    return most if most > 0 else simultaneous(settings.get("threads") or known_threads())


def _numbers(jobs: Sequence[Job], folder: Path) -> dict[str, int]:
    """Return the numbers of the runs by folder: the recorded ones, and the next free ones for others."""
    recorded = {name: number for number, name in read_folders(folder).items()}
    free = max(recorded.values(), default=-1) + 1
    new = (job.folder for job in jobs if job.folder not in recorded)
    return recorded | {name: number for number, name in enumerate(new, free)}


def _overrides(job: Job, folder: Path) -> list[str]:
    """Return the overrides of a run, those that its trunk recorded included."""
    settings = [quote(one) for one in job.settings]
    if job.trunk is not None:
        completed = branched_arguments(["-m", f"branch.of={quoted(str(folder / job.trunk))}", *settings])
        settings = [one for one in settings_among(completed) if not override_key(one).startswith("hydra")]
    return [*settings, "resume=auto", f"{NAME_KEY}={quoted(job.folder)}"]


def _has_failed(result: JobReturn) -> bool:
    """Return whether a run failed; raise what ends the study: others would fail for the same reason."""
    value = result._return_value  # the public property prints an error, which was printed before
    expected = (SettingError, LotteryError, JobError)
    if isinstance(value, (ResumableError, InUseError)):
        raise value
    if isinstance(value, BaseException) and not isinstance(value, expected):
        raise value
    return isinstance(value, BaseException)
