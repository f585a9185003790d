"""Prune a share of a network's living weights, by this project and by others.

A peer takes the weights by name, the mask of the living ones (the others are zero), and the share to prune.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils import prune as torch_prune

from lt_lightning.lottery import Mask, prune

Peer = Callable[[Mapping[str, Tensor], Mask, float], object]


def layerwise(weights: Mapping[str, Tensor], mask: Mask, amount: float) -> Mask:
    """Prune each tensor by `prune`."""
    return prune(_magnitudes(weights), mask, amount)


def everywhere(weights: Mapping[str, Tensor], mask: Mask, amount: float) -> Mask:
    """Prune all entries together by `prune`."""
    return prune(_magnitudes(weights), mask, amount, scope="global")


def percentile(weights: Mapping[str, Tensor], mask: Mask, amount: float) -> Mask:
    """Prune by `prune` with the notebook's rule."""
    return prune(_magnitudes(weights), mask, amount, threshold="percentile")


def by_torch(weights: Mapping[str, Tensor], mask: Mask, amount: float) -> None:
    """Prune by `torch.nn.utils.prune.global_unstructured` on parameters that have a mask."""
    pairs = []
    for name, weight in weights.items():
        part = nn.Module()
        part.weight = nn.Parameter(weight.clone())
        torch_prune.custom_from_mask(part, "weight", mask[name])
        pairs.append((part, "weight"))
    torch_prune.global_unstructured(pairs, pruning_method=torch_prune.L1Unstructured, amount=amount)


def by_sorting(weights: Mapping[str, Tensor], mask: Mask, amount: float) -> Mask:
    """Sort all living magnitudes, and prune up to the one at the share."""
    flat = torch.cat([weight.abs()[mask[name]] for name, weight in weights.items()]).sort().values
    count = round(amount * len(flat))
    limit = flat[count - 1] if count else flat.new_tensor(-1.0)
    return Mask({name: mask[name] & (weight.abs() > limit) for name, weight in weights.items()})


def by_numpy(weights: Mapping[str, Tensor], mask: Mask, amount: float) -> dict[str, np.ndarray]:
    """Prune by the notebook's rule with the notebook's code."""
    kept = {}
    for name, weight in weights.items():
        array = weight.numpy()
        living = np.abs(array[np.nonzero(array)])
        limit = np.percentile(living, 100 * amount) if living.size else 0.0
        kept[name] = np.where(np.abs(array) < limit, 0, mask[name].numpy())
    return kept


def _magnitudes(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: weight.abs() for name, weight in weights.items()}


PRUNING_PEERS: Mapping[str, Peer] = MappingProxyType(
    {
        "prune, layerwise": layerwise,
        "prune, global": everywhere,
        "a full sort, global": by_sorting,
        "torch.nn.utils.prune, global": by_torch,
    }
)
"""Peers that prune an exact number of entries."""

PERCENTILE_PEERS: Mapping[str, Peer] = MappingProxyType(
    {"prune, percentile": percentile, "numpy.percentile, as the notebook": by_numpy}
)
"""Peers that prune all entries below a percentile."""
