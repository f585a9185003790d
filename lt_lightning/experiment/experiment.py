"""An experiment from its settings to its report: corpus, network, rounds, records."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytorch_lightning as pl
import torch
from lightning_fabric.plugins.environments.cluster_environment import ClusterEnvironment
from lightning_fabric.utilities.exceptions import MisconfigurationException
from pytorch_lightning.callbacks import EarlyStopping
from pytorch_lightning.utilities import rank_zero_only

from lt_lightning.callbacks import (
    AgreementCallback,
    BestWeights,
    EpochSeeds,
    FiniteLossCallback,
    PruningCallback,
)
from lt_lightning.callbacks.finite_loss import first_not_finite
from lt_lightning.callbacks.refusals import NoStepError
from lt_lightning.config.choice import values_of
from lt_lightning.config.enums import Splitter
from lt_lightning.config.schema import Config, TestOn
from lt_lightning.config.validation import lottery_settings
from lt_lightning.data.batches import check_rows, count_measured
from lt_lightning.data.corpus import Corpus
from lt_lightning.data.module import TextDataModule
from lt_lightning.data.pair_module import PairDataModule
from lt_lightning.data.sources.pairs import PairCorpus
from lt_lightning.data.tokenizer import SPECIAL_WORDS
from lt_lightning.errors import SettingError
from lt_lightning.experiment.environment import (
    find_environment,
)
from lt_lightning.experiment.examples import check_prompt, show_examples
from lt_lightning.experiment.exhaustion import check_rounds
from lt_lightning.experiment.exhaustion_callback import ExhaustionCallback
from lt_lightning.experiment.history import History
from lt_lightning.experiment.launch import find_launch
from lt_lightning.experiment.measuring import measure, watch
from lt_lightning.experiment.progress import ProgressCallback, RoundsDisplay, Screen
from lt_lightning.experiment.resume.compare import check_free, describe_before, how_to_go_on, without_resume
from lt_lightning.experiment.resume.restore import require_origin, resume_description, save_rewind_weights, take_up
from lt_lightning.experiment.round_checkpoint import RoundCheckpoint, drop_checkpoints, find_checkpoint
from lt_lightning.experiment.spelling import SpellingCallback
from lt_lightning.experiment.trainer import make_trainer
from lt_lightning.experiment.transfer.starting import find_start
from lt_lightning.lottery import Mask, Settings, Start, derive_seed, prunable_parameters
from lt_lightning.models import Learner, build_learner
from lt_lightning.models.tasks import DataModule
from lt_lightning.report.run import draw_report
from lt_lightning.runs.description import Description, describe_run, now, write_description
from lt_lightning.runs.metrics import Baseline, Metric
from lt_lightning.runs.notes import partial_note, transfer_line
from lt_lightning.runs.recorded import Origin
from lt_lightning.runs.records import ConfusionRecord, LayerRecord, Record
from lt_lightning.runs.round_ticket import RoundTicket
from lt_lightning.runs.rounds import (
    PlayedRound,
    find_standing,
    set_aside_rounds,
    ticket_path,
    write_round,
    write_tables,
)
from lt_lightning.runs.winners import drop_tickets
from lt_lightning.runtime.terminal import write
from lt_lightning.storage.atomic import writing_to
from lt_lightning.storage.lock import STATE

log = logging.getLogger(__name__)


def run_experiment(
    config: Config,
    corpus: Corpus | PairCorpus,
    run: Path,
    command: Sequence[str],
    *,
    resuming: bool = False,
    environment: ClusterEnvironment | None = None,
) -> None:
    """Play all rounds that are not on disk yet, and leave the run directory behind.

    A round is on record before the next begins, an epoch before the next begins: what is done is kept, whatever
    happens later.

    Args:
        config: what to run.
        corpus: on what.
        run: the run directory.
        command: the overrides on the command line, for the record.
        resuming: go on with the run that the directory holds; otherwise it must hold none.
        environment: which of several processes this is, if a supervisor has started them; `rank_zero_only.rank` is set.

    Raises:
        SettingError: if the data, the model and the settings do not fit together, a loss is not finite, or something
            cannot be written.
        LotteryError: if the network and the pruning settings do not fit.
    """
    if environment is None:
        launch = find_launch(config.trainer, os.environ)
        environment = find_environment(launch)
        rank_zero_only.rank = launch.rank  # pyright: ignore[reportFunctionMemberAccess]
    # Lightning took it from the environment's variables, which may be another launcher's.
    is_writer = rank_zero_only.rank == 0  # pyright: ignore[reportFunctionMemberAccess]
    _hush()
    data = load_data(config, corpus)
    pl.seed_everything(derive_seed(config.seed, "network"), verbose=False)
    learner = build_learner(
        config.model,
        config.embedding,
        config.optimizer,
        words=len(data.words),
        classes=len(data.corpus.class_names),
        vectors=data.vectors,
    )
    check_prompt(config.model, data)
    played: list[PlayedRound] = list(find_standing(run).rounds) if resuming else []
    # Once round 0 is over, all that is left of the ticket is in the run's own.
    start, origin = (None, None) if played else find_start(config, learner.network, data.words)
    settings = lottery_settings(config)
    pruning = PruningCallback(submodule="network", start=start, **vars(settings))
    description = _describe(config, data, command, learner, run, environment, origin)
    made_by = {"config": description.config.values, "fingerprint": description.corpus.fingerprint}
    check_rows(data.rows, description.processes or 1)
    if resuming:
        before = describe_before(run)[0]
        if origin is not None:
            require_origin(run, before)
        description, remarks = resume_description(before, description)
        take_up(run, played, learner.network, pruning)
        for remark in remarks if is_writer else ():
            log.warning(remark)
    if is_writer and not resuming:
        check_free(run)
    counts = _alive(learner, settings, pruning, start)
    check_rounds(counts, settings, first=max(1, len(played)), rounds=config.pruning.rounds)
    if is_writer:
        with writing_to(run):
            set_aside_rounds(run, first=len(played))
            drop_checkpoints(run / STATE, keep=len(played) if resuming else None)
            (run / "report.html").unlink(missing_ok=True)  # of fewer rounds; a run is over once there is one of all
            write_description(run, description)
            write_tables(run, played)
            _drop_tickets(run, config, played, description)
    console = Screen(highlight=False, quiet=not is_writer)
    rounds, metric = config.pruning.rounds, description.metric_for([one.record for one in played])
    title = _summary(config, data, description, metric)
    with RoundsDisplay(title, rounds, config.trainer.max_epochs, console, metric=metric) as display:
        display.show_earlier([one.record for one in played])
        for round in range(len(played), rounds + 1):
            display.begin_round()
            before = played[-1].record.alive if played else None
            one = _play_round(config, run, round, data, learner, pruning, display, environment, before)
            played.append(replace(one, settings=made_by))
            if is_writer:
                with writing_to(run):
                    write_round(run, played[-1])
                    write_tables(run, played)
                    drop_checkpoints(run / STATE)
                    _drop_tickets(run, config, played, description)
            display.show_round(played[-1].record)
            if learner.task.shows_rounds:
                display.say("\n".join(f"  sample: {one.given}{one.answer}" for one in played[-1].examples))
    if is_writer:
        display.show_parameters(played[-1].layers)
        with writing_to(run):
            write_description(run, replace(description, finished=now()))
        write("", f"report: {draw_report(run)}")


def _play_round(
    config: Config,
    run: Path,
    round: int,
    data: DataModule,
    learner: Learner,
    pruning: PruningCallback,
    display: RoundsDisplay,
    environment: ClusterEnvironment,
    before: int | None,
) -> PlayedRound:
    """Prune, rewind, train and test once, from the last epoch that was kept, and write the round's ticket.

    `before` is the number of entries alive in the round before.
    """
    data.round = round
    history, best = History(round), BestWeights()
    callbacks: list[pl.Callback] = [
        pruning,
        ExhaustionCallback(pruning, before, how_to_go_on(run)),
        AgreementCallback(),
        EpochSeeds(config.seed, round),
        history,
        ProgressCallback(display, round),
    ]
    if learner.task.shows_epochs:

        def answers() -> list[str]:
            return [one.answer for one in show_examples(learner, data, config.model, config.seed, round)]

        callbacks.append(SpellingCallback(display, history, answers))
    if config.test_on == TestOn.best:
        callbacks.insert(0, best)  # before pruning, so that the round ends with its best weights for everyone
    callbacks.insert(0, FiniteLossCallback(round))  # before all: nothing is to be made of a loss that is none
    if config.early_stopping.patience is not None:
        stopping = config.early_stopping
        callbacks.append(EarlyStopping("valid_loss", stopping.min_delta, stopping.patience or 0, mode="min"))
    trainer = make_trainer(config.trainer, callbacks, run, environment)
    (run / STATE).mkdir(exist_ok=True)
    # From round 1 on the weights to rewind to are on disk already; `take_up` reads them.
    saver = RoundCheckpoint(run / STATE, round, without=pruning.state_key if round else None)
    watching = watch(trainer, callbacks)
    trainer.callbacks.append(saver)  # pyright: ignore[reportAttributeAccessIssue]
    kept, epochs, damages = find_checkpoint(run / STATE, round)
    if trainer.is_global_zero:
        for damage in damages:
            log.warning("%s; the round is played from its beginning", damage)
        if epochs:
            display.say(f"going on with round {round} after epoch {epochs}")
    data.epoch = epochs
    if kept is not None:
        trainer.precision_plugin.convert_module(learner)  # a checkpoint's weights come in the fit's precision
    try:
        trainer.fit(learner, datamodule=data, ckpt_path=kept, weights_only=True)
        if not history.epochs:
            raise NoStepError
        of = history.epochs[(best.epoch or len(history.epochs)) - 1]
        measured = measure(trainer, learner, data, of, watching, callbacks)
    except NoStepError:
        said = f"trainer: round {round} ended before its first epoch did; give it more time (max_time)"
        raise SettingError(said) from None
    except MisconfigurationException as error:  # such as a share of the batches that is less than one batch
        raise SettingError(f"trainer: {str(error).splitlines()[0]}") from error
    if name := first_not_finite(learner.network.state_dict().items()):
        raise SettingError(
            f"round {round}: the weights {name!r} are not finite at its end; lower optimizer.lr, or clip gradients "
            f"(trainer.gradient_clip_val=1){'; the tickets of the rounds before are kept' if round else ''}"
        )
    mask = pruning.mask
    tested_rows = _measured(config, data, trainer)["test"]
    record = Record(
        round=round,
        sparsity=mask.sparsity,
        alive=mask.alive,
        total=mask.total,
        epochs=len(history.epochs),
        train_loss=of.train_loss,
        **measured,
        seconds=saver.seconds,
        tested_rows=tested_rows if tested_rows < data.rows["test"] else None,
    )
    ticket, rewind = "", None
    if trainer.is_global_zero:
        with writing_to(run):
            ticket = _ticket(config, data, learner, mask, record).save(ticket_path(run, round))
            rewind = save_rewind_weights(run, pruning) if round == 0 else None
    return PlayedRound(
        results=(record,),
        layers=tuple(_layers(round, mask)),
        epochs=tuple(history.epochs),
        confusion=tuple(_confusion(round, learner)),
        examples=tuple(show_examples(learner, data, config.model, config.seed, round)),
        ticket=ticket,
        rewind=rewind,
    )


def _drop_tickets(run: Path, config: Config, played: Sequence[PlayedRound], description: Description) -> None:
    records = [one.record for one in played]
    drop_tickets(run, records, config.tickets.keep.value, description.metric_for(records))


def _alive(learner: Learner, settings: Settings, pruning: PruningCallback, start: Start | None) -> list[int]:
    """Return how many entries of each prunable parameter are alive before the next round prunes."""
    if pruning.round >= 0:
        return list(pruning.mask.counts.values())
    masks = {} if start is None else start.mask
    params = prunable_parameters(learner.network, settings.include, settings.exclude)
    return [int(masks[name].count_nonzero()) if name in masks else param.numel() for name, param in params.items()]


def _layers(round: int, mask: Mask) -> list[LayerRecord]:
    return [
        LayerRecord(round, name, mask.counts[name], tensor.numel(), tuple(tensor.shape))
        for name, tensor in mask.items()
    ]


def _confusion(round: int, learner: Learner) -> list[ConfusionRecord]:
    assert learner.confusion is not None
    return [
        ConfusionRecord(round, label, predicted, int(learner.confusion[label, predicted]))
        for label, predicted in learner.confusion.nonzero().tolist()
    ]


def _ticket(config: Config, data: DataModule, learner: Learner, mask: Mask, record: Record) -> RoundTicket:
    about = {
        # Without its duration: the same seed gives the same file.
        **{key: value for key, value in vars(record).items() if key != "seconds" and value is not None},
        "experiment": config.name,
        "task": learner.task.name,
        "model": values_of(config.model),
        "embedding_dim": config.embedding.dim,
        "class_names": learner.task.class_names(data),
        "corpus": data.corpus.name,
        "splitter": str(config.data.tokenizer.value),
        "max_length": getattr(config.data, "max_length", None),
        "seed": config.seed,
    }
    return RoundTicket(learner.network.state_dict(), mask, about, data.tokenizer.to_str())


def _describe(
    config: Config,
    data: DataModule,
    command: Sequence[str],
    learner: Learner,
    run: Path,
    environment: ClusterEnvironment,
    origin: Origin | None,
) -> Description:
    trainer = make_trainer(config.trainer, [], run, environment)  # knows what `auto` stands for on this machine
    root = trainer.strategy.root_device
    device = torch.cuda.get_device_name(root) if root.type == "cuda" else f"{root} ({torch.get_num_threads()} threads)"
    baseline = learner.task.baseline(data)
    parameters = sum(parameter.numel() for parameter in learner.network.parameters() if parameter.requires_grad)
    return describe_run(
        config,
        data,
        without_resume(command),
        task=learner.task.name,
        network=getattr(learner.network, "title", type(learner.network).__name__),
        class_names=learner.task.class_names(data),
        baseline=baseline and Baseline(*baseline),
        parameters=parameters,
        device=device,
        processes=trainer.world_size,
        measured=_measured(config, data, trainer),
        origin=origin,
    )


def _measured(config: Config, data: DataModule, trainer: pl.Trainer) -> dict[str, int]:
    """Return of how many rows of the validation and the test part a Trainer measures its numbers."""
    limits = {"valid": trainer.limit_val_batches, "test": trainer.limit_test_batches}
    return {
        part: count_measured(data.rows[part], config.data.batch_size, trainer.world_size, limit or 1.0)
        for part, limit in limits.items()
    }


def load_data(config: Config, corpus: Corpus | PairCorpus) -> DataModule:
    """What hands out the corpus's batches.

    Raises:
        SettingError: if the corpus is too small to split, or the vectors cannot be had.
    """
    if isinstance(corpus, PairCorpus):
        return PairDataModule(corpus, config.data, config.seed)
    return TextDataModule(corpus, config.data, config.embedding, config.seed)


def _summary(config: Config, data: DataModule, description: Description, metric: Metric) -> str:
    """Two lines on what is about to run, and one on what is to be beaten."""
    pruning = config.pruning
    rows = ", ".join(f"{count:,} {part}" for part, count in data.rows.items())
    found = ""
    if data.words_found is not None:
        found = f" ({data.words_found / len(data.words):.1%} with a {config.embedding.name} vector)"
    rounds = f"{pruning.rounds} round{'' if pruning.rounds == 1 else 's'} of pruning by {pruning.amount:g}"
    classes = f", {len(data.corpus.class_names)} classes" if description.task.sorts_texts else ""
    words = f"{len(data.words):,} words"
    if config.data.tokenizer is Splitter.letters:
        words = f"{len(set(data.words) - set(SPECIAL_WORDS)):,} letters"
    baseline = description.shown_baseline
    origin = transfer_line(description.ticket)
    beat = f"\nto be beaten: {baseline.name}, {baseline.value:.4f} {metric.name}" if baseline else ""
    notes = "".join(f"{note}\n" for note in data.corpus.notes)
    note = partial_note(description)
    return (
        f"{data.corpus.name}: {rows} rows{classes}, {words}{found}\n{notes}"
        f"{description.network}: {description.parameters:,} parameters; {rounds}, rewind {pruning.rewind}, "
        f"seed {config.seed}{origin and chr(10) + origin}{beat}{note and chr(10) + note}"
    )


def _hush() -> None:
    """Silence advice of Lightning's that does not apply here."""
    for advice in (
        ".*does not have many workers.*",  # the texts are in memory already
        ".*it is recommended to use `Trainer.devices=1.*",  # rows are dealt out once each, not padded
        ".*recommended to use `self.log.*sync_dist=True.*",  # the metrics that are logged are synchronised already
        ".*LeafSpec.* is deprecated.*",  # between Lightning and torch
        ".*The `srun` command is available.*",  # the settings say how many processes there are
    ):
        warnings.filterwarnings("ignore", message=advice)
