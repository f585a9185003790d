"""Start a run, or go on with it: in this process, or in several."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from contextlib import nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING

from lt_lightning.config.quoting import escape
from lt_lightning.experiment.loading import load
from lt_lightning.experiment.resume.compare import check_same, describe_before, is_begun, is_complete
from lt_lightning.experiment.transfer.fitting import read_ticket
from lt_lightning.runs.rounds import Standing, find_standing
from lt_lightning.runtime.fast_import import load_lightning
from lt_lightning.runtime.job import Job, Launch
from lt_lightning.runtime.terminal import write
from lt_lightning.storage.lock import hold

if TYPE_CHECKING:
    from lt_lightning.data.corpus import Corpus
    from lt_lightning.data.own_corpus import OwnCorpus
    from lt_lightning.data.sources.pairs import PairCorpus

log = logging.getLogger(__name__)


def start_run(job: Job, launch: Launch) -> None:
    """Load the data and play the rounds, in as many processes as the settings ask for.

    Args:
        job: the run; it goes on where it stopped if its settings have `resume` and its directory holds a run.
        launch: how its processes are started.

    Raises:
        SettingError: if the data, the network and the settings do not fit together, or another process holds the run.
        LotteryError: if the network and the pruning settings do not fit.
    """
    corpus = load(job.config)
    if job.config.embedding is not None:
        from lt_lightning.data.glove import find_vectors

        find_vectors(job.config.embedding)  # downloads, or raises before torch is loaded
    is_writer = launch.rank == 0
    with hold(job.run) if is_writer else nullcontext():
        if goes_on(job):
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


def goes_on(job: Job) -> bool:
    """Whether the run has begun before; of a sweep that goes on, some jobs may never have started."""
    return job.config.resume is not None and is_begun(job.run)


def _is_over(job: Job, corpus: Corpus | PairCorpus | OwnCorpus, is_writer: bool) -> bool:
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
