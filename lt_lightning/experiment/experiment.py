"""Run an experiment from its settings to its report: data, network, rounds, records."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytorch_lightning as pl
from lightning_fabric.plugins.environments.cluster_environment import ClusterEnvironment
from pytorch_lightning.utilities import rank_zero_only

from lt_lightning.callbacks import PruningCallback
from lt_lightning.config.schema import Config
from lt_lightning.data.batches import check_rows
from lt_lightning.data.corpus import Corpus
from lt_lightning.data.own_corpus import OwnCorpus
from lt_lightning.data.sources.pairs import PairCorpus
from lt_lightning.experiment.disk_space import estimate, report_use
from lt_lightning.experiment.examples import check_prompt
from lt_lightning.experiment.own_encoder import require_weights
from lt_lightning.experiment.plan import make_plan
from lt_lightning.experiment.precision import as_recorded
from lt_lightning.experiment.progress import RoundsDisplay, Screen
from lt_lightning.experiment.resume.compare import check_free, describe_before, how_to_draw
from lt_lightning.experiment.resume.restore import require_origin, resume_description
from lt_lightning.experiment.round import run_round
from lt_lightning.experiment.round_checkpoint import drop_checkpoints
from lt_lightning.experiment.run_base import RunBase
from lt_lightning.experiment.start_run import find_launch
from lt_lightning.experiment.stopping import Watch
from lt_lightning.experiment.subject import build_subject, load_data
from lt_lightning.experiment.summary import describe, summarize
from lt_lightning.experiment.tracking import (
    closed_on_error,
    finish_tracking,
    loggers_of,
    open_tracking,
    steps_before,
    values_of_round,
)
from lt_lightning.experiment.trainer import find_environment, with_callbacks
from lt_lightning.experiment.transfer.starting import find_start
from lt_lightning.lottery import LayerCollapseWarning, derive_seed
from lt_lightning.report.run import draw_report
from lt_lightning.runs.description import Description, now, write_description
from lt_lightning.runs.records import Record
from lt_lightning.runs.rounds import PlayedRound, find_standing, set_aside_rounds, write_round, write_tables
from lt_lightning.runs.winners import drop_tickets
from lt_lightning.runtime.terminal import write
from lt_lightning.search.trial import TrialPlace
from lt_lightning.storage.atomic import writing_to
from lt_lightning.storage.lock import STATE

log = logging.getLogger(__name__)


def run_experiment(
    config: Config,
    corpus: Corpus | PairCorpus | OwnCorpus,
    run: Path,
    command: Sequence[str],
    *,
    resuming: bool = False,
    environment: ClusterEnvironment | None = None,
    trial: TrialPlace | None = None,
) -> None:
    """Run all rounds that are not on disk yet, and write the run directory.

    Each round, and each epoch, is on disk before the next begins, so that an interruption loses nothing.

    Args:
        config: the settings.
        corpus: the data.
        run: the run directory.
        command: the overrides on the command line, for the record.
        resuming: resume the run in the directory; otherwise it must hold none.
        environment: describes the processes that a supervisor has started; `rank_zero_only.rank` is set.
        trial: the trial of a search that the run is, if it is one; the search may stop it after a round.

    Raises:
        SettingError: the data, the model and the settings do not fit together, a loss is not finite, or a file cannot
            be written.
        LotteryError: the network and the pruning settings do not fit.
    """
    if environment is None:
        launch = find_launch(config.trainer, os.environ)
        environment = find_environment(launch)
        rank_zero_only.rank = launch.rank  # pyright: ignore[reportFunctionMemberAccess]
    # Lightning's own value comes from the environment's variables, which may be another launcher's.
    is_writer = rank_zero_only.rank == 0  # pyright: ignore[reportFunctionMemberAccess]
    data = load_data(config, corpus, run)
    pl.seed_everything(derive_seed(config.seed, "network"), verbose=False)
    subject = build_subject(config, data)
    hush(deals_rows=subject.judged is None)
    check_prompt(config.model, data)
    played: list[PlayedRound] = list(find_standing(run).rounds) if resuming else []
    encoder = getattr(data, "encoder", None)
    # Once round 0 is over, the run's own tickets have all that is needed; a branch begins with its trunk's.
    if not played and config.branch.of is None:
        require_weights(encoder)
    start, origin = (None, None) if played else find_start(config, subject.network, data.words)
    before = describe_before(run)[0] if resuming else None
    precise = with_callbacks(as_recorded(config, None if before is None else before.precision))
    plan = make_plan(precise, run, subject, start, environment, resuming=resuming)
    description = plan.describe(describe(config, subject, command, run, environment, origin))
    made_by = {"config": description.config.values, "fingerprint": description.corpus.fingerprint}
    check_rows(data.rows, description.processes or 1)
    if before is not None:
        if origin is not None:
            require_origin(run, before)
        description, remarks = resume_description(before, description)
        for remark in remarks if is_writer else ():
            log.warning(remark)
    if is_writer and not resuming:
        check_free(run)
    plan.prepare(played)
    upcoming, room = plan.rounds[len(played) :], ""
    if is_writer and upcoming:
        use = estimate(
            config, subject.network, plan.expect(played), subject.tokenizer, rewinds=plan.rewinds, is_begun=bool(played)
        )
        room = report_use(run, use)
    tracking = open_tracking(config, run, description, played, is_writer=is_writer)
    with closed_on_error(tracking):
        if is_writer:
            with writing_to(run):
                following = upcoming[0] if upcoming else plan.rounds[-1] + 1
                set_aside_rounds(run, first=following)
                drop_checkpoints(run / STATE, keep=following if resuming else None)
                if not resuming:
                    plan.write()
                for one in played:
                    plan.finish(one.record.round)
                (run / "report.html").unlink(missing_ok=True)  # it shows fewer rounds; `is_complete` looks for it
                if encoder is not None:
                    encoder.keep(run)
                write_description(run, description)
                write_tables(run, played)
                _drop_tickets(run, config, played, description)
        watch = Watch(config, trial, is_writer, plan.rounds[-1])
        base = RunBase(run, subject.tokenizer, None if played else plan.rounds[0])
        console = Screen(highlight=False, quiet=not is_writer)
        metric = description.metric_for(_compared(played, description))
        lines = (summarize(config, data, description), room, *tracking.places)
        title, epochs = "\n".join(filter(None, lines)), config.trainer.max_epochs
        with RoundsDisplay(title, plan.rounds[-1], epochs, console, metric=metric, plan=description.plan) as display:
            loggers = loggers_of(config, run, tracking, is_writer=is_writer)
            display.show_earlier([one.record for one in played])
            for round in upcoming:
                if watch.is_hopeless(description, _compared(played, description)):
                    display.say(f"  {watch.line}")
                    break
                display.begin_round()
                pruning, alive = plan.begin(round), plan.before(played)
                watching = tracking.follow_round(round, steps_before(played), partial(_density, pruning))
                one = run_round(
                    precise, run, round, subject, pruning, display, environment, alive, base, loggers, watching
                )
                played.append(replace(one, settings=made_by))
                if is_writer:
                    with writing_to(run):
                        write_round(run, played[-1])
                        write_tables(run, played)
                        drop_checkpoints(run / STATE)
                        plan.finish(round)
                        _drop_tickets(run, config, played, description)
                tracking.end_round(values_of_round(played))
                display.show_round(played[-1].record)
                if played[-1].record.collapsed:
                    dead = ", ".join(one.parameter for one in played[-1].layers if not one.alive and len(one.shape) > 1)
                    display.say(
                        f"  layer collapse: no entry of {dead} is alive, so that nothing passes through; "
                        "prune less, or use pruning.scope=layerwise or erk"
                    )
                if subject.task.shows_rounds:
                    display.say("\n".join(f"  sample: {one.given}{one.answer}" for one in played[-1].examples))
        watch.is_hopeless(description, _compared(played, description))  # the last value, after which nothing is stopped
        if is_writer:
            display.show_parameters(played[-1].layers)
            with writing_to(run):
                finished = (None if upcoming or before is None else before.finished) or now()
                write_description(run, replace(description, finished=finished, stopped=watch.line))
            write("", f"report: {draw_report(run) if config.report else how_to_draw(run)}")
            finish_tracking(tracking, config, run, _compared(played, description), description)


def _density(pruning: PruningCallback) -> float:
    return 1 - pruning.mask.sparsity


def _drop_tickets(run: Path, config: Config, played: Sequence[PlayedRound], description: Description) -> None:
    compared = _compared(played, description)
    if compared:
        records, keep = [one.record for one in played], config.tickets.keep.value
        drop_tickets(run, records, compared[0], keep, description.metric_for(compared))


def _compared(played: Sequence[PlayedRound], description: Description) -> list[Record]:
    """Return the full network that tickets are compared with, if it is known, and behind it the other rounds."""
    branch = description.branch
    return [*([] if branch is None else [branch.full]), *(one.record for one in played)]


def hush(*, deals_rows: bool) -> None:
    """Silence Lightning's advice that does not apply; with `deals_rows`, this package deals rows among processes."""
    advice = [
        ".*LeafSpec.* is deprecated.*",  # between Lightning and torch
        ".*The `srun` command is available.*",  # the settings determine the number of processes
        ".*smaller than the logging interval.*",  # epochs are logged anyway
    ]
    if deals_rows:
        advice += [
            ".*does not have many workers.*",  # the texts are in memory already
            ".*it is recommended to use `Trainer.devices=1.*",  # each row is dealt out once, none is padded
            ".*recommended to use `self.log.*sync_dist=True.*",  # the logged metrics are synchronised already
        ]
    for one in advice:
        warnings.filterwarnings("ignore", message=one)
    warnings.filterwarnings("ignore", category=LayerCollapseWarning)  # a line of the round says it
