"""The choices of the group `scheduler`: one dataclass each; `conf/scheduler` holds the values, with a comment each."""

# OmegaConf reads these annotations at run time; Optional is what it knows on every Python from 3.10.
# ruff: noqa: UP045
from dataclasses import dataclass
from typing import ClassVar, Optional

from lt_lightning.config.choice import Custom, choice, limited, one_of


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
