"""The choices of the group `optimizer`: one dataclass each; `conf/optimizer` holds the values, with a comment each."""

# OmegaConf reads these annotations at run time; List is what it knows on every Python from 3.10.
# ruff: noqa: UP006, UP035, RUF009
from dataclasses import dataclass
from typing import ClassVar, List

from lt_lightning.config.choice import checked, choice, limited, one_of
from lt_lightning.config.models import KERNELS


def _betas_fault(betas: List[float]) -> str | None:
    fine = len(betas) == 2 and all(0 <= beta < 1 for beta in betas)
    return None if fine else "no pair of numbers in [0, 1)"


@dataclass
class OptimizerConfig:
    """What every optimizer reads.

    Attributes:
        target: the class that builds it; its arguments are the settings but `name` and `kernel`.
        decoupled: whether weight decay is decoupled from the gradient.
    """

    target: ClassVar[str]
    decoupled: ClassVar[bool] = False
    name: str = "adam"
    lr: float = limited(0.001, above=0, below=float("inf"))
    weight_decay: float = limited(0.0, least=0)
    fused: bool = True


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
