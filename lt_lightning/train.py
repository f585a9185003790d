"""Run a lottery: `python -m lt_lightning.train +experiment=NAME [key=value …] [-m]`."""

from __future__ import annotations

from lt_lightning.runtime.arguments import start_program, start_training

start_training(__name__, "lt_lightning.train")

import logging
import math
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from lt_lightning.config.tracking_rules import check_monitors
from lt_lightning.config.typed_paths import typed_in
from lt_lightning.errors import InUseError, ResumableError, SettingError
from lt_lightning.experiment.branch.trunk import read_trunk
from lt_lightning.experiment.hydra_main import fail, hide_progress_bars_in_pipes, keeps_tracebacks, run_hydra
from lt_lightning.experiment.interpolations import filled_in
from lt_lightning.experiment.resume.automatic import find_resume
from lt_lightning.experiment.resume.compare import describe_stop, how_to_go_on, near
from lt_lightning.experiment.start_run import find_launch, goes_on, start_run
from lt_lightning.experiment.transfer.fitting import read_ticket
from lt_lightning.lottery.settings import LotteryError
from lt_lightning.runs.objective import objective_value
from lt_lightning.runs.reading import read_run
from lt_lightning.runtime.job import Job, Launch
from lt_lightning.runtime.signals import interruption, stop_if_asked
from lt_lightning.runtime.terminal import CLOSED
from lt_lightning.search.trial import find_trial

if TYPE_CHECKING:
    from omegaconf import DictConfig


log = logging.getLogger(__name__)


def task(composed: DictConfig) -> float:
    """Run one job, and return its objective, for a sweeper.

    The configuration is checked and the corpus loaded before torch is imported.
    """
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode
    from omegaconf import OmegaConf

    from lt_lightning.config.validation import read_config

    hydra = HydraConfig.get()
    in_sweep = hydra.mode == RunMode.MULTIRUN
    run, start = Path(hydra.runtime.output_dir), Path(hydra.runtime.cwd)
    has_moved = Path.cwd() != start  # by hydra.job.chdir=true
    run = run if has_moved else near(run)
    launch = Launch()
    try:
        stop_if_asked()
        # A launcher may have started this job where, unlike in the process that started the sweep, jobs are repeated.
        composed.resume = find_resume(composed.resume, hydra.overrides.task, os.environ)
        config = read_config(composed)
        config = typed_in(start, config) if has_moved else config
        launch = find_launch(config.trainer, os.environ)
        hide_progress_bars_in_pipes()
        verbose = hydra.verbose  # true, or a name, or a list of names
        logs = {
            "job_logging": OmegaConf.to_container(hydra.job_logging, resolve=True),
            "verbose": list(verbose) if OmegaConf.is_list(verbose) else verbose,
        }
        trial = find_trial(hydra)
        job = Job(config, run, filled_in(hydra.overrides.task), logs, trial=trial)
        if (in_sweep or config.resume is not None) and not goes_on(job):
            # Refuse at once; `prepare_run` does so for a single new run.
            check_monitors(config)
            read_ticket(config)
            read_trunk(config)
        start_run(job, launch)
        # Rank 0 may still be writing, and it alone returns to a sweeper.
        return objective_value(read_run(run)) if launch.rank == 0 else math.nan
    except BaseException as error:
        if (stopped := interruption(error)) is not None:
            log.info("stopped by %s", stopped.signal.name)
            stopped.folder = Path(hydra.sweep.dir) if in_sweep else run
            stopped.advice = how_to_go_on(stopped.folder, start)
            stopped.goes_on = composed.resume is not None
            raise stopped from None
        if isinstance(error, BrokenPipeError):
            error = ResumableError(CLOSED)
        if not isinstance(error, (SettingError, LotteryError)):
            raise
        message = describe_stop(error, run, start)
        # At INFO the traceback goes to the log alone: the terminal shows warnings and worse.
        log.info("stopped: %s", message, exc_info=error)
        if in_sweep:
            raise _same_kind(error)(message) from error  # the other jobs of the sweep go on
        if keeps_tracebacks():
            raise
        fail(message, speak=launch.rank == 0)


def _same_kind(error: SettingError | LotteryError) -> type[SettingError]:
    """Return the kind of an error that a search tells from others: the trial goes on, or it has failed."""
    return next((kind for kind in (ResumableError, InUseError) if isinstance(error, kind)), SettingError)


if __name__ == "__main__":
    sys.exit(start_program(lambda: run_hydra(task)))
