"""Turn composed settings into a checked configuration. Imports no torch, so that refusals are fast."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from dataclasses import fields
from functools import cache
from itertools import chain
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from lt_lightning.config.aliases import typed_names
from lt_lightning.config.choice import CHOICES, Custom, find_faults, keys_of
from lt_lightning.config.encoders import Encoder
from lt_lightning.config.messages import explain
from lt_lightning.config.models import CustomModel
from lt_lightning.config.optimizers import CustomScheduler
from lt_lightning.config.rules import broken_rules, encoder_rules
from lt_lightning.config.schema import Config
from lt_lightning.config.sources import CustomData, TextConfig
from lt_lightning.config.trackers import TRACKERS
from lt_lightning.config.tracking_rules import tracking_rules
from lt_lightning.errors import SettingError
from lt_lightning.lottery.patterns import parse_pattern
from lt_lightning.lottery.settings import LotteryError, Rewind, Settings

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
            if custom.get(group) or group in ("metrics", "callbacks"):
                continue
            node = settings[group] if group in CHOICES else None
            # `+key=value` adds keys that the types do not have.
            if key not in _fields(OmegaConf.get_type(node)) if node is not None else name not in setting_names():
                raise SettingError(
                    typed_names(no_such_setting(name, OmegaConf.get_type(node) if node is not None else None))
                )
        config = OmegaConf.to_object(OmegaConf.merge(_schema(), settings))
    except OmegaConfBaseException as error:
        raise SettingError(explain(error)) from error
    assert isinstance(config, Config)
    for group, chosen in custom.items():
        if chosen:
            setattr(config, group, chosen)
    if isinstance(config.data, TextConfig):
        config.data.tokenizer = config.data.tokenizer or config.model.splitter
        config.data.group_column = config.data.find_group_column()
    typed = typed_settings(composed)
    faults = (find_faults(config), encoder_rules(config, typed), broken_rules(config), tracking_rules(config))
    for fault in chain.from_iterable(faults):
        raise SettingError(typed_names(fault))
    if isinstance(config.model, Encoder):
        config.embedding = None  # it brings vectors of its own
    if isinstance(config.data, CustomData):
        config.optimizer = config.scheduler = config.embedding = None  # its LightningModule makes its own
    elif config.trainer.use_distributed_sampler is None:
        config.trainer.use_distributed_sampler = False
    try:
        settings = lottery_settings(config)
    except LotteryError as error:
        raise SettingError(f"pruning.{error}") from error
    if settings.plan.is_single:
        config.pruning.rounds = 0  # not read
    return config


def typed_settings(composed: DictConfig) -> frozenset[str]:
    """Return the settings that the command line changes, groups included, as far as Hydra's part is there to tell."""
    overrides = OmegaConf.select(composed, "hydra.overrides.task", default=None) or ()
    return frozenset(re.split("[=@]", str(one).lstrip("+~"), maxsplit=1)[0] for one in overrides)


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
    for fault in find_faults(settings, f"{group}."):
        raise SettingError(fault)
    return settings


def read_recorded(group: str, values: Mapping[str, Any]) -> Any:
    """Return the checked object of a group from recorded settings: a choice's, or that of a class of the user's own.

    Raises:
        SettingError: as `read_group`, or the class is not named by text.
    """
    if "_target_" not in values:
        return read_group(group, values)
    rest, own = dict(values), {"model": CustomModel, "optimizer": Custom, "scheduler": CustomScheduler}
    name, target = rest.pop("name", "custom"), rest.pop("_target_")
    if group not in own or not isinstance(target, str):
        raise SettingError(f"{group}._target_: {target!a} is not the name of a class")
    return own[group](str(name), target, rest)


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
    """Return the checked settings of the lottery from the `pruning` group.

    Raises:
        LotteryError: if a value is out of its range.
    """
    pruning = {key: value for key, value in vars(config.pruning).items() if key not in ("rounds", "ticket")}
    settings = Settings(**pruning, seed=config.seed)
    is_branch = config.branch.of is not None  # which prunes nothing, and whose trunk has reached the rewinding point
    if (
        not settings.plan.is_single
        and not is_branch
        and parse_pattern(settings.pattern).density is not None
        and config.pruning.rounds > 1
    ):
        raise LotteryError(f"rounds: pruning.pattern={settings.pattern} is reached in round 1; give pruning.rounds=1")
    rewind = Rewind.parse(settings.rewind)
    if rewind.point == "epoch" and rewind.at and rewind.at > config.trainer.max_epochs and not is_branch:
        raise LotteryError(
            f"rewind: {rewind} lies beyond the {config.trainer.max_epochs} epochs of round 0; "
            f"choose K ≤ {config.trainer.max_epochs}, or a larger trainer.max_epochs"
        )
    return settings


@cache
def _schema() -> DictConfig:
    return OmegaConf.structured(Config)


@cache
def setting_names() -> tuple[str, ...]:
    """Return every setting by its full name, such as `pruning.amount`; of groups with choices those of all of them."""
    own = [name for name in _names(_schema()) if name not in CHOICES]
    of_trackers = (f"logger.{name}.{one.name}" for name, kind in TRACKERS.items() for one in fields(kind))
    return (*own, *(f"{group}.{key}" for group in CHOICES for key in keys_of(group)), *of_trackers)


def no_such_setting(name: str, chosen: type | None = None) -> str:
    """Return the error for a setting that does not exist, or that the chosen class of its group does not read."""
    known = setting_names()
    if name in known and chosen is not None:
        reads = ", ".join(one for one in _fields(chosen) if one not in ("name", "kind")) or "none"
        return f"{name}: {chosen.choice} does not read it; it reads {reads}"  # pyright: ignore
    if name in known:
        return f"{name}: the class chosen by _target_ has no default for it; write +{name}=… to pass it as an argument"
    namesakes = [other for other in known if other.rsplit(".", 1)[-1] == name.rsplit(".", 1)[-1]]
    groups = dict.fromkeys(other.partition(".")[0] for other in known)
    close = difflib.get_close_matches(name, [*groups, *known], n=1) or namesakes
    return f"{name}: no such setting{f'; did you mean {close[0]}?' if close else ''}; --help lists them all"


def _names(config: DictConfig) -> Iterator[str]:
    for group in config:
        node = config._get_node(group)
        if isinstance(node, DictConfig):
            yield from (f"{group}.{key}" for key in node)
        else:
            yield str(group)
