"""What makes an entry worth keeping: one criterion, one function.

A criterion takes the prunable parameters by name and a seeded CPU generator, and returns a score for each entry; the
lowest scores go first. A new one is a function here with its line in `CRITERIA`. (torch is imported for types alone:
the names can be checked without it.)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Generator, Tensor

    Criterion = Callable[[Mapping[str, Tensor], Generator], dict[str, Tensor]]


def magnitude(parameters: Mapping[str, Tensor], generator: Generator) -> dict[str, Tensor]:
    """|w|: small weights go first (Han et al. 2015, https://arxiv.org/abs/1506.02626)."""
    return {name: parameter.detach().abs() for name, parameter in parameters.items()}


def random(parameters: Mapping[str, Tensor], generator: Generator) -> dict[str, Tensor]:
    """Uniform in [0, 1): the control for every other criterion.

    Drawn on the CPU in float32, so that the device and the precision change nothing.
    """
    from torch import float32

    return {
        name: parameter.detach().new_empty(parameter.shape, device="cpu", dtype=float32).uniform_(generator=generator)
        .to(parameter.device)
        for name, parameter in parameters.items()
    }  # fmt: skip


CRITERIA: Mapping[str, Criterion] = MappingProxyType({"magnitude": magnitude, "random": random})
