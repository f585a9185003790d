"""Ways to prune a share of the living weights of a network: ours and others'.

A peer is a function of the weights by name, a mask of those alive (the others are zero), and the share to prune.
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
    """Ours, each tensor on its own."""
    return prune(_magnitudes(weights), mask, amount)


def everywhere(weights: Mapping[str, Tensor], mask: Mask, amount: float) -> Mask:
    """Ours, all entries together."""
    return prune(_magnitudes(weights), mask, amount, scope="global")


def percentile(weights: Mapping[str, Tensor], mask: Mask, amount: float) -> Mask:
    """Ours, by the notebook's rule."""
    return prune(_magnitudes(weights), mask, amount, threshold="percentile")


def by_torch(weights: Mapping[str, Tensor], mask: Mask, amount: float) -> None:
    """`torch.nn.utils.prune.global_unstructured`, on parameters that have a mask already."""
    pairs = []
    for name, weight in weights.items():
        part = nn.Module()
        part.weight = nn.Parameter(weight.clone())
        torch_prune.custom_from_mask(part, "weight", mask[name])
        pairs.append((part, "weight"))
    torch_prune.global_unstructured(pairs, pruning_method=torch_prune.L1Unstructured, amount=amount)


def by_sorting(weights: Mapping[str, Tensor], mask: Mask, amount: float) -> Mask:
    """A full sort of all living magnitudes, and what is below the one that it puts at the share."""
    flat = torch.cat([weight.abs()[mask[name]] for name, weight in weights.items()]).sort().values
    count = round(amount * len(flat))
    limit = flat[count - 1] if count else flat.new_tensor(-1.0)
    return Mask({name: mask[name] & (weight.abs() > limit) for name, weight in weights.items()})


def by_numpy(weights: Mapping[str, Tensor], mask: Mask, amount: float) -> dict[str, np.ndarray]:
    """The notebook's rule in the notebook's way."""
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
"""Exactly so many of the lowest."""

PERCENTILE_PEERS: Mapping[str, Peer] = MappingProxyType(
    {"prune, percentile": percentile, "numpy.percentile, as the notebook": by_numpy}
)
"""Everything below a percentile."""
