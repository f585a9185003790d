"""Run the missing runs of a study by Hydra's launcher. A study that was stopped goes on with the same command."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lt_lightning.errors import InUseError, ResumableError, SettingError
from lt_lightning.experiment.branch.command import branched_arguments
from lt_lightning.experiment.folders import NAME_KEY, read_folders
from lt_lightning.experiment.resume.command import override_key, settings_among
from lt_lightning.launchers.surroundings import count_cores
from lt_lightning.lottery.settings import LotteryError
from lt_lightning.runtime.signals import interruption
from lt_lightning.runtime.terminal import write
from lt_lightning.study.jobs import Job, is_done
from lt_lightning.study.plan import Pace, estimate_hours, missing

if TYPE_CHECKING:
    from hydra.core.utils import JobReturn
    from hydra.types import HydraContext, TaskFunction
    from omegaconf import DictConfig

ADVICE = "start the same command again: it goes on with what is missing"
"""How to go on with a study that was stopped."""

_LOCAL = ("joblib", "ray", "submitit_local")
"""Launchers that run as many jobs at the same time as this machine has cores."""

_JOBS_A_CORE = 4
"""Runs in a batch of a local launcher, by core: more leave cores idle less often, fewer keep seeds together."""


@dataclass(frozen=True)
class Request:
    """What the command line of a study asks for.

    Attributes:
        jobs: all runs of the study.
        folder: the study's folder.
        hours: how long runs may be started; None for as long as there are some.
        paces: how long an epoch takes, by corpus; needed for `hours`.
    """

    jobs: Sequence[Job]
    folder: Path
    hours: float | None = None
    paces: dict[str, Pace] | None = None


requested: ContextVar[Request] = ContextVar("what the command line of a study asks for")
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
        self._batch = _batch_size(str(config.hydra.runtime.choices.get("hydra/launcher")))
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
            SettingError: runs have failed, each with its own message before.
            ResumableError: a run could not go on, such as on a full disk.
        """
        request, began = self._request, time.monotonic()
        numbers = _numbers(request.jobs, request.folder)
        failed: set[str] = set()
        while batch := self._next(failed, time.monotonic() - began):
            overrides = {numbers[job.folder]: _overrides(job, request.folder) for job in batch}
            try:
                results = self._launcher.launch_numbered(overrides, len(request.jobs))  # pyright: ignore[reportAttributeAccessIssue]
            except BaseException as error:
                if (stopped := interruption(error)) is not None:
                    stopped.advice = ADVICE
                raise
            for job in batch:
                if _has_failed(results[numbers[job.folder]]):
                    failed.add(job.folder)
        if failed:
            raise SettingError(
                f"{len(failed)} runs of the study failed, each for the reason above; correct it, and start the same "
                "command again"
            )
        if left := missing(request.jobs, request.folder):
            write(f"{len(left)} runs are left after {request.hours:g} hours; the same command goes on with them")

    def _next(self, failed: set[str], elapsed: float) -> list[Job]:
        """Return the runs that are started next: those that fit into the time that is left, if time is limited."""
        request, chosen = self._request, list[Job]()
        for job in self._ready(failed):
            if self._batch is not None and len(chosen) == self._batch:
                break
            if request.hours is not None and request.paces is not None:
                at_once = 1 if self._batch == 1 else count_cores()
                if elapsed / 3600 + estimate_hours([*chosen, job], request.paces) / at_once > request.hours:
                    break
            chosen.append(job)
        return chosen

    def _ready(self, failed: set[str]) -> Iterator[Job]:
        folder = self._request.folder
        for job in missing(self._request.jobs, folder):
            if job.folder not in failed and (job.trunk is None or is_done(folder / job.trunk)):
                yield job


def _batch_size(launcher: str) -> int | None:
    """Return how many runs are handed to a launcher at a time; None for all: a cluster has its own queue."""
    if launcher in _LOCAL:
        return _JOBS_A_CORE * count_cores()
    return 1 if launcher == "basic" else None


def _numbers(jobs: Sequence[Job], folder: Path) -> dict[str, int]:
    """Return the numbers of the runs by folder: the recorded ones, and the next free ones for others."""
    recorded = {name: number for number, name in read_folders(folder).items()}
    free = max(recorded.values(), default=-1) + 1
    new = (job.folder for job in jobs if job.folder not in recorded)
    return recorded | {name: number for number, name in enumerate(new, free)}


def _overrides(job: Job, folder: Path) -> list[str]:
    """Return the overrides of a run, those that its trunk recorded included."""
    settings = list(job.settings)
    if job.trunk is not None:
        completed = branched_arguments(["-m", f"branch.of={folder / job.trunk}", *settings])
        settings = [one for one in settings_among(completed) if not override_key(one).startswith("hydra")]
    return [*settings, "resume=auto", f"{NAME_KEY}={job.folder}"]


def _has_failed(result: JobReturn) -> bool:
    """Return whether a run failed by a mistake of the user's; raise what ends the study."""
    value = result._return_value  # the public property prints an error, which was printed before
    if isinstance(value, (ResumableError, InUseError)):
        raise value
    if isinstance(value, BaseException) and not isinstance(value, (SettingError, LotteryError)):
        raise value
    return isinstance(value, BaseException)
