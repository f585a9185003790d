"""The choices of the groups `optimizer` and `scheduler`: one dataclass each.

`conf/optimizer` and `conf/scheduler` hold the values, with a comment each.
"""

# OmegaConf reads these annotations at run time; List and Optional are what it knows on every Python from 3.10.
# ruff: noqa: UP006, UP035, UP045, RUF009
from dataclasses import dataclass
from typing import ClassVar, List, Optional

from lt_lightning.config.choice import Custom, checked, choice, limited, one_of
from lt_lightning.config.models import KERNELS


def _betas_fault(betas: List[float]) -> str | None:
    fine = len(betas) == 2 and all(0 <= beta < 1 for beta in betas)
    return None if fine else "not a pair of numbers in [0, 1)"


def _patterns_fault(patterns: List[str]) -> str | None:
    return None if all(patterns) else 'not a list of patterns; give some, such as ["*.bias"]'


@dataclass
class OptimizerConfig:
    """The settings of every optimizer.

    Attributes:
        target: the class that builds it; its arguments are the settings but `name`, `kernel` and `no_decay`.
        decoupled: whether weight decay is decoupled from the gradient.
    """

    target: ClassVar[str]
    decoupled: ClassVar[bool] = False
    name: str = "adam"
    lr: float = limited(0.001, above=0, below=float("inf"))
    weight_decay: float = limited(0.0, least=0)
    fused: bool = True
    no_decay: List[str] = checked([], _patterns_fault)


@choice("optimizer", "adam")
@dataclass
class Adam(OptimizerConfig):
    """Adam."""

    target: ClassVar[str] = "torch.optim.Adam"
    betas: List[float] = checked([0.9, 0.999], _betas_fault)
    eps: float = limited(1e-8, least=0)
    kernel: str = one_of("fast", *KERNELS)


@choice("optimizer", "adamw")
@dataclass
class AdamW(Adam):
    """Adam with decoupled weight decay."""

    target: ClassVar[str] = "torch.optim.AdamW"
    decoupled: ClassVar[bool] = True
    name: str = "adamw"
    weight_decay: float = limited(0.01, least=0)


@choice("optimizer", "sgd")
@dataclass
class SGD(OptimizerConfig):
    """Stochastic gradient descent with momentum."""

    target: ClassVar[str] = "torch.optim.SGD"
    name: str = "sgd"
    lr: float = limited(0.1, above=0, below=float("inf"))
    momentum: float = limited(0.9, least=0, below=1)


@choice("scheduler", "none")
@dataclass
class SchedulerConfig:
    """A constant learning rate.

    Attributes:
        target: the function that returns the share of `optimizer.lr` at a step; its arguments are the settings but
            `name`. None for a constant rate.
    """

    target: ClassVar[Optional[str]] = None
    name: str = "none"


@choice("scheduler", "linear_warmup")
@dataclass
class LinearWarmup(SchedulerConfig):
    """A linear rise to `optimizer.lr`, then a linear fall."""

    target: ClassVar[Optional[str]] = "lt_lightning.models.schedules.linear_warmup"
    name: str = "linear_warmup"
    warmup: float = limited(0.1, least=0, below=1)
    final: float = limited(0.0, least=0, most=1)


@choice("scheduler", "cosine")
@dataclass
class Cosine(SchedulerConfig):
    """Half a period of a cosine, after a linear rise."""

    target: ClassVar[Optional[str]] = "lt_lightning.models.schedules.cosine"
    name: str = "cosine"
    warmup: float = limited(0.0, least=0, below=1)
    final: float = limited(0.0, least=0, most=1)


@choice("scheduler", "onecycle")
@dataclass
class OneCycle(SchedulerConfig):
    """One cycle up to `optimizer.lr` and down, along half cosines."""

    target: ClassVar[Optional[str]] = "lt_lightning.models.schedules.onecycle"
    name: str = "onecycle"
    warmup: float = limited(0.3, least=0, below=1)
    div_factor: float = limited(25.0, least=1, below=float("inf"))
    final_div_factor: float = limited(1e4, least=1, below=float("inf"))


@dataclass
class CustomScheduler(Custom):
    """A class of the user's own, built with the optimizer and its own arguments.

    Attributes:
        interval: when it makes a step, also recorded among the arguments.
    """

    interval: str = one_of("epoch", "step", "epoch")

    def __post_init__(self) -> None:
        self.interval = self.arguments.setdefault("interval", "epoch")

    @property
    def target(self) -> str:
        """Return the full name of the class."""
        return self._target_
