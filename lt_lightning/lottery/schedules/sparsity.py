"""Compute the sparsity that gradual pruning aims at, step by step."""

from __future__ import annotations

from lt_lightning.lottery.errors import LotteryError


def cubic_sparsity(step: int, begin: int, end: int, every: int, initial: float, final: float) -> float:
    """Return the sparsity after the pruning step at or before `step` (Zhu and Gupta 2017, arXiv:1710.01878).

    It rises from `initial` to `final` along s_t = s_f + (s_i − s_f)(1 − (t − begin) / (end − begin))³ and is constant
    between two pruning steps, which are `begin`, `begin + every`, … and `end`.

    Args:
        step: the optimizer step.
        begin: the first pruning step; before it the sparsity is `initial`.
        end: the last one; from it on the sparsity is `final`.
        every: steps from one pruning step to the next.
        initial: the sparsity at `begin`, in [0, 1].
        final: the sparsity at `end`, in [0, 1].

    Raises:
        LotteryError: if `every` is less than 1 or `end` is before `begin`.

    Examples:
        >>> [round(cubic_sparsity(step, 0, 30, 10, 0.0, 0.9), 4) for step in (0, 9, 10, 20, 30)]
        [0.0, 0.0, 0.6333, 0.8667, 0.9]
    """
    if every < 1:
        raise LotteryError(f"every: {every} is not a number of steps; give 1 or more")
    if end < begin:
        raise LotteryError(f"end: step {end} is before step {begin}, where pruning begins; give a later one")
    if step >= end:
        return final
    if step < begin:
        return initial
    pruned_at = step - (step - begin) % every
    return final + (initial - final) * (1 - (pruned_at - begin) / (end - begin)) ** 3
