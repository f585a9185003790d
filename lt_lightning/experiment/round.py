"""Run one round of an experiment: prune, rewind, train and test."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from lightning_fabric.plugins.environments.cluster_environment import ClusterEnvironment
from lightning_fabric.utilities.exceptions import MisconfigurationException
from pytorch_lightning.callbacks import EarlyStopping
from pytorch_lightning.loggers import Logger

from lt_lightning.callbacks import AgreementCallback, BestWeights, EpochSeeds, FiniteLossCallback, PruningCallback
from lt_lightning.callbacks.finite_loss import first_not_finite
from lt_lightning.callbacks.refusals import NoStepError
from lt_lightning.config.choice import values_of
from lt_lightning.config.schema import Config, TestOn
from lt_lightning.data.own_module import BatchSeeds, OwnData
from lt_lightning.errors import SettingError
from lt_lightning.experiment.examples import SpellingCallback, show_examples
from lt_lightning.experiment.exhaustion import ExhaustionCallback
from lt_lightning.experiment.measuring import History, measure, watch
from lt_lightning.experiment.progress import FitDisplay, ProgressCallback
from lt_lightning.experiment.resume.compare import how_to_go_on
from lt_lightning.experiment.round_checkpoint import RoundCheckpoint, Shortening, find_resumable
from lt_lightning.experiment.run_base import RunBase
from lt_lightning.experiment.subject import Subject
from lt_lightning.experiment.summary import measured_rows
from lt_lightning.experiment.trainer import make_trainer
from lt_lightning.lottery import Mask
from lt_lightning.runs.bases import REWIND
from lt_lightning.runs.records import ConfusionRecord, LayerRecord, MaskRecord, Record
from lt_lightning.runs.round_ticket import RoundTicket, write_memory
from lt_lightning.runs.rounds import PlayedRound, ticket_path
from lt_lightning.storage.atomic import writing_to
from lt_lightning.storage.lock import STATE

log = logging.getLogger(__name__)


def run_round(
    config: Config,
    run: Path,
    round: int,
    subject: Subject,
    pruning: PruningCallback,
    display: FitDisplay,
    environment: ClusterEnvironment,
    before: int | None,
    base: RunBase | None = None,
    loggers: Sequence[Logger] = (),
    following: Sequence[pl.Callback] = (),
) -> PlayedRound:
    """Prune, rewind, train and test once, from the last epoch on disk, and write the round's ticket.

    Args:
        config: the settings.
        run: the run directory.
        round: the round.
        subject: what is trained.
        pruning: carries the lottery from round to round.
        display: the screen.
        environment: describes the run's processes.
        before: the number of entries alive in the round before; None for round 0.
        base: the file that the run's tickets and checkpoints refer to; None if each stands alone.
        loggers: the Lightning loggers of the run.
        following: callbacks that only look on, such as those of trackers.

    Raises:
        SettingError: the round trains nothing, or a loss or a weight is not finite.
    """
    data, module = subject.data, subject.module
    data.round, data.repeats = round, config.trainer.overfit_batches is not None
    monitor, mode = subject.judged or ("valid_loss", "min")
    best = BestWeights(monitor, mode)
    callbacks: list[pl.Callback] = [
        FiniteLossCallback(round),  # first: no other callback gets a loss that is not finite
        *([best] if config.test_on == TestOn.best else []),  # before pruning: the round ends with its best weights
        pruning,
        ExhaustionCallback(pruning, before, how_to_go_on(run)),
        AgreementCallback(),
        *([BatchSeeds(data)] if isinstance(data, OwnData) else []),
        EpochSeeds(config.order_seed, round),
        ProgressCallback(display, round),
        *following,
    ]
    if (patience := config.early_stopping.patience) is not None:
        callbacks.append(EarlyStopping(monitor, config.early_stopping.min_delta, patience, mode=mode))
    trainer = make_trainer(config.trainer, callbacks, run, environment, loggers)
    (run / STATE).mkdir(exist_ok=True)
    watching = watch(trainer, callbacks, subject.submodule)
    history = History(round, subject.judged and monitor)
    prefix = f"{subject.submodule}." if subject.submodule else ""
    shortening = None if base is None else Shortening(base, pruning, subject.network, prefix)
    saver = RoundCheckpoint(run / STATE, round, shortening)
    examples = partial(show_examples, subject, config.model, config.seed, round)
    spelling = [SpellingCallback(display, history, examples)] if subject.task.shows_epochs else []
    # A Trainer refuses these when it is made, as its own checkpoints are off; they run after the module's own hooks.
    trainer.callbacks += [history, *spelling, saver]  # pyright: ignore[reportAttributeAccessIssue]
    kept, epochs, damages = find_resumable(run / STATE, round)
    if trainer.is_global_zero:
        for damage in damages:
            log.warning("%s; the round starts anew", damage)
        if epochs:
            display.say(f"going on with round {round} after epoch {epochs}")
    data.epoch = epochs
    if kept is not None:
        trainer.precision_plugin.convert_module(module)  # a checkpoint has weights in the fit's precision
    try:
        trainer.fit(module, datamodule=data.loaders, ckpt_path=kept, weights_only=True)
        if not history.epochs:
            raise NoStepError
        of = history.epochs[(best.epoch or len(history.epochs)) - 1]
        measured = measure(trainer, subject, of, watching, callbacks)
    except NoStepError:
        said = f"trainer: round {round} ended before its first epoch did; give it more time (max_time)"
        raise SettingError(said) from None
    except MisconfigurationException as error:  # such as a share of the batches that is less than one batch
        raise SettingError(f"trainer: {str(error).splitlines()[0]}") from error
    if name := first_not_finite(subject.network.state_dict().items()):
        raise SettingError(
            f"round {round}: the weights {name!r} are not finite at its end; lower optimizer.lr, or clip gradients "
            f"(trainer.gradient_clip_val=1){'; the tickets of the rounds before are kept' if round else ''}"
        )
    mask = pruning.mask
    collapsed = mask.collapsed
    tested = measured_rows(config, data, trainer).get("test")
    record = Record(
        round=round,
        sparsity=mask.sparsity,
        alive=mask.alive,
        total=mask.total,
        epochs=len(history.epochs),
        **measured,
        seconds=saver.seconds,
        collapsed=len(collapsed) or None,
        steps=trainer.global_step,
        tested_rows=tested if tested is not None and tested < data.rows["test"] else None,
    )
    layers = [LayerRecord(round, name, mask.counts[name], one.numel(), tuple(one.shape)) for name, one in mask.items()]
    masks = [
        MaskRecord(round, one.step, one.sparsity, one.dropped, one.grown, one.densities) for one in pruning.changes
    ]
    counts = subject.confusion
    pairs = [] if counts is None else counts.nonzero().tolist()
    ticket, rewind, memory = "", None, None
    if trainer.is_global_zero:
        with writing_to(run):
            weights = None if base is None else base.find(round, pruning, subject.network)
            if round == 0 and weights is not None and weights.file == REWIND:
                rewind = weights.seal
            ticket = _ticket(config, subject, mask, record).save(ticket_path(run, round), weights)
            state = pruning.state_dict()
            if "memory" in state:
                memory = write_memory(run, round, state["memory"])
    return PlayedRound(
        results=(record,),
        layers=tuple(layers),
        epochs=tuple(history.epochs),
        confusion=tuple(ConfusionRecord(round, label, taken, int(counts[label, taken])) for label, taken in pairs),  # pyright: ignore
        examples=tuple(examples()),
        ticket=ticket,
        rewind=rewind,
        masks=tuple(masks),
        memory=memory,
    )


def _ticket(config: Config, subject: Subject, mask: Mask, record: Record) -> RoundTicket:
    data = subject.data
    about: dict[str, Any] = {
        # Without its duration: the same seed gives the same file.
        **{key: value for key, value in vars(record).items() if key != "seconds" and value not in (None, {})},
        "experiment": config.name,
        "task": subject.task.name,
        "model": values_of(config.model),
        "embedding_dim": config.embedding and config.embedding.dim,
        "class_names": subject.task.class_names(data),
        "corpus": data.corpus.name,
        "splitter": config.data.tokenizer.value if data.words else None,
        "max_length": getattr(data, "max_length", None),
        "seed": config.seed,
    }
    return RoundTicket(subject.network.state_dict(), mask, about, subject.tokenizer)
