"""What must hold of a configuration beyond its types, and what to say where it does not.

Needs neither torch nor Lightning, so that a rejected setting answers at once.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterator, Mapping
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from lt_lightning.config.choices import KERNELS, check_unread, fit_claims, model_claims
from lt_lightning.config.enums import CONVOLUTIONAL, RECURRENT
from lt_lightning.config.interpolation import find_interpolations
from lt_lightning.config.messages import explain
from lt_lightning.config.schema import Config, TrainerConfig
from lt_lightning.config.typed_paths import parse_delimiter
from lt_lightning.errors import SettingError
from lt_lightning.lottery.settings import LotteryError, Rewind, Settings

NO_TICKET = (
    "missing; make a ticket of a run's round, python -m lt_lightning.export RUN --round N -o FILE, and give "
    "pruning.ticket=FILE"
)
"""What to say where a run is to start from a ticket and is given none."""

LARGEST = 2**31 - 1
"""No setting needs a larger number, and libraries that count in 32 or 64 bits break on some."""


def read_config(composed: DictConfig) -> Config:
    """Turn a composed configuration into a checked one.

    Raises:
        SettingError: for the first value that is missing or out of its range.
    """
    try:
        settings = OmegaConf.create({key: composed[key] for key in composed if key != "hydra"}, flags={"struct": True})
        known = set(setting_names())
        for name in _names(settings):
            if name not in known:  # `+key=value` adds what the types do not know
                raise SettingError(no_such_setting(name))
        config = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(Config), settings))
    except OmegaConfBaseException as error:
        raise SettingError(explain(error)) from error
    assert isinstance(config, Config)
    for key, value, holds, remedy in _claims(config):
        if not holds:
            raise SettingError(f"{key}: {remedy}" if value is None else f"{key}: {value} is {remedy}")
    check_unread(config)
    try:
        lottery_settings(config)
    except LotteryError as error:
        raise SettingError(f"pruning.{error}") from error
    return config


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


def _claims(config: Config) -> Iterator[tuple[str, Any, bool, str]]:
    """What must hold beyond the types: the key, its value, whether it holds, and what is wrong if not."""

    def at_least(low: float, key: str, value: float | None) -> tuple[str, Any, bool, str]:
        if value is not None and value > LARGEST:
            return key, value, False, f"too large: it must be at most {LARGEST}"
        return key, value, value is None or value >= low, f"too small: it must be at least {low}"

    def above_0(key: str, value: float) -> tuple[str, Any, bool, str]:
        return key, value, 0 < value < math.inf, "not above 0" if not value > 0 else "not finite"

    def inside(key: str, value: float, *, with_zero: bool = False) -> tuple[str, Any, bool, str]:
        low = value >= 0 if with_zero else value > 0
        return key, value, low and value < 1, f"not between 0{' (included)' if with_zero else ''} and 1"

    data, model, optimizer = config.data, config.model, config.optimizer
    parts = config.name.split("/")
    yield "name", repr(config.name), not {"", ".", ".."} & {*parts}, "no name of a folder below outputs/; give one"
    # With `resume` it is read before the configuration is composed, and is not part of it.
    yield "trust", None, not config.trust, "only goes with resume=FOLDER; leave it out"
    yield "seed", config.seed, 0 <= config.seed < 2**32, "not between 0 and 4294967295"
    yield at_least(1, "data.batch_size", data.batch_size)
    yield at_least(1, "data.max_vocab", data.max_vocab)
    yield at_least(1, "data.max_length", data.max_length)
    yield at_least(1, "data.limit", data.limit)
    yield "data.num_workers", data.num_workers, 0 <= data.num_workers <= 1024, "not between 0 and 1024"
    yield at_least(1, "data.train_rows", data.train_rows)
    yield at_least(1, "data.test_rows", data.test_rows)
    if data.valid_fraction is not None:
        yield inside("data.valid_fraction", data.valid_fraction)
    if data.test_fraction is not None:
        yield inside("data.test_fraction", data.test_fraction)
    if data.delimiter is not None:
        single = len(parse_delimiter(data.delimiter)) == 1 and data.delimiter not in ('"', "\n", "\r")
        yield "data.delimiter", repr(data.delimiter), single, "not a single character; write , ; | or tab, or null"
    hubless = data.hub_config is not None and (data.hub is None or data.path is not None)
    yield (
        "data.hub_config",
        data.hub_config,
        not hubless,
        "a configuration of data.hub, which is not read; leave it out",
    )
    yield "data.path", "''", data.path != "", "empty; give a file, or a folder with train and test files"
    lacking = data.name == "files" and data.path is None and data.hub is None
    yield "data.path", data.path, not lacking, "missing: data=files reads a file, or a folder with train and test files"
    mistaken = data.name == "PyDocs" and data.hub is not None
    yield "data.hub", data.hub, not mistaken, "not what data=pydocs reads; use data=files"
    embedding = config.embedding
    yield "embedding.path", "''", embedding.path != "", "empty; give a .txt, .zip or .npy file of vectors"
    yield at_least(1, "embedding.dim", embedding.dim)
    yield above_0("embedding.std", embedding.std)
    unread = embedding.name != "glove" and embedding.path is not None
    yield (
        "embedding.path",
        embedding.path,
        not unread,
        f"not what embedding={embedding.name} reads; use embedding=glove",
    )
    if model.dropout is not None:
        yield inside("model.dropout", model.dropout, with_zero=True)
    yield at_least(1, "model.filters", model.filters)
    yield (
        "model.widths",
        model.widths,
        model.widths is None or min(model.widths, default=0) > 0,
        "no list of widths ≥ 1",
    )
    yield from model_claims(model)
    yield at_least(1, "model.hidden", model.hidden)
    yield at_least(1, "model.layers", model.layers)
    warmth = model.temperature
    yield "model.temperature", warmth, warmth is None or 0 <= warmth < math.inf, "no number from 0 on"
    yield at_least(1, "model.sample_length", model.sample_length)
    yield from fit_claims(config)
    yield above_0("optimizer.lr", optimizer.lr)
    yield at_least(0, "optimizer.weight_decay", optimizer.weight_decay)
    yield at_least(0, "optimizer.eps", optimizer.eps)
    betas = optimizer.betas
    fine = betas is None or (len(betas) == 2 and all(0 <= beta < 1 for beta in betas))
    yield "optimizer.betas", betas, fine, "no pair of numbers in [0, 1)"
    known = optimizer.kernel in (None, *KERNELS)
    yield "optimizer.kernel", optimizer.kernel, known, f"none of {', '.join(KERNELS)}"
    if optimizer.momentum is not None:
        yield inside("optimizer.momentum", optimizer.momentum, with_zero=True)
    yield at_least(0, "pruning.rounds", config.pruning.rounds)
    yield "pruning.ticket", None, config.pruning.ticket != "", NO_TICKET
    packs = config.pruning.ticket is None or model.name in (*CONVOLUTIONAL, RECURRENT)
    yield "pruning.ticket", None, packs, f"only classifiers of texts have tickets, not model={model.name}; leave it out"
    yield at_least(1, "early_stopping.patience", config.early_stopping.patience)
    unscaled = config.trainer.gradient_clip_val and config.trainer.precision in (16, "16", "16-mixed", "bf16-mixed")
    fits = not (optimizer.fused and unscaled)
    yield "optimizer.fused", None, fits, "true does not go with clipping and mixed precision; use optimizer.fused=false"
    slack = config.early_stopping.min_delta
    yield "early_stopping.min_delta", slack, 0 <= slack < math.inf, "no number from 0 on"
    yield from _trainer_claims(config.trainer)


def _trainer_claims(trainer: TrainerConfig) -> Iterator[tuple[str, Any, bool, str]]:
    """What the rounds need of the Trainer: each validated and tested, on batches that are dealt out already."""
    yield "trainer.max_epochs", trainer.max_epochs, trainer.max_epochs >= 1, "too small: it must be at least 1"
    refused = {
        "use_distributed_sampler": (False, "rows are dealt out among processes already, each once; leave it false"),
        "overfit_batches": (None, "it would replace the batches; use data.limit to train on few rows"),
        "val_check_interval": (None, "a round validates at the end of each epoch; leave it null"),
        "barebones": (None, "it would switch off what the records are made of; leave it null"),
    }
    for key, (allowed, remedy) in refused.items():
        value = getattr(trainer, key)
        yield f"trainer.{key}", value, value == allowed and type(value) is type(allowed), f"not possible here: {remedy}"
    for key in ("limit_train_batches", "limit_val_batches", "limit_test_batches", "max_steps"):
        value = getattr(trainer, key)
        yield f"trainer.{key}", value, value != 0, "not possible here: every round is trained, validated and tested"
    for key in ("accumulate_grad_batches", "check_val_every_n_epoch"):
        value = getattr(trainer, key)
        yield f"trainer.{key}", value, value is None or value >= 1, "too small: it must be at least 1"
    clip = trainer.gradient_clip_val
    yield "trainer.gradient_clip_val", clip, clip is None or 0 <= clip < math.inf, "no number from 0 on"
    sure = trainer.deterministic
    yield "trainer.deterministic", sure, sure in (None, True, False, "warn"), "none of true, false, warn"
    fine = trainer.logger in (None, True, False) or all(map(_is_object, _listed(trainer.logger)))
    yield "trainer.logger", trainer.logger, fine, "neither true nor false nor an object with _target_"
    objects = trainer.callbacks
    fine = objects is None or all(map(_is_object, objects))
    yield (
        "trainer.callbacks",
        objects,
        fine,
        "no list of objects; give each its _target_, as in [{_target_: my.Callback}]",
    )
    yield from _strategy_claims(trainer.strategy)
    for key, value in vars(trainer).items():
        for text in find_interpolations(value):
            yield f"trainer.{key}", text, False, "not possible here: Hydra would read ${ as an interpolation once more"


def _strategy_claims(strategy: Any) -> Iterator[tuple[str, Any, bool, str]]:
    """Of a strategy by name, or an object by its class: that every process has all weights, and is started by us."""
    given = strategy if isinstance(strategy, Mapping) else {}
    name = strategy if isinstance(strategy, str) else str(given.get("_target_", ""))
    words = f"{name} {given.get('start_method', '')}".lower()
    shards = any(word in words for word in ("fsdp", "deepspeed", "model_parallel", "modelparallel"))
    yield (
        "trainer.strategy",
        name,
        not shards,
        "not supported: it shards parameters among the processes, and pruning needs them whole in each; use ddp",
    )
    elsewhere = any(word in words for word in ("spawn", "fork", "notebook", "xla"))
    yield "trainer.strategy", name, not elsewhere, "not supported: it starts processes in a way of its own; use ddp"


def _is_object(value: Any) -> bool:
    """Whether Hydra makes an object of a value."""
    return isinstance(value, Mapping) and "_target_" in value


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def setting_names() -> list[str]:
    """Every setting by its full name, such as `pruning.amount`."""
    return list(_names(OmegaConf.structured(Config)))


def no_such_setting(name: str) -> str:
    """What to say of a setting that does not exist: perhaps another one was meant."""
    known = setting_names()
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
