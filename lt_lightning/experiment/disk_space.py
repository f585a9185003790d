"""Estimate the room that a run's files will take on disk, before it begins."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from torch import nn

from lt_lightning.config.schema import Config, TestOn
from lt_lightning.lottery import LotteryError, Mask, Settings, counts_after
from lt_lightning.lottery.schedules.registry import Rounds
from lt_lightning.lottery.scopes import SCOPES

log = logging.getLogger(__name__)

Counts = Mapping[str, int]
"""Living entries by parameter name."""

_MOMENTS = {"sgd": 1}
"""Numbers that an optimizer keeps of each weight; Adam, and any other at most, one of a module too, keeps two."""


@dataclass(frozen=True)
class DiskUse:
    """The bytes that a run will write, besides its tables and figures.

    Attributes:
        base: the file that tickets and checkpoints refer to; 0 if it is on disk.
        tickets: the tickets that are on disk at once.
        count: how many these are.
        checkpoints: the checkpoints of a round that are on disk at once.
        starts: what the rounds of a branch begin with, each kept until its round is over; 0 if it is on disk.
    """

    base: int
    tickets: int
    count: int
    checkpoints: int
    starts: int = 0

    @property
    def total(self) -> int:
        """Return the sum."""
        return self.base + self.tickets + self.checkpoints + self.starts

    def describe(self, free: int) -> str:
        """Return a line that says where the bytes go, and how many are free."""
        tickets = f"{self.count} tickets" if self.count > 1 else "a ticket"
        parts = [
            f"{show_bytes(self.base)} of weights that are kept once" if self.base else "",
            f"{show_bytes(self.tickets)} of {tickets}",
            f"{show_bytes(self.checkpoints)} of checkpoints while a round trains" if self.checkpoints else "",
            f"{show_bytes(self.starts)} of first weights until their rounds are over" if self.starts else "",
        ]
        return f"disk: about {show_bytes(self.total)}: {', '.join(filter(None, parts))}; {show_bytes(free)} are free"


def show_bytes(count: int) -> str:
    """Return a number of bytes in a unit to read.

    >>> [show_bytes(count) for count in (400, 23_000, 4_711_640, 91_300_000, 2_400_000_000)]
    ['400 bytes', '23 kB', '4.7 MB', '91.3 MB', '2.4 GB']
    """
    for unit, size, digits in (("GB", 10**9, 1), ("MB", 10**6, 1), ("kB", 10**3, 0)):
        if count >= size:
            return f"{count / size:.{digits}f} {unit}"
    return f"{count} bytes"


def expected_counts(mask: Mask, settings: Settings, first: int, rounds: int) -> dict[int, Counts]:
    """Return how many entries of each parameter the rounds from `first` to `rounds` are expected to leave alive.

    Args:
        mask: the mask before the round `first`.
        settings: how each round prunes.
        first: the next round.
        rounds: the last round.

    >>> import torch
    >>> expected_counts(Mask({"w": torch.ones(8) > 0}), Settings(amount=0.5), first=0, rounds=2)
    {0: {'w': 8}, 1: {'w': 4}, 2: {'w': 2}}
    """
    plan, counts = settings.plan, dict(mask.counts)
    if not isinstance(plan, Rounds):
        return dict.fromkeys(range(first, rounds + 1), counts)  # pruned while they train: at most as many as now
    shapes = {name: tuple(alive.shape) for name, alive in mask.items()}
    scope = settings.scope if settings.scope in SCOPES else "global"
    found = {}
    for number in range(first, rounds + 1):
        if number:
            amount = plan.amount_in(number)
            with suppress(LotteryError):  # the weights decide, and the round itself refuses it
                left = counts_after(
                    counts, shapes, amount, scope=scope, amount_of=plan.amount_of, amounts=plan.amounts
                )  # fmt: skip
                counts = left or counts
        found[number] = counts
    return found


def estimate(
    config: Config, network: nn.Module, rounds: Mapping[int, Counts], tokenizer: str, *, rewinds: bool, is_begun: bool
) -> DiskUse:
    """Return the room that the files of the rounds take; it is less where rows do not change, which is not foreseen.

    Args:
        config: the settings.
        network: the network.
        rounds: the living entries of the prunable parameters, by round, of the rounds to train.
        tokenizer: the tokenizer of the tickets.
        rewinds: whether rounds rewind to weights that are kept.
        is_begun: whether the file that tickets refer to is on disk, and what the rounds of a branch begin with.
    """
    state = network.state_dict()
    frozen = {name for name, param in network.named_parameters() if not param.requires_grad}
    kept = state if rewinds else {name: state[name] for name in frozen if name in state}
    base = sum(tensor.nbytes for tensor in kept.values()) + len(json.dumps(json.dumps(tokenizer)))

    def weights(counts: Counts, *, trained: bool = False, left_out: Collection[str] = frozen) -> int:
        size = 0
        for name, tensor in state.items():
            alive = counts.get(name, tensor.numel())
            if name not in left_out and not (trained and not tensor.is_floating_point()):
                bits = (tensor.numel() + 7) // 8 if alive < tensor.numel() else 0
                size += alive * tensor.element_size() + bits
        return size

    tickets = [weights(counts) for counts in rounds.values()]
    if config.tickets.keep.value == "last":
        tickets = sorted(tickets)[-2:]  # the newest, and the one before until the newest is whole
    largest = max(rounds.values(), key=lambda counts: sum(counts.values()), default={})
    copies = 1 + (config.test_on == TestOn.best)
    moments = 2 if config.optimizer is None else _MOMENTS.get(config.optimizer.name, 2)
    checkpoint = copies * weights(largest) + moments * weights(largest, trained=True)
    at_once = min(2, config.trainer.max_epochs - 1)  # the older one goes once the newer one is whole
    starts = sum(weights(counts, left_out=()) for counts in rounds.values()) if config.branch.of is not None else 0
    use = DiskUse(base, sum(tickets), len(tickets), at_once * checkpoint, starts)
    return replace(use, base=0, starts=0) if is_begun else use


def report_use(run: Path, use: DiskUse) -> str:
    """Log how much a run will write, and return the line; if less is free on its disk, warn, and return nothing."""
    free = shutil.disk_usage(next(folder for folder in (run, *run.absolute().parents) if folder.is_dir())).free
    if use.total <= free:
        log.info(use.describe(free))
        return use.describe(free)
    log.warning("%s: free some space in %s, or give tickets.keep=last", use.describe(free), run)
    return ""
