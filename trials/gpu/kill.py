"""Check that a run on the device that is killed and resumed ends as one left alone does."""

from __future__ import annotations

import json
import math
import random
from pathlib import Path

from trials.gpu.results import Outcome, Request
from trials.gpu.runs import TRAINERS
from trials.kills import outcome, try_run, write_corpus

KILLS = 2
"""SIGKILL as round 0 ends, and after a checkpoint within round 1: those of `trials.kills.TELLING`."""
APART = 1e-3
"""The largest difference of a number, relative to it or 1, where the bits differ."""


def kill_and_resume(request: Request) -> Outcome:
    """Kill a run with its most telling kills, in deterministic mode, and compare it with one left alone.

    This process must not touch the device: its children, which do, are forked.
    """
    import lt_lightning.experiment.experiment  # noqa: F401 (before the first fork; CUDA begins after it)

    write_corpus(request.folder / "corpus")
    settings = (
        "pruning.rewind=init",
        *TRAINERS[request.device],
        "trainer.deterministic=true",
        "trainer.max_epochs=2",
        "pruning.rounds=1",
    )
    faults = try_run("random", settings, KILLS, request.folder, random.Random(0))
    whole, killed = (request.folder / "random" / name for name in ("whole", "killed"))
    numbers = {"kills": KILLS, "faults": faults}
    if not faults:
        return Outcome(f"{KILLS} kills (SIGKILL), all tables and tickets equal to the byte", (), numbers)
    only_bits = all(" differs after kills " in line for line in faults)
    if only_bits and (apart := furthest_apart(whole, killed)) <= APART:
        return Outcome(
            f"{KILLS} kills; bits differ, numbers of results.csv by {apart:.1g} at most",
            (),
            {**numbers, "apart": apart},
        )
    return Outcome(f"{KILLS} kills", faults, numbers)


def furthest_apart(one: Path, other: Path) -> float:
    """Return the largest difference of a number in two runs' tables, relative to it or 1; infinity for a text."""
    rows = [json.loads(outcome(run)["results.csv"]) for run in (one, other)]
    pairs = [pair for lines in zip(*rows, strict=True) for pair in zip(*lines, strict=True) if pair[0] != pair[1]]
    try:
        return max((abs(float(a) - float(b)) / max(1.0, abs(float(a))) for a, b in pairs), default=0.0)
    except ValueError:
        return math.inf
