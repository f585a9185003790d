"""Check what must hold of a configuration beyond the types and limits of single settings. Imports no torch."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from lt_lightning.config.choice import Custom
from lt_lightning.config.encoders import Bert, Encoder
from lt_lightning.config.enums import METRIC_MODES, OBJECTIVES, Splitter
from lt_lightning.config.metric_names import parse_name
from lt_lightning.config.models import CustomModel, RandomVectors, Recurrent, Tagger
from lt_lightning.config.optimizers import Adam, SchedulerConfig
from lt_lightning.config.quoting import find_interpolations
from lt_lightning.config.schema import Config, TestOn, TrainerConfig
from lt_lightning.config.sources import CustomData, DataKind, Texts
from lt_lightning.lottery.schedules.registry import SCHEDULES

NO_TICKET = (
    "pruning.ticket: missing; make a ticket of a run's round, python -m lt_lightning.export RUN --round N -o FILE, and "
    "give pruning.ticket=FILE"
)
"""The error of a run that starts from a ticket and has none."""


def broken_rules(config: Config) -> Iterator[str]:
    """Yield the error of each rule that a configuration breaks."""
    model, trainer = config.model, config.trainer
    if {"", ".", ".."} & {*config.name.split("/")}:
        yield f"name: {config.name!r} is not the name of a folder below outputs/; give one"
    if (
        config.trust
    ):  # with `resume` or `branch.of` it is read before the configuration is composed, not as a part of it
        yield "trust: only goes with resume=FOLDER or branch.of=RUN; leave it out"
    if isinstance(model, Recurrent | Tagger):
        if model.cell == "gru_chung" and model.backend == "torch":
            yield "model.backend: torch is without gru_chung; use model.backend=equations"
        if model.cell == "none" and model.layers != 1:
            yield f"model.layers: {model.layers} is too many for model.cell=none, which has one"
    if isinstance(config.data, CustomData):
        yield from _module_rules(config)
    else:
        yield from _data_rules(config.data, model, config.embedding)
        yield from _metric_rules(config)
    yield from _objective_rules(config)
    if config.pruning.ticket == "":
        yield NO_TICKET
    yield from _branch_rules(config)
    yield from _schedule_rules(config)
    if config.pruning.ticket is not None and model.packs is None:
        yield f"pruning.ticket: a run of model={model.name} does not start from a packed ticket; leave it out"
    unscaled = trainer.gradient_clip_val and trainer.precision in (16, "16", "16-mixed")
    if unscaled and not isinstance(config.optimizer, Custom) and config.optimizer.fused:
        yield "optimizer.fused: true does not go with clipping and 16-mixed precision; use optimizer.fused=false"
    yield from _trainer_rules(trainer, isinstance(config.data, CustomData))


def encoder_rules(config: Config, typed: Collection[str]) -> Iterator[str]:
    """Yield what does not fit a model with a pre-trained encoder.

    Args:
        config: the settings.
        typed: the settings and groups that the command line names; defaults and experiments may hold more than is read.
    """
    model = config.model
    if not isinstance(model, Encoder):
        return
    if isinstance(model, Bert) and model.hub is None and model.path is None:
        yield (
            "model.path: missing: model=bert reads a folder with config.json, model.safetensors and tokenizer.json; "
            "give model.path=FOLDER, or model.hub=OWNER/NAME"
        )
    if isinstance(model, Bert) and model.hub is not None and model.path is not None:
        yield "model.hub: there is a model.path, too; give one of the two"
    unread = [key for key in sorted(typed) if key.partition(".")[0] == "embedding" or key == "data.max_vocab"]
    for key in unread:
        yield f"{key}: not read with model={model.name}, whose encoder brings words and vectors; leave it out"


def _schedule_rules(config: Config) -> Iterator[str]:
    """Yield what does not go with a schedule, and a share that is missing."""
    name = config.pruning.schedule
    if config.pruning.amount is None:
        yield "pruning.amount: null is not allowed; give another value, or leave the setting out"
    if name not in SCHEDULES or not SCHEDULES[name].in_fit:
        return
    if config.test_on == TestOn.best:
        yield f"test_on: best is not possible with pruning.schedule={name}, as each epoch has its own mask; use last"
    if config.early_stopping.patience is not None and SCHEDULES[name].is_gradual:
        yield (
            f"early_stopping.patience: not possible with pruning.schedule={name}, as a round that ends early does not "
            "reach its density; leave it null"
        )


def _branch_rules(config: Config) -> Iterator[str]:
    """Yield what is wrong with the settings of a branch."""
    branch, pruning = config.branch, config.pruning
    if branch.of is None:
        if branch.rounds is not None:
            yield "branch.rounds: only read with branch.of=RUN; leave it out"
        return
    if branch.of == "":
        yield "branch.of: empty; give the directory of the run whose tickets are trained again"
    if branch.rounds is not None and (not branch.rounds or min(branch.rounds) < 0):
        yield f"branch.rounds: {branch.rounds} are no rounds; give some, such as [2,4], or null for all"
    if branch.rounds and len({*branch.rounds}) < len(branch.rounds):
        yield f"branch.rounds: {branch.rounds} has a round twice; give each once"
    if pruning.ticket is not None:
        yield "pruning.ticket: not read by a branch, which starts from the tickets of branch.of; leave it out"
    if pruning.schedule != "rounds":
        yield (
            f"pruning.schedule: a branch prunes nothing, so there is no use for {pruning.schedule}; leave it out, or "
            "the choice of pruning= that sets it"
        )


def _module_rules(config: Config) -> Iterator[str]:
    """Yield what does not fit a LightningModule of the user's own."""
    if not isinstance(config.model, CustomModel):
        yield (
            f"data=custom: {config.model.name} does not read its batches; use model=custom model._target_=MODULE, a "
            "LightningModule"
        )
    for key, default in (("optimizer", Adam()), ("scheduler", SchedulerConfig()), ("embedding", RandomVectors())):
        if getattr(config, key) != default:
            yield f"{key}: not read with data=custom: the LightningModule makes its own; leave it out"
    if config.metrics:
        yield "metrics: not read with data=custom: the LightningModule logs its own; leave it out"
    if config.metric is None:
        yield (
            "metric: missing: with data=custom, give the name of a value that the module logs in validation, such as "
            "metric=val/acc"
        )
    logged = parse_name(config.metric or "")
    if logged.part in ("test", "train"):
        yield (
            f"metric: {config.metric!r} is not of the validation part, by which winners are chosen; give a name that "
            "validation logs, such as val/acc"
        )
    every = config.trainer.check_val_every_n_epoch or 1
    if config.trainer.max_epochs % every:
        yield (
            f"trainer.check_val_every_n_epoch: {every} leaves the last of {config.trainer.max_epochs} epochs without a "
            "validation, by which rounds are judged; give a divisor of trainer.max_epochs"
        )
    yield from _mode_rules(config, logged.mode)


def _data_rules(data: Any, model: Any, embedding: Any) -> Iterator[str]:
    """Yield what does not fit among the settings of the data, the model that reads it and the word vectors."""
    if isinstance(data, Texts):
        if data.hub_config is not None and (data.hub is None or data.path is not None):
            yield (
                f"data.hub_config: {data.hub_config} is a configuration of data.hub, which is not read; leave it out"
            )
        if data.name == "files" and data.path is None and data.hub is None:
            yield "data.path: missing: data=files reads a file, or a folder with train and test files"
        if data.name == "PyDocs" and data.hub is not None:
            yield f"data.hub: {data.hub} is not what data=pydocs reads; use data=files"
    pairs, splitter = data.kind.is_pairs, Splitter(data.tokenizer)
    own_pieces = splitter is Splitter.model
    if pairs and model.reads != "pairs":
        yield f"model: {model.name} reads texts, the data is pairs of strings; use model=tagger or model=seq2seq"
    if not pairs and model.reads == "pairs":
        yield (f"model: {model.name} answers strings with strings, the data is texts; use data=pairs or data=reversal")
    if not pairs and data.label_column is None and model.task == "classification":
        yield f"data.label_column: missing: model={model.name} learns to tell labels apart"
    letters = splitter is Splitter.letters
    if own_pieces and not isinstance(model, Encoder):
        yield f"data.tokenizer: model is for models with a tokenizer of their own, not model={model.name}; leave it out"
    elif isinstance(model, Encoder) and not (own_pieces or pairs):
        yield (
            f"data.tokenizer: {splitter.value} is not what the encoder of model={model.name} was trained on; use "
            "data.tokenizer=model"
        )
    elif not (letters or own_pieces) and (model.needs_letters or pairs or data.kind is DataKind.names):
        reader = f"model={model.name}" if model.needs_letters else f"data.kind={data.kind.value}"
        yield f"data.tokenizer: {splitter.value} is not what {reader} reads; use data.tokenizer=letters"
    if letters and not isinstance(model, Encoder) and embedding.name != "random":
        yield (
            f"embedding: {embedding.name} has vectors of words, the data is read letter by letter; use embedding=random"
        )


def _metric_rules(config: Config) -> Iterator[str]:
    """Yield what is wrong with the added metrics, and with the one that judges rounds."""
    name, mode = config.metric, config.metric_mode
    taken = {one.partition("_")[2] for one in METRIC_MODES}
    for one, value in config.metrics.items():
        if re.fullmatch("[A-Za-z][A-Za-z0-9_]*", one) is None or one in taken:
            others = ", ".join(sorted(taken))
            yield f"metrics: {one!r} cannot name a new column: use letters, digits and _, and none of {others}"
        if not is_object(value):
            yield f"metrics.{one}: {value} is not an object; give metrics.NAME._target_=CLASS"
    added = {f"{part}_{one}": mode or parse_name(one).mode for one in config.metrics for part in ("test", "valid")}
    modes = {**METRIC_MODES, **added}
    if name not in (None, *modes):
        yield f"metric: {name!r} is none of {', '.join(modes)}"
    tasks = {"test_perplexity": ("char_lm",), "test_exact": ("tagger", "seq2seq")}
    if name in tasks and config.model.name not in tasks[name]:
        yield f"metric: {name} is not measured of model={config.model.name}; use metric=test_acc or test_loss"
    yield from _mode_rules(config, modes[name] if name else "max")
    if mode is not None and name is None:
        yield f"metric_mode: {mode} is only read with metric=NAME; leave it out"
    if mode is not None and name is not None and mode != modes[name]:
        yield f"metric_mode: {mode} is not how metric={name} is compared; leave it out"


def _mode_rules(config: Config, known: str | None) -> Iterator[str]:
    """Yield whether `metric_mode` is wrong, or missing where the metric's mode is not known."""
    if config.metric_mode not in (None, "max", "min"):
        yield f"metric_mode: {config.metric_mode!r} is none of max, min"
    if config.metric_mode is None and known is None:
        yield (
            f"metric_mode: missing: give max if higher values of {config.metric} are better, and min if lower ones are"
        )


def _objective_rules(config: Config) -> Iterator[str]:
    """Yield what is wrong with the number that a run returns to a sweeper."""
    name = config.objective
    if config.objective_reference is not None and name != "smallest_within":
        yield "objective_reference: only read with objective=smallest_within; leave it out"
    if name in OBJECTIVES:
        if SCHEDULES.get(config.pruning.schedule, SCHEDULES["rounds"]).is_single and config.branch.of is None:
            yield (
                f"objective: {name} compares rounds, and pruning.schedule={config.pruning.schedule} trains one; use "
                "objective=valid_acc, or another value of that round"
            )
    elif name is not None and parse_name(name).part in ("test", "train"):
        yield f"objective: {name!r} is not of the validation part, which chooses settings; use objective=valid_acc"
    elif name is not None and not isinstance(config.data, CustomData):
        logged = [one for one in METRIC_MODES if one.startswith("valid_")] + [f"valid_{one}" for one in config.metrics]
        if name not in logged:
            yield f"objective: {name!r} is none of {', '.join([*OBJECTIVES, *logged])}"


def _trainer_rules(trainer: TrainerConfig, brings_loaders: bool) -> Iterator[str]:
    """Yield the Trainer's arguments that rounds, or batches that are already dealt out, do not allow."""
    refused = {
        "val_check_interval": "a round validates at the end of each epoch; leave it null",
        "barebones": "it would turn off what the records are made of; leave it null",
    }
    for key, remedy in refused.items():
        if (value := getattr(trainer, key)) is not None:
            yield f"trainer.{key}: {value} is not possible here: {remedy}"
    if trainer.use_distributed_sampler and not brings_loaders:
        yield (
            "trainer.use_distributed_sampler: True is not possible here: rows are dealt out among processes already, "
            "each once; leave it out"
        )
    if trainer.deterministic not in (None, True, False, "warn"):
        yield f"trainer.deterministic: {trainer.deterministic} is none of true, false, warn"
    loggers = trainer.logger if isinstance(trainer.logger, list) else [trainer.logger]
    if trainer.logger not in (None, True, False) and not all(map(is_object, loggers)):
        yield f"trainer.logger: {trainer.logger} is neither true nor false nor an object with _target_"
    if not all(map(is_object, trainer.callbacks or ())):
        yield (
            f"trainer.callbacks: {trainer.callbacks} is not a list of objects; give each its _target_, as in "
            "[{_target_: my.Callback}]"
        )
    given = trainer.strategy if isinstance(trainer.strategy, Mapping) else {}
    name = trainer.strategy if isinstance(trainer.strategy, str) else str(given.get("_target_", ""))
    words = f"{name} {given.get('start_method', '')}".lower()
    if any(word in words for word in ("fsdp", "deepspeed", "model_parallel", "modelparallel")):
        yield (
            f"trainer.strategy: {name} is not supported: it shards parameters among the processes, and pruning needs "
            "them whole in each; use ddp"
        )
    if any(word in words for word in ("spawn", "fork", "notebook", "xla")):
        yield f"trainer.strategy: {name} is not supported: it starts processes in its own way; use ddp"
    for key, value in vars(trainer).items():
        for text in find_interpolations(value):
            yield f"trainer.{key}: {text} is not possible here: Hydra would read ${{ as an interpolation once more"


def is_object(value: Any) -> bool:
    """Return whether Hydra makes an object of a value."""
    return isinstance(value, Mapping) and "_target_" in value
