"""Define the configuration's types and limits. The files under `conf/` hold the values, with a comment each.

The choices of `data`, `embedding`, `model`, `optimizer` and `scheduler` have a dataclass each, beside this file.

Imports neither torch nor Lightning, so that a refused setting answers immediately.
"""

# OmegaConf reads these annotations at run time; Optional, List and Union are what it knows on every Python from 3.10.
# ruff: noqa: UP006, UP007, UP035, UP045
from dataclasses import dataclass, field
from enum import Enum
from functools import cache
from typing import Any, Dict, List, Optional, Union

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING

from lt_lightning.config import encoders, models, optimizers, sources  # noqa: F401 (they register their choices)
from lt_lightning.config.choice import CHOICES, checked, limited
from lt_lightning.config.launchers import register_launchers
from lt_lightning.config.trackers import LoggerConfig


class TestOn(str, Enum):
    """The weights of a round that are tested, kept as its ticket and pruned next."""

    last = "last"
    best = "best"


class Keep(str, Enum):
    """The tickets that stay on disk, beside the newest."""

    all = "all"
    last = "last"
    winners = "winners"


@dataclass
class PruningConfig:
    """The `pruning` group: the number of rounds, the ticket to start from, and the fields of `lottery.Settings`."""

    rounds: int = limited(MISSING, least=0)
    amount: Any = MISSING  # a number or a list
    criterion: str = MISSING
    scope: str = MISSING
    threshold: str = MISSING
    rewind: str = MISSING
    include: List[str] = MISSING
    exclude: List[str] = MISSING
    redraw: List[str] = MISSING
    keep: List[str] = field(default_factory=list)
    renew: List[str] = field(default_factory=list)
    mask: str = "pruned"
    pattern: str = "unstructured"
    schedule: str = "rounds"
    amount_of: Optional[str] = None
    amounts: Any = None  # shares by pattern
    density: Optional[float] = None
    iterations: Optional[int] = None
    initial: Optional[float] = None
    begin: Any = None  # a step or a share
    end: Any = None
    every: Optional[int] = None
    drop_fraction: Optional[float] = None
    grow_batches: Optional[int] = None
    score_batches: int = 40
    temperature: Optional[float] = None
    ticket: Optional[str] = None


@dataclass
class TicketsConfig:
    """The `tickets` group: which tickets of rounds stay on disk."""

    keep: Keep = MISSING


@dataclass
class BranchConfig:
    """The `branch` group: the run whose tickets are trained again, and the rounds of these tickets."""

    of: Optional[str] = None
    rounds: Optional[List[int]] = None


@dataclass
class EarlyStoppingConfig:
    """When a round ends before its last epoch."""

    patience: Optional[int] = limited(None, least=1)
    min_delta: float = limited(MISSING, least=0, below=float("inf"))


def _never_0() -> Any:
    said = "not possible here: every round is trained, validated and tested"
    return checked(None, lambda value: None if value else said)


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
    max_epochs: int = limited(MISSING, least=1)
    min_epochs: Optional[int] = None
    max_steps: Optional[int] = _never_0()
    min_steps: Optional[int] = None
    max_time: Any = None
    limit_train_batches: Optional[Union[int, float]] = _never_0()
    limit_val_batches: Optional[Union[int, float]] = _never_0()
    limit_test_batches: Optional[Union[int, float]] = _never_0()
    limit_predict_batches: Optional[Union[int, float]] = None
    overfit_batches: Optional[Union[int, float]] = _never_0()
    val_check_interval: Optional[Union[int, float]] = None
    check_val_every_n_epoch: Optional[int] = limited(None, least=1)
    num_sanity_val_steps: Optional[int] = None
    log_every_n_steps: Optional[int] = None
    enable_checkpointing: Optional[bool] = None
    enable_progress_bar: Optional[bool] = None
    enable_model_summary: Optional[bool] = None
    accumulate_grad_batches: Optional[int] = limited(None, least=1)
    gradient_clip_val: Optional[float] = limited(None, least=0, below=float("inf"))
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
    seed: int = limited(MISSING, least=0, most=2**32 - 1)
    seed_order: Optional[int] = limited(None, least=0, most=2**32 - 1)  # typed seed.order, see `config.aliases`
    test_on: TestOn = MISSING
    metric: Optional[str] = None
    metric_mode: Optional[str] = None
    metrics: Dict[str, Any] = field(default_factory=dict)
    objective: Optional[str] = None
    objective_within: float = limited(1.0, least=0, below=float("inf"))
    objective_reference: Optional[float] = None
    resume: Optional[str] = None
    trust: bool = False
    report: bool = True
    debug_mode: Optional[str] = None  # typed debug=NAME, see `config.aliases`
    data: Any = MISSING  # these five are objects of `config.choice.CHOICES`, or `Custom`
    embedding: Any = MISSING
    model: Any = MISSING
    optimizer: Any = MISSING
    scheduler: Any = MISSING
    pruning: PruningConfig = field(default_factory=PruningConfig)
    tickets: TicketsConfig = field(default_factory=TicketsConfig)
    branch: BranchConfig = field(default_factory=BranchConfig)
    early_stopping: EarlyStoppingConfig = field(default_factory=EarlyStoppingConfig)
    trainer: TrainerConfig = field(default_factory=TrainerConfig)
    callbacks: Dict[str, Any] = field(default_factory=dict)
    logger: LoggerConfig = field(default_factory=LoggerConfig)

    @property
    def order_seed(self) -> int:
        """Return the seed of data order and dropout."""
        return self.seed if self.seed_order is None else self.seed_order


@cache
def register_schema() -> None:
    """Register the types with Hydra: `schema`, and each choice under the name that its file in `conf/` begins with."""
    store = ConfigStore.instance()
    store.store(name="schema", node=Config)
    for group, choices in CHOICES.items():
        for name, node in choices.items():
            store.store(group=group, name=f"_{name}_schema", node=node)
    register_launchers()
    store.repo = _Registry(store.repo)


class _Registry(dict[str, Any]):
    """Hydra's registry, shared instead of copied: `--help` copies all of it 85 times, more than half of its time.

    It returns copies of its entries.
    """

    def __deepcopy__(self, memo: object) -> Any:
        return self
