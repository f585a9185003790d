"""The configuration's types and ranges. Its values, with a comment each, are the files under `conf/`.

Checked before torch or Lightning are loaded, so that a rejected setting answers at once.
"""

# OmegaConf reads these annotations at run time; Optional, List and Union are what it knows on every Python from 3.10.
# ruff: noqa: UP006, UP007, UP035, UP045
import difflib
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, List, Optional, Union

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING, DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from lt_lightning.errors import SettingError
from lt_lightning.lottery.settings import LotteryError, Rewind, Settings


class TestOn(str, Enum):
    """Which weights of a round are tested, kept as its ticket and pruned next."""

    last = "last"
    best = "best"


class Splitter(str, Enum):
    """How texts fall into words."""

    words = "words"
    spacy = "spacy"


@dataclass
class DataConfig:
    """The `data` group: what is read, and how it is cut into batches."""

    name: str = MISSING
    hub: Optional[str] = None
    path: Optional[str] = None
    text_column: str = MISSING
    label_column: str = MISSING
    class_names: Optional[List[str]] = None
    limit: Optional[int] = None
    valid_fraction: float = MISSING
    tokenizer: Splitter = MISSING
    max_vocab: int = MISSING
    max_length: Optional[int] = None
    batch_size: int = MISSING
    num_workers: int = MISSING


@dataclass
class EmbeddingConfig:
    """The `embedding` group: where word vectors start."""

    name: str = MISSING
    dim: int = MISSING
    max_vocab: int = MISSING
    path: Optional[str] = None
    hub: Optional[str] = None
    hub_file: Optional[str] = None


@dataclass
class ModelConfig:
    """The `model` group: the network. A key that the chosen one does not read is null."""

    name: str = MISSING
    dropout: float = MISSING
    filters: Optional[int] = None
    widths: Optional[List[int]] = None
    hidden: Optional[int] = None
    layers: Optional[int] = None


@dataclass
class OptimizerConfig:
    """The `optimizer` group. A key that the chosen one does not read is null."""

    name: str = MISSING
    lr: float = MISSING
    weight_decay: float = MISSING
    betas: Optional[List[float]] = None
    eps: Optional[float] = None
    momentum: Optional[float] = None
    fused: bool = MISSING


@dataclass
class PruningConfig:
    """The `pruning` group: how many rounds, and what `lottery.Settings` asks."""

    rounds: int = MISSING
    amount: float = MISSING
    criterion: str = MISSING
    scope: str = MISSING
    threshold: str = MISSING
    rewind: str = MISSING
    include: List[str] = MISSING
    exclude: List[str] = MISSING


@dataclass
class EarlyStoppingConfig:
    """When a round ends before its last epoch."""

    patience: Optional[int] = None
    min_delta: float = MISSING


@dataclass
class TrainerConfig:
    """The `trainer` group: every argument of Lightning's Trainer; null leaves Lightning's own default.

    `callbacks`, `logger`, `plugins`, `profiler` and `strategy` may be objects: give `_target_` and its arguments.
    """

    accelerator: Any = None
    strategy: Any = None
    devices: Any = None
    num_nodes: Optional[int] = None
    precision: Optional[Union[int, str]] = None
    logger: Any = None
    callbacks: Optional[List[Any]] = None
    fast_dev_run: Optional[Union[bool, int]] = None
    max_epochs: int = MISSING
    min_epochs: Optional[int] = None
    max_steps: Optional[int] = None
    min_steps: Optional[int] = None
    max_time: Any = None
    limit_train_batches: Optional[Union[int, float]] = None
    limit_val_batches: Optional[Union[int, float]] = None
    limit_test_batches: Optional[Union[int, float]] = None
    limit_predict_batches: Optional[Union[int, float]] = None
    overfit_batches: Optional[Union[int, float]] = None
    val_check_interval: Optional[Union[int, float]] = None
    check_val_every_n_epoch: Optional[int] = None
    num_sanity_val_steps: Optional[int] = None
    log_every_n_steps: Optional[int] = None
    enable_checkpointing: Optional[bool] = None
    enable_progress_bar: Optional[bool] = None
    enable_model_summary: Optional[bool] = None
    accumulate_grad_batches: Optional[int] = None
    gradient_clip_val: Optional[float] = None
    gradient_clip_algorithm: Optional[str] = None
    deterministic: Optional[Union[bool, str]] = None
    benchmark: Optional[bool] = None
    inference_mode: Optional[bool] = None
    use_distributed_sampler: Optional[bool] = None
    profiler: Any = None
    detect_anomaly: Optional[bool] = None
    barebones: Optional[bool] = None
    plugins: Any = None
    sync_batchnorm: Optional[bool] = None
    reload_dataloaders_every_n_epochs: Optional[int] = None
    default_root_dir: Optional[str] = None
    enable_autolog_hparams: Optional[bool] = None
    model_registry: Optional[str] = None


@dataclass
class Config:
    """A whole run."""

    name: str = MISSING
    seed: int = MISSING
    test_on: TestOn = MISSING
    data: DataConfig = field(default_factory=DataConfig)
    embedding: EmbeddingConfig = field(default_factory=EmbeddingConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    pruning: PruningConfig = field(default_factory=PruningConfig)
    early_stopping: EarlyStoppingConfig = field(default_factory=EarlyStoppingConfig)
    trainer: TrainerConfig = field(default_factory=TrainerConfig)


def register_schema() -> None:
    """Make the types known to Hydra, under the name that `conf/config.yaml` begins with."""
    ConfigStore.instance().store(name="schema", node=Config)


def read_config(composed: DictConfig) -> Config:
    """Turn a composed configuration into a checked one.

    Raises:
        SettingError: for the first value that is missing or out of its range.
    """
    settings = OmegaConf.create({key: composed[key] for key in composed if key != "hydra"}, flags={"struct": True})
    for name in _names(settings):
        if name not in setting_names():  # `+key=value` adds what the types do not know
            raise SettingError(no_such_setting(name))
    try:
        config = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(Config), settings))
    except OmegaConfBaseException as error:
        raise SettingError(f"{error.full_key}: {str(error.msg or error).splitlines()[0]}") from error
    assert isinstance(config, Config)
    for key, value, holds, remedy in _claims(config):
        if not holds:
            raise SettingError(f"{key}: {remedy}" if value is None else f"{key}: {value} is {remedy}")
    _check_unread(config)
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
    pruning = {key: value for key, value in vars(config.pruning).items() if key != "rounds"}
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

    def at_least(low: float, key: str, value: Optional[float]) -> tuple[str, Any, bool, str]:
        return key, value, value is None or value >= low, f"too small: it must be at least {low}"

    def inside(key: str, value: float, *, with_zero: bool = False) -> tuple[str, Any, bool, str]:
        low = value >= 0 if with_zero else value > 0
        return key, value, low and value < 1, f"not between 0{' (included)' if with_zero else ''} and 1"

    data, model, optimizer = config.data, config.model, config.optimizer
    yield "seed", config.seed, 0 <= config.seed < 2**32, "not between 0 and 4294967295"
    yield at_least(1, "data.batch_size", data.batch_size)
    yield at_least(1, "data.max_vocab", data.max_vocab)
    yield at_least(1, "data.max_length", data.max_length)
    yield at_least(1, "data.limit", data.limit)
    yield at_least(0, "data.num_workers", data.num_workers)
    yield inside("data.valid_fraction", data.valid_fraction)
    files = data.name == "files" and data.path is None
    yield "data.path", data.path, not files, "missing: data=files reads a folder with train and test files"
    yield at_least(1, "embedding.dim", config.embedding.dim)
    yield inside("model.dropout", model.dropout, with_zero=True)
    yield at_least(1, "model.filters", model.filters)
    yield (
        "model.widths",
        model.widths,
        model.widths is None or min(model.widths, default=0) > 0,
        "no list of widths ≥ 1",
    )
    yield at_least(1, "model.hidden", model.hidden)
    yield at_least(1, "model.layers", model.layers)
    yield "optimizer.lr", optimizer.lr, optimizer.lr > 0, "not above 0"
    yield at_least(0, "optimizer.weight_decay", optimizer.weight_decay)
    yield at_least(0, "optimizer.eps", optimizer.eps)
    betas = optimizer.betas
    fine = betas is None or (len(betas) == 2 and all(0 <= beta < 1 for beta in betas))
    yield "optimizer.betas", betas, fine, "no pair of numbers in [0, 1)"
    if optimizer.momentum is not None:
        yield inside("optimizer.momentum", optimizer.momentum, with_zero=True)
    yield at_least(0, "pruning.rounds", config.pruning.rounds)
    yield at_least(1, "early_stopping.patience", config.early_stopping.patience)
    trainer = config.trainer
    yield at_least(1, "trainer.max_epochs", trainer.max_epochs)
    dealt = "wrong here: rows are dealt out among processes already, each once; leave it false"
    yield "trainer.use_distributed_sampler", True, not trainer.use_distributed_sampler, dealt
    overfit = "wrong here: it would replace the batches; use data.limit to train on few rows"
    yield "trainer.overfit_batches", trainer.overfit_batches, not trainer.overfit_batches, overfit


_READ = {
    "model": {
        "cnn": {"filters", "widths"},
        "binary_cnn": {"filters", "widths"},
        "multi_cnn": {"filters", "widths"},
        "bilstm": {"hidden", "layers"},
    },
    "optimizer": {"adam": {"betas", "eps"}, "adamw": {"betas", "eps"}, "sgd": {"momentum"}},
}
"""Of the keys that only some choices of a group read: which choice reads which."""


def _check_unread(config: Config) -> None:
    """A setting that nothing would read is a mistake, and so is a missing one that something would."""
    for group, choices in _READ.items():
        values = vars(getattr(config, group))
        name = values["name"]
        if name not in choices:
            raise SettingError(f"{group}.name: {name!r} is none of {', '.join(choices)}; choose it with {group}=…")
        for key in sorted(set().union(*choices.values())):
            if key in choices[name] and values[key] is None:
                raise SettingError(f"{group}.{key}: {group}={name} needs a value")
            if key not in choices[name] and values[key] is not None:
                raise SettingError(f"{group}.{key}: {group}={name} does not read it; leave it out")


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
