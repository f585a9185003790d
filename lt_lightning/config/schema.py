"""The configuration's types. Its values, with a comment each, are the files under `conf/`; its ranges are in `checks`.

Needs neither torch nor Lightning, so that a rejected setting answers at once.
"""

# OmegaConf reads these annotations at run time; Optional, List and Union are what it knows on every Python from 3.10.
# ruff: noqa: UP006, UP007, UP035, UP045
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, List, Optional, Union

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING

from lt_lightning.config.enums import Splitter


class TestOn(str, Enum):
    """Which weights of a round are tested, kept as its ticket and pruned next."""

    last = "last"
    best = "best"


class Keep(str, Enum):
    """Which tickets of rounds stay on disk, beside the newest."""

    all = "all"
    last = "last"
    winners = "winners"


class DataKind(str, Enum):
    """What the rows of a corpus are, and where they come from."""

    texts = "texts"
    names = "names"
    pairs = "pairs"
    reversal = "reversal"

    @property
    def is_pairs(self) -> bool:
        """Whether rows are pairs of strings, or else texts."""
        return self in (DataKind.pairs, DataKind.reversal)


@dataclass
class DataConfig:
    """The `data` group: what is read, and how it is cut into batches. A key that no chosen kind reads is null."""

    name: str = MISSING
    kind: DataKind = MISSING
    hub: Optional[str] = None
    hub_config: Optional[str] = None
    path: Optional[str] = None
    delimiter: Optional[str] = None
    text_column: Optional[str] = None
    label_column: Optional[str] = None
    class_names: Optional[List[str]] = None
    split_names: Optional[bool] = None
    pairs: Any = None  # a list of pairs of strings: `data.pairs` says what is wrong with others
    alphabet: Optional[str] = None
    lengths: Optional[List[int]] = None
    train_rows: Optional[int] = None
    test_rows: Optional[int] = None
    limit: Optional[int] = None
    valid_fraction: Optional[float] = None
    test_fraction: Optional[float] = None
    tokenizer: Splitter = MISSING
    max_vocab: Optional[int] = None
    max_length: Optional[int] = None
    batch_size: int = MISSING
    num_workers: int = MISSING


@dataclass
class EmbeddingConfig:
    """The `embedding` group: where word vectors start."""

    name: str = MISSING
    dim: int = MISSING
    std: float = MISSING
    max_vocab: int = MISSING
    path: Optional[str] = None
    hub: Optional[str] = None
    hub_file: Optional[str] = None


@dataclass
class ModelConfig:
    """The `model` group: the network. A key that the chosen one does not read is null."""

    name: str = MISSING
    dropout: Optional[float] = None
    filters: Optional[int] = None
    widths: Optional[List[int]] = None
    initializer: Optional[str] = None
    kernel: Optional[str] = None
    cell: Optional[str] = None
    hidden: Optional[int] = None
    layers: Optional[int] = None
    bidirectional: Optional[bool] = None
    backend: Optional[str] = None
    input: Optional[str] = None
    head: Optional[str] = None
    unroll: Optional[str] = None
    prompt: Optional[str] = None
    temperature: Optional[float] = None
    sample_length: Optional[int] = None


@dataclass
class OptimizerConfig:
    """The `optimizer` group. A key that the chosen one does not read is null."""

    name: str = MISSING
    lr: float = MISSING
    weight_decay: float = MISSING
    betas: Optional[List[float]] = None
    eps: Optional[float] = None
    momentum: Optional[float] = None
    kernel: Optional[str] = None
    fused: bool = MISSING


@dataclass
class PruningConfig:
    """The `pruning` group: how many rounds, from which ticket on, and what `lottery.Settings` asks."""

    rounds: int = MISSING
    amount: float = MISSING
    criterion: str = MISSING
    scope: str = MISSING
    threshold: str = MISSING
    rewind: str = MISSING
    include: List[str] = MISSING
    exclude: List[str] = MISSING
    redraw: List[str] = MISSING
    ticket: Optional[str] = None


@dataclass
class TicketsConfig:
    """The `tickets` group: what becomes of the tickets that rounds leave."""

    keep: Keep = MISSING


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
    resume: Optional[str] = None
    trust: bool = False
    data: DataConfig = field(default_factory=DataConfig)
    embedding: EmbeddingConfig = field(default_factory=EmbeddingConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    pruning: PruningConfig = field(default_factory=PruningConfig)
    tickets: TicketsConfig = field(default_factory=TicketsConfig)
    early_stopping: EarlyStoppingConfig = field(default_factory=EarlyStoppingConfig)
    trainer: TrainerConfig = field(default_factory=TrainerConfig)


def register_schema() -> None:
    """Make the types known to Hydra, under the name that `conf/config.yaml` begins with."""
    store = ConfigStore.instance()
    store.store(name="schema", node=Config)
    store.repo = _Registry(store.repo)


class _Registry(dict[str, Any]):
    """Hydra's registry, shared where Hydra would copy all of it to look something up: 85 times for `--help`, more than
    half of what that took. It hands out copies of what is in it.
    """

    def __deepcopy__(self, memo: object) -> Any:
        return self
