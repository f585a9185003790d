"""Start or resume a run: load its data, and train in this process or in several. Imports no torch until then."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from contextlib import nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING

from lt_lightning.config.interpolation import escape
from lt_lightning.config.sources import CustomData, DataKind
from lt_lightning.data.own_corpus import describe_own
from lt_lightning.data.vector_files import find_vectors
from lt_lightning.experiment.resume.compare import check_same, describe_before, is_begun, is_complete
from lt_lightning.experiment.transfer.fitting import read_ticket
from lt_lightning.runs.rounds import find_standing
from lt_lightning.runtime.fast_import import load_lightning
from lt_lightning.runtime.job import Job, Launch
from lt_lightning.runtime.terminal import write
from lt_lightning.storage.lock import hold

if TYPE_CHECKING:
    from lt_lightning.config.schema import Config
    from lt_lightning.data.corpus import Corpus
    from lt_lightning.data.own_corpus import OwnCorpus
    from lt_lightning.data.sources.pairs import PairCorpus

log = logging.getLogger(__name__)


def start_run(job: Job, launch: Launch) -> None:
    """Load the data and run the rounds, in as many processes as the settings ask for.

    Args:
        job: the run; it resumes if its settings have `resume` and its directory holds a run.
        launch: how its processes are started.

    Raises:
        SettingError: the data, the network and the settings do not fit together, or another process holds the run.
        LotteryError: the network and the pruning settings do not fit.
    """
    corpus = load(job.config)
    if job.config.embedding is not None:
        find_vectors(job.config.embedding)  # download them, or refuse at once
    is_writer = launch.rank == 0
    with hold(job.run) if is_writer else nullcontext():
        if goes_on(job):
            if _is_over(job, corpus, is_writer):
                return
            job = replace(job, resuming=True)
        if launch.start:
            from lt_lightning.runtime.launcher import supervise

            del corpus  # each process reads it again, from the cache
            supervise(job, launch.start)
        else:
            load_lightning()
            from lt_lightning.experiment.experiment import run_experiment

            run_experiment(job.config, corpus, job.run, job.command, resuming=job.resuming)


def goes_on(job: Job) -> bool:
    """Return whether the run has begun before; of a resumed sweep, some jobs may never have started."""
    return job.config.resume is not None and is_begun(job.run)


def _is_over(job: Job, corpus: Corpus | PairCorpus | OwnCorpus, is_writer: bool) -> bool:
    """Check that a run can resume, log its damages, and return whether it is complete."""
    standing = find_standing(job.run)
    check_same(job.run, job.config, dict(corpus.fingerprints), standing)
    where = f"after round {standing.rounds[-1].record.round}" if standing.rounds else "from the beginning"
    for damage in filter(None, (describe_before(job.run)[1], *standing.damages)):
        log.warning("%s; going on %s", damage, where)
    if not standing.rounds:
        read_ticket(job.config)
    if not is_complete(job.run, job.config, standing):
        return False
    last = job.config.pruning.rounds
    done = f"rounds 0 to {last} are" if last else "round 0 is"
    if is_writer:
        write(f"{job.run}: nothing to do, {done} done; to go on, give more pruning.rounds")
    return True


def filled_in(overrides: Iterable[str]) -> tuple[str, ...]:
    r"""Return the overrides of a job, for a command that repeats it: interpolations were resolved by Hydra.

    A `${` that is left was escaped before, and is escaped again.

    >>> print(*filled_in(["seed=1", "data.path=a${b}"]))
    seed=1 data.path=a\${b}
    """
    return tuple(map(escape, overrides))


def load(config: Config) -> Corpus | PairCorpus | OwnCorpus:
    """Load the corpus and check it against the model."""
    if isinstance(config.data, CustomData):
        return describe_own(config.data)
    from lt_lightning.data.corpus import load_corpus
    from lt_lightning.data.sources.pairs import load_pairs

    check_strings(config)
    corpus = load_pairs(config.data, config.seed) if config.data.kind.is_pairs else load_corpus(config.data)
    config.model.check_sizes(len(corpus.class_names), len(corpus.class_names))
    return corpus


def check_strings(config: Config) -> None:
    """Raise a `SettingError` if pairs of strings, given or drawn, are invalid."""
    data = config.data
    if isinstance(data, CustomData) or not data.kind.is_pairs:
        return
    from lt_lightning.data.sources.pairs import check_equal_lengths, find_alphabet  # imports NumPy

    letters = len(find_alphabet(data))
    if data.kind is DataKind.pairs and config.model.name == "tagger":
        check_equal_lengths(data.pairs)
    config.model.check_sizes(letters, letters)
