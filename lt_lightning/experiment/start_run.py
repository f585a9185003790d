"""Start or resume a run: load its data, and train in one process or in several. Imports no torch before."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from lt_lightning.config.schema import Config, TrainerConfig
from lt_lightning.config.sources import CustomData, DataKind
from lt_lightning.config.trackers import require_packages
from lt_lightning.data.own_corpus import OwnCorpus, describe_own
from lt_lightning.errors import SettingError
from lt_lightning.experiment.branch.trunk import check_corpus
from lt_lightning.experiment.own_encoder import find_own_encoder
from lt_lightning.experiment.resume.compare import check_same, describe_before, is_begun, is_complete
from lt_lightning.experiment.tracker_record import find_unfinished
from lt_lightning.experiment.transfer.fitting import read_ticket
from lt_lightning.runs.formatting import name_rounds
from lt_lightning.runs.rounds import find_standing
from lt_lightning.runtime.fast_import import load_lightning
from lt_lightning.runtime.job import Job, Launch, Place, find_launcher, find_rank
from lt_lightning.runtime.terminal import write
from lt_lightning.storage.lock import hold

if TYPE_CHECKING:
    from lt_lightning.data.corpus import Corpus
    from lt_lightning.data.sources.pairs import PairCorpus


log = logging.getLogger(__name__)


def start_run(job: Job, launch: Launch) -> None:
    """Load the data and run the rounds, in as many processes as the settings ask for.

    Args:
        job: the run; it resumes if its settings have `resume`, a folder or `auto`, and its directory holds a run.
        launch: how its processes are started.

    Raises:
        SettingError: the data, the network and the settings do not fit together, or another process holds the run.
        LotteryError: the network and the pruning settings do not fit.
    """
    require_packages(job.config.logger)
    if (encoder := find_own_encoder(job.config, job.run)) is not None:  # downloads, or raises before torch is loaded
        encoder.read_tokenizer(encoder.max_length(job.config.data.max_length), job.config.model.pooling)
    corpus = load(job.config)
    if job.config.embedding is not None:
        from lt_lightning.data.glove import find_vectors

        find_vectors(job.config.embedding)  # downloads, or raises before torch is loaded
    is_writer = launch.rank == 0
    with hold(job.run) if is_writer else nullcontext():
        if not goes_on(job):
            check_corpus(job.config, corpus.fingerprints)
        else:
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

            run_experiment(job.config, corpus, job.run, job.command, resuming=job.resuming, trial=job.trial)


def goes_on(job: Job) -> bool:
    """Return whether the run has begun before; of a resumed sweep, some jobs may never have started.

    Of several processes that a launcher starts with `resume=auto`, one may ask after the first has written `run.json`.
    It reads what that process has just written, since no round is recorded before all of them have met.
    """
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
    if names := find_unfinished(job.run, job.config):
        if is_writer:
            write(f"{job.run}: all rounds are done; sending them to {', '.join(names)}")
        return False
    numbers = [one.record.round for one in standing.rounds]
    done = f"round{'s' * (len(numbers) > 1)} {name_rounds(numbers)} {'are' if len(numbers) > 1 else 'is'} done"
    more = "" if job.config.branch.of is not None else "; to go on, give more pruning.rounds"
    if is_writer:
        write(f"{job.run}: nothing to do, {done}{more}")
    return True


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


def find_launch(trainer: TrainerConfig, environ: Mapping[str, str]) -> Launch:
    """Return how the processes of a run are started, and the rank of this one.

    The settings determine the number of processes: `srun -n 4` starts one run of four processes, or four runs of one,
    which ignore the launcher's variables. A single process of a distributed strategy is started, too, so that its
    process group and the variables that Lightning sets end with it.

    Raises:
        SettingError: the run spans machines without a launcher, or Lightning refuses the settings.
    """
    nodes = trainer.num_nodes or 1
    launcher = find_launcher(environ)
    if nodes > 1 and launcher is None:
        raise SettingError(
            f"trainer.num_nodes: {nodes} machines need a launcher; start the run with torchrun, "
            "or under SLURM with srun, a task a device"
        )
    count = _count_processes(trainer)
    if launcher is None or max(count, 1) * nodes == 1:
        return Launch(start=count)
    return Launch(rank=find_rank(launcher, environ, max(count, 1)), launcher=launcher)


def _count_processes(trainer: TrainerConfig) -> int:
    """Return the number of processes per machine; 0 for one without a process group."""
    devices, strategy = trainer.devices, trainer.strategy or "auto"
    if isinstance(devices, str) and devices.isdecimal():
        devices = int(devices)
    if type(devices) is int and devices > 0 and isinstance(strategy, str):
        return devices if devices > 1 or strategy.lower().startswith("ddp") else 0
    return _ask_lightning(trainer)


def _ask_lightning(trainer: TrainerConfig) -> int:
    """Return the number of processes for `auto`, -1, a list of devices or a strategy object."""
    load_lightning()
    from pytorch_lightning.strategies import ParallelStrategy

    from lt_lightning.experiment.trainer import StartedProcesses, make_trainer

    # Without the user's objects, which each process makes; for one machine, whatever a launcher's variables are.
    plain = replace(trainer, callbacks=None, logger=False, plugins=None, profiler=None, num_nodes=1)
    made = make_trainer(plain, [], Path(), StartedProcesses(Place(0, 1, 0)))
    return made.num_devices if isinstance(made.strategy, ParallelStrategy) else 0
