"""Run a lottery: `python -m lt_lightning.train +experiment=NAME [key=value …] [-m]`."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lt_lightning.config.interpolation import escape
from lt_lightning.config.messages import describe_error
from lt_lightning.config.typed_paths import typed_in
from lt_lightning.data.vector_files import find_vectors
from lt_lightning.errors import ResumableError, SettingError
from lt_lightning.experiment.hydra_main import fail, hide_progress_bars_in_pipes, keeps_tracebacks, run_hydra
from lt_lightning.experiment.launch import find_launch
from lt_lightning.experiment.loading import load
from lt_lightning.experiment.resume.compare import (
    check_same,
    describe_before,
    how_to_go_on,
    is_begun,
    is_complete,
    near,
)
from lt_lightning.experiment.transfer.fitting import read_ticket
from lt_lightning.lottery.settings import LotteryError
from lt_lightning.runs.rounds import Standing, find_standing
from lt_lightning.runtime.arguments import start_program
from lt_lightning.runtime.fast_import import load_lightning
from lt_lightning.runtime.job import Job, Launch
from lt_lightning.runtime.signals import interruption, stop_if_asked
from lt_lightning.runtime.terminal import CLOSED, write
from lt_lightning.storage.lock import hold

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from lt_lightning.data.corpus import Corpus
    from lt_lightning.data.sources.pairs import PairCorpus

log = logging.getLogger(__name__)


def task(composed: DictConfig) -> None:
    """One run: check the configuration, read the corpus, and only then load what is heavy and play the rounds."""
    from hydra.core.hydra_config import HydraConfig
    from hydra.types import RunMode

    from lt_lightning.config.validation import read_config

    hydra = HydraConfig.get()
    in_sweep = hydra.mode == RunMode.MULTIRUN
    run, start = Path(hydra.runtime.output_dir), Path(hydra.runtime.cwd)
    has_moved = Path.cwd() != start  # by hydra.job.chdir=true
    run = run if has_moved else near(run)
    launch = Launch()
    try:
        stop_if_asked()
        config = read_config(composed)
        config = typed_in(start, config) if has_moved else config
        launch = find_launch(config.trainer, os.environ)
        hide_progress_bars_in_pipes()
        logs = {key: _plain(getattr(hydra, key)) for key in ("job_logging", "verbose")}
        job = Job(config, run, filled_in(hydra.overrides.task), logs)
        if (in_sweep or config.resume is not None) and not _goes_on(job):
            read_ticket(config)  # says at once what is wrong with it; of a run alone it is said before it begins
        _run(job, launch)
    except BaseException as error:
        if (stopped := interruption(error)) is not None:
            log.info("stopped by %s", stopped.signal.name)
            stopped.advice = how_to_go_on(Path(hydra.sweep.dir) if in_sweep else run, start)
            raise stopped from None
        if isinstance(error, BrokenPipeError):
            error = ResumableError(CLOSED)
        if not isinstance(error, (SettingError, LotteryError)):
            raise
        message = describe_error(error)
        if isinstance(error, ResumableError) and is_begun(run):
            message = f"{message}; {how_to_go_on(run, start)}"
        # At INFO the traceback goes to the log alone: the terminal shows warnings and worse.
        log.info("stopped: %s", message, exc_info=error)
        if in_sweep:
            log.warning("job %s: %s", hydra.job.num, message)
            raise SettingError(message) from error  # the other jobs of the sweep go on
        if keeps_tracebacks():
            raise
        fail(message, speak=launch.rank == 0)


def _run(job: Job, launch: Launch) -> None:
    """Read the data, and play the rounds in as many processes as are asked for."""
    corpus = load(job.config)
    find_vectors(job.config.embedding)  # fetches, or says what is missing, at once
    is_writer = launch.rank == 0
    with hold(job.run) if is_writer else nullcontext():
        if _goes_on(job):
            if _is_over(job, corpus, is_writer):
                return
            job = replace(job, resuming=True)
        if launch.start:
            from lt_lightning.runtime.launcher import supervise

            del corpus  # each process reads it again, from the cache that is warm by now
            supervise(job, launch.start)
        else:
            load_lightning()
            from lt_lightning.experiment.experiment import run_experiment

            run_experiment(job.config, corpus, job.run, job.command, resuming=job.resuming)


def _goes_on(job: Job) -> bool:
    """Whether the run has begun before; of a sweep that goes on, some jobs may never have started."""
    return job.config.resume is not None and is_begun(job.run)


def _is_over(job: Job, corpus: Corpus | PairCorpus, is_writer: bool) -> bool:
    """Check that a run can go on as it is asked to, say what is damaged, and whether nothing is left to do."""
    standing = find_standing(job.run)
    check_same(job.run, job.config, dict(corpus.fingerprints), standing)
    for damage in filter(None, (describe_before(job.run)[1], *standing.damages)):
        log.warning("%s; going on %s", damage, _where(standing))
    if not standing.rounds:
        read_ticket(job.config)
    if is_complete(job.run, job.config, standing):
        last = job.config.pruning.rounds
        done = f"rounds 0 to {last} are" if last else "round 0 is"
        if is_writer:
            write(f"{job.run}: nothing to do, {done} done; to go on, give more pruning.rounds")
        return True
    return False


def _where(standing: Standing) -> str:
    return f"after round {standing.rounds[-1].record.round}" if standing.rounds else "from the beginning"


def filled_in(overrides: Iterable[str]) -> tuple[str, ...]:
    r"""The overrides of a job, for a command that runs it again at any time: what stood for a value is that value.

    What looks like an interpolation now was escaped before, and is escaped again.

    Args:
        overrides: the job's list in Hydra's configuration, which fills in each that it hands out.

    >>> print(*filled_in(["seed=1", "data.path=a${b}"]))
    seed=1 data.path=a\${b}
    """
    return tuple(map(escape, overrides))


def _plain(setting: Any) -> Any:
    """A setting of Hydra's without what makes it part of a configuration."""
    from omegaconf import OmegaConf

    return OmegaConf.to_container(setting, resolve=True) if OmegaConf.is_config(setting) else setting


if __name__ == "__main__":
    sys.exit(start_program(lambda: run_hydra(task)))
