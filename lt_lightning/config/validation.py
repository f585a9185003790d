"""What must hold of a configuration beyond its types, and what to say where it does not.

Needs neither torch nor Lightning, so that a rejected setting answers at once.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from lt_lightning.config.choice import CHOICES, Custom, find_faults, keys_of
from lt_lightning.config.enums import METRIC_MODES, Splitter
from lt_lightning.config.messages import explain
from lt_lightning.config.metric_names import parse_name
from lt_lightning.config.models import CustomModel, RandomVectors, Recurrent, Tagger
from lt_lightning.config.optimizers import Adam
from lt_lightning.config.schedulers import CustomScheduler, SchedulerConfig
from lt_lightning.config.schema import Config
from lt_lightning.config.sources import CustomData, DataKind, Texts
from lt_lightning.config.trainer_rules import is_object, trainer_rules
from lt_lightning.errors import SettingError
from lt_lightning.lottery.settings import LotteryError, Rewind, Settings

NO_TICKET = (
    "missing; make a ticket of a run's round, python -m lt_lightning.export RUN --round N -o FILE, and give "
    "pruning.ticket=FILE"
)
"""What to say where a run is to start from a ticket and is given none."""

_CHOOSERS = {"data": "kind", "embedding": "name", "model": "name", "optimizer": "name", "scheduler": "name"}
"""The setting of each group with choices that names one."""


def read_config(composed: DictConfig) -> Config:
    """Turn a composed configuration into a checked one.

    Raises:
        SettingError: for the first value that is missing or out of its range.
    """
    try:
        settings = OmegaConf.create({key: composed[key] for key in composed if key != "hydra"}, flags={"struct": True})
        custom = {group: _custom(group, settings[group]) for group in CHOICES}
        for group, chosen in custom.items():
            settings[group] = None if chosen else _typed(group, settings[group])
        for name in _names(settings):
            group, _, key = name.partition(".")
            if custom.get(group) or group == "metrics":
                continue
            node = settings[group] if group in CHOICES else None
            # `+key=value` adds keys that the types do not have.
            if key not in _fields(OmegaConf.get_type(node)) if node is not None else name not in setting_names():
                raise SettingError(no_such_setting(name, OmegaConf.get_type(node) if node is not None else None))
        config = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(Config), settings))
    except OmegaConfBaseException as error:
        raise SettingError(explain(error)) from error
    assert isinstance(config, Config)
    for group, chosen in custom.items():
        if chosen:
            setattr(config, group, chosen)
    for _, fault in find_faults(config):
        raise SettingError(fault)
    for key, value, holds, remedy in _rules(config):
        if not holds:
            raise SettingError(f"{key}: {remedy}" if value is None else f"{key}: {value} is {remedy}")
    if isinstance(config.data, CustomData):
        config.optimizer = config.scheduler = config.embedding = None  # its LightningModule makes its own
    elif config.trainer.use_distributed_sampler is None:
        config.trainer.use_distributed_sampler = False
    try:
        lottery_settings(config)
    except LotteryError as error:
        raise SettingError(f"pruning.{error}") from error
    return config


def read_group(group: str, values: Mapping[str, Any]) -> Any:
    """Return the checked object of a group's choice from recorded settings; null stands for a key that is not read.

    Raises:
        SettingError: naming the first setting that is missing, unknown, of another type or out of its limits.
    """
    known = keys_of(group)
    cls = _class_of(group, values)
    given = {key: value for key, value in values.items() if key in known and (value is not None or key in _fields(cls))}
    for key in given:
        if key not in _fields(cls):
            raise SettingError(no_such_setting(f"{group}.{key}", cls))
    try:
        settings = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(cls), given))
    except OmegaConfBaseException as error:
        raise SettingError(f"{group}.{explain(error)}") from None
    for _, fault in find_faults(settings, f"{group}."):
        raise SettingError(fault)
    return settings


def _custom(group: str, node: DictConfig) -> Custom | None:
    """Return the object of a group whose settings have a `_target_` of the user's, or None."""
    if "_target_" not in node.keys():  # noqa: SIM118 (`in` is false where the value is missing)
        return None
    own = {"model": CustomModel, "optimizer": Custom, "scheduler": CustomScheduler, "data": CustomData}
    custom = own.get(group)
    if custom is None:
        raise SettingError(f"{group}._target_: only {', '.join(own)} can be classes of your own; leave it out")
    if OmegaConf.is_missing(node, "_target_"):
        raise SettingError(f"{group}._target_: there is no value; give the name of a class, such as my.Net")
    values: Any = OmegaConf.to_container(node, resolve=True, throw_on_missing=True)
    return custom(str(values.pop("name", "custom")), values.pop("_target_"), values)


def _typed(group: str, node: DictConfig) -> DictConfig:
    """Return the settings of a group with the type of their choice; a user's file may not name its schema."""
    cls = _class_of(group, node)
    if OmegaConf.get_type(node) is cls:
        return node
    typed = OmegaConf.structured(cls, flags={"struct": True})
    for key in node:
        if key not in _fields(cls):
            raise SettingError(no_such_setting(f"{group}.{key}", cls))
    return OmegaConf.merge(typed, OmegaConf.to_container(node))  # pyright: ignore[reportReturnType, reportArgumentType]


def _class_of(group: str, values: Mapping[str, Any]) -> type:
    """Return the dataclass of a group's choice."""
    chooser = _CHOOSERS[group]
    name = values.get(chooser)
    name = str(getattr(name, "value", name))
    if name not in CHOICES[group]:
        raise SettingError(
            f"{group}.{chooser}: {name!r} is none of {', '.join(CHOICES[group])}; choose it with {group}=…"
        )
    return CHOICES[group][name]


def _fields(cls: type | None) -> list[str]:
    return [one.name for one in fields(cls)] if cls is not None else []  # pyright: ignore[reportArgumentType]


def lottery_settings(config: Config) -> Settings:
    """What the `pruning` group says to `lottery`, checked.

    Raises:
        LotteryError: if a value is out of its range.
    """
    pruning = {key: value for key, value in vars(config.pruning).items() if key not in ("rounds", "ticket")}
    settings = Settings(**pruning, seed=config.seed)
    rewind = Rewind.parse(settings.rewind)
    if rewind.point == "epoch" and rewind.at and rewind.at > config.trainer.max_epochs:
        raise LotteryError(
            f"rewind: {rewind} lies beyond the {config.trainer.max_epochs} epochs of round 0; "
            f"choose K ≤ {config.trainer.max_epochs}, or a larger trainer.max_epochs"
        )
    return settings


def _rules(config: Config) -> Iterator[tuple[str, Any, bool, str]]:
    """Yield what must hold beyond types and limits: the key, its value, whether it holds, and what is wrong if not."""
    data, model, embedding, optimizer = config.data, config.model, config.embedding, config.optimizer
    parts = config.name.split("/")
    yield "name", repr(config.name), not {"", ".", ".."} & {*parts}, "no name of a folder below outputs/; give one"
    # With `resume` it is read before the configuration is composed, and is not part of it.
    yield "trust", None, not config.trust, "only goes with resume=FOLDER; leave it out"
    if isinstance(data, Texts):
        hubless = data.hub_config is not None and (data.hub is None or data.path is not None)
        said = "a configuration of data.hub, which is not read; leave it out"
        yield "data.hub_config", data.hub_config, not hubless, said
        lacking = data.name == "files" and data.path is None and data.hub is None
        said = "missing: data=files reads a file, or a folder with train and test files"
        yield "data.path", data.path, not lacking, said
        mistaken = data.name == "PyDocs" and data.hub is not None
        yield "data.hub", data.hub, not mistaken, "not what data=pydocs reads; use data=files"
    if isinstance(model, Recurrent | Tagger):
        only_ours = model.cell == "gru_chung" and model.backend == "torch"
        yield "model.backend", model.backend, not only_ours, "without gru_chung; use model.backend=equations"
        flat = model.cell != "none" or model.layers == 1
        yield "model.layers", model.layers, flat, "too many for model.cell=none, which has one"
    if isinstance(data, CustomData):
        yield from _module_rules(config)
    else:
        yield from _fit_rules(data, model, embedding)
        yield from _metric_claims(config)
    yield "pruning.ticket", None, config.pruning.ticket != "", NO_TICKET
    packs = config.pruning.ticket is None or model.packs is not None
    yield "pruning.ticket", None, packs, f"only classifiers of texts have tickets, not model={model.name}; leave it out"
    unscaled = config.trainer.gradient_clip_val and config.trainer.precision in (16, "16", "16-mixed", "bf16-mixed")
    fits = not (getattr(optimizer, "fused", False) and unscaled)
    yield "optimizer.fused", None, fits, "true does not go with clipping and mixed precision; use optimizer.fused=false"
    yield from trainer_rules(config.trainer, isinstance(data, CustomData))


def _module_rules(config: Config) -> Iterator[tuple[str, Any, bool, str]]:
    """Yield whether the settings fit a LightningModule of the user's own."""
    said = f"{config.model.name} does not read its batches; use model=custom model._target_=MODULE, a LightningModule"
    yield "data=custom", None, isinstance(config.model, CustomModel), said
    for key, default in (("optimizer", Adam()), ("scheduler", SchedulerConfig()), ("embedding", RandomVectors())):
        said = "not read with data=custom: the LightningModule makes its own; leave it out"
        yield key, None, getattr(config, key) == default, said
    yield (
        "metrics",
        None,
        not config.metrics,
        "not read with data=custom: the LightningModule logs its own; leave it out",
    )
    name, mode = config.metric, config.metric_mode
    said = (
        "missing: with data=custom, give the name of a value that the module logs in validation, such as metric=val/acc"
    )
    yield "metric", None, name is not None, said
    logged = parse_name(name or "")
    said = "not of the validation part, by which winners are chosen; give a name that validation logs, such as val/acc"
    yield "metric", repr(name), logged.part not in ("test", "train"), said
    yield "metric_mode", repr(mode), mode in (None, "max", "min"), "none of max, min"
    said = f"missing: give max if higher values of {name} are better, and min if lower ones are"
    yield "metric_mode", None, mode is not None or logged.mode is not None, said


def _fit_rules(data: Any, model: Any, embedding: Any) -> Iterator[tuple[str, Any, bool, str]]:
    """Yield whether the model reads such data, and the data's splitter and vectors fit each other."""
    pairs = data.kind.is_pairs
    remedy = "use model=tagger or model=seq2seq" if pairs else "use data=pairs or data=reversal"
    what = "reads texts, the data is pairs of strings" if pairs else "answers strings with strings, the data is texts"
    yield "model", None, pairs == (model.reads == "pairs"), f"{model.name} {what}; {remedy}"
    needs_labels = not pairs and data.label_column is None and model.task == "classification"
    yield "data.label_column", None, not needs_labels, f"missing: model={model.name} learns to tell labels apart"
    letters = data.tokenizer is Splitter.letters
    reader = f"model={model.name}" if model.needs_letters else f"data.kind={data.kind.value}"
    needed = model.needs_letters or pairs or data.kind is DataKind.names
    said = f"not what {reader} reads; use data.tokenizer=letters"
    yield "data.tokenizer", data.tokenizer.value, letters or not needed, said
    wordless = letters and embedding.name != "random"
    said = f"{embedding.name} has vectors of words, the data is read letter by letter; use embedding=random"
    yield "embedding", None, not wordless, said


def _metric_claims(config: Config) -> Iterator[tuple[str, Any, bool, str]]:
    """Yield whether rounds can be judged by the chosen metric."""
    name, mode = config.metric, config.metric_mode
    yield from _added_metrics(config.metrics)
    added = {f"{part}_{one}": mode or parse_name(one).mode for one in config.metrics for part in ("test", "valid")}
    modes = {**METRIC_MODES, **added}
    yield "metric", repr(name), name in (None, *modes), f"none of {', '.join(modes)}"
    tasks = {"test_perplexity": ("char_lm",), "test_exact": ("tagger", "seq2seq")}
    measured = name not in tasks or config.model.name in tasks[name]
    yield "metric", name, measured, f"not measured of model={config.model.name}; use metric=test_acc or test_loss"
    yield "metric_mode", repr(mode), mode in (None, "max", "min"), "none of max, min"
    said = f"missing: give max if higher values of {name} are better, and min if lower ones are"
    yield "metric_mode", None, name is None or modes[name] is not None, said
    fits = mode is None or (name is not None and mode == modes[name])
    remedy = f"not how metric={name} is compared; leave it out" if name else "only read with metric=NAME; leave it out"
    yield "metric_mode", mode, fits, remedy


def _added_metrics(metrics: Mapping[str, Any]) -> Iterator[tuple[str, Any, bool, str]]:
    """Yield whether the metrics that the settings add have names and classes."""
    taken = {name.partition("_")[2] for name in METRIC_MODES}
    for name, value in metrics.items():
        is_new = re.fullmatch("[A-Za-z][A-Za-z0-9_]*", name) is not None and name not in taken
        said = f"the name of no new column: use letters, digits and _, and none of {', '.join(sorted(taken))}"
        yield "metrics", repr(name), is_new, said
        yield f"metrics.{name}", value, is_object(value), "no object; give metrics.NAME._target_=CLASS"


def setting_names() -> list[str]:
    """Return every setting by its full name, such as `pruning.amount`; of groups with choices those of all of them."""
    own = [name for name in _names(OmegaConf.structured(Config)) if name not in CHOICES]
    return [*own, *(f"{group}.{key}" for group in CHOICES for key in keys_of(group))]


def no_such_setting(name: str, chosen: type | None = None) -> str:
    """Return the error for a setting that does not exist, or that the chosen class of its group does not read."""
    known = setting_names()
    if name in known and chosen is not None:
        reads = ", ".join(one for one in _fields(chosen) if one not in ("name", "kind")) or "none"
        return f"{name}: {chosen.choice} does not read it; it reads {reads}"  # pyright: ignore
    if name in known:
        return f"{name}: the class chosen by _target_ has no default for it; write +{name}=… to pass it as an argument"
    namesakes = [other for other in known if other.rsplit(".", 1)[-1] == name.rsplit(".", 1)[-1]]
    close = difflib.get_close_matches(name, known, n=1) or namesakes
    return f"{name}: no such setting{f'; did you mean {close[0]}?' if close else ''}; --help lists them all"


def _names(config: DictConfig) -> Iterator[str]:
    for group in config:
        node = config._get_node(group)
        if isinstance(node, DictConfig):
            yield from (f"{group}.{key}" for key in node)
        else:
            yield str(group)
