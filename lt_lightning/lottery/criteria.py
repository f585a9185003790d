"""Pruning criteria: functions that score entries; the lowest scores are pruned first.

To add one, write a function and list it in `CRITERIA`, or pass your own function or its dotted path. A criterion
returns a tensor of real numbers per parameter, of its shape, and asks for its inputs by name, in any combination:

- `parameters`: the prunable parameters by name. A first argument of another name receives them too.
- `mask`: the current `Mask`.
- `generator`: a CPU `torch.Generator` seeded for the round.
- `gradients`: the gradient of the mean training loss for each parameter, of the weights that the last round left. It is
  computed if an argument has this name.

    def large_first(parameters, generator):
        return {name: -p.detach().abs() for name, p in parameters.items()}

Importing this file does not load torch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Generator, Tensor

Criterion = Callable[..., "Mapping[str, Tensor]"]


def magnitude(parameters: Mapping[str, Tensor], generator: Generator) -> dict[str, Tensor]:
    """Return |w|: small weights go first (Han et al. 2015, https://arxiv.org/abs/1506.02626)."""
    return {name: parameter.detach().abs() for name, parameter in parameters.items()}


def random(parameters: Mapping[str, Tensor], generator: Generator) -> dict[str, Tensor]:
    """Return uniform scores in [0, 1), the control for every other criterion.

    They are drawn on the CPU in float32, so they do not depend on the device or the precision.
    """
    from torch import float32

    return {
        name: parameter.detach().new_empty(parameter.shape, device="cpu", dtype=float32).uniform_(generator=generator)
        .to(parameter.device)
        for name, parameter in parameters.items()
    }  # fmt: skip


CRITERIA: Mapping[str, Criterion] = MappingProxyType({"magnitude": magnitude, "random": random})
