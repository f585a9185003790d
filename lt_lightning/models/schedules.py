"""Learning rates over the steps of a round, as shares of the optimizer's rate.

Each share is a closed form of the step, so that a resumed round continues with the same rates. `step` is the number of
optimizer steps taken so far, `total` the number that the round takes at most.
"""

from __future__ import annotations

import math


def linear_warmup(step: int, *, total: int, warmup: float, final: float) -> float:
    """Return the share of a linear rise over `warmup` of the steps and a linear fall to `final`.

    >>> [linear_warmup(step, total=10, warmup=0.2, final=0.0) for step in (0, 2, 6, 10)]
    [0.3333333333333333, 1.0, 0.5, 0.0]
    """
    rise, fall = _progress(step, total, warmup)
    return rise if rise < 1 else 1 - (1 - final) * fall


def cosine(step: int, *, total: int, warmup: float, final: float) -> float:
    """Return the share of a linear rise over `warmup` of the steps and half a cosine down to `final`.

    >>> [round(cosine(step, total=8, warmup=0.0, final=0.1), 3) for step in (0, 4, 8)]
    [1.0, 0.55, 0.1]
    """
    rise, fall = _progress(step, total, warmup)
    return rise if rise < 1 else _half_cosine(1.0, final, fall)


def onecycle(step: int, *, total: int, warmup: float, div_factor: float, final_div_factor: float) -> float:
    """Return the share of `torch.optim.lr_scheduler.OneCycleLR` with `pct_start=warmup`, whose `max_lr` is 1.

    >>> [round(onecycle(step, total=11, warmup=0.5, div_factor=4.0, final_div_factor=10.0), 3) for step in (0, 10)]
    [0.25, 0.025]
    """
    first, top, last = 1 / div_factor, warmup * total - 1, total - 1
    if step < top:
        return _half_cosine(first, 1.0, step / top)
    return _half_cosine(1.0, first / final_div_factor, (step - top) / (last - top))


def _progress(step: int, total: int, warmup: float) -> tuple[float, float]:
    """Return how far the rise has come, with 1 at its end, and how far the fall, both in [0, 1]."""
    rising = round(warmup * total)
    return min(1.0, (step + 1) / (rising + 1)), min(1.0, max(0, step - rising) / max(1, total - rising))


def _half_cosine(start: float, end: float, progress: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * min(1.0, progress))) / 2
