"""Divide entries among parameters in proportion to the sums of their dimensions (Erdős–Rényi kernel).

Importing this file does not load torch.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from lt_lightning.lottery.errors import LotteryError


def erk_shares(shapes: Mapping[str, Sequence[int]], caps: Mapping[str, int], total: float) -> dict[str, float]:
    """Return `total` entries divided in proportion to the sums of the dimensions, none beyond its cap."""
    weights = {name: sum(shape) if len(shape) else 1 for name, shape in shapes.items()}
    shares: dict[str, float] = {}
    while len(shares) < len(weights):
        others = [name for name in weights if name not in shares]
        weight = sum(weights[name] for name in others)
        scale = (total - sum(shares.values())) / weight if weight else 0.0
        # Each that is capped leaves more for the others, so a cap that is exceeded once is always exceeded.
        capped = [name for name in others if scale * weights[name] >= caps[name]]
        shares.update({name: caps[name] if capped else scale * weights[name] for name in capped or others})
    return {name: float(shares[name]) for name in shapes}


def whole_numbers(shares: Mapping[str, float], caps: Mapping[str, int], total: int) -> dict[str, int]:
    """Return the shares rounded to whole numbers whose sum is `total`: the largest remainders are rounded up."""
    counts = {name: min(math.floor(share), caps[name]) for name, share in shares.items()}
    by_remainder = sorted(shares, key=lambda name: counts[name] - shares[name])
    missing = total - sum(counts.values())
    while missing:  # one pass, unless rounding errors have crossed a whole number
        for name in by_remainder if missing > 0 else reversed(by_remainder):
            step = (missing > 0) - (missing < 0)
            if step and 0 <= counts[name] + step <= caps[name]:
                counts[name] += step
                missing -= step
    return counts


def check_some_left(left: Mapping[str, int], before: Mapping[str, int], density: float) -> None:
    """Raise LotteryError if a parameter with entries `before` has none `left` at a density."""
    for name, count in left.items():
        if before[name] and not count:
            raise LotteryError(
                f"scope: erk at density {density:.3g} leaves none of the {before[name]:,} entries of {name!r}; give a "
                "larger density (a smaller amount), or exclude the parameter"
            )
