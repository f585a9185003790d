"""Check that lotteries on the device have the masks and the losses of those on the CPU."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
import torch

from lt_lightning.runs.masks import read_masks
from lt_lightning.runs.rounds import ticket_path
from trials.gpu.results import Outcome, Request
from trials.gpu.runs import NETWORKS, corpus, network_settings, play


class Tolerance(NamedTuple):
    """How far a lottery on the device may be from one on the CPU.

    Attributes:
        masks: the largest share of entries whose mask differs in a round.
        losses: the largest difference of a loss, relative to the loss.
    """

    masks: float
    losses: float


TOLERANCES: Mapping[str, Tolerance] = MappingProxyType({
    "64-true": Tolerance(masks=0.0, losses=1e-6),
    "32-true": Tolerance(masks=0.02, losses=0.02),  # a sum of another order grows over the steps of three rounds
})  # fmt: skip
"""By precision; a mask that differs in one entry is another network from then on."""
REFERENCE = ("model.kernel=reference", "optimizer.kernel=reference")
"""The settings with which the CPU computes layer by layer, as a GPU does."""
EXACT = ("model.dropout=0", "trainer.deterministic=true")


def compare_with_cpu(request: Request) -> Outcome:
    """Run small lotteries of each network on the CPU and on the device, and compare their tickets and tables."""
    torch.backends.cudnn.allow_tf32 = False  # else convolutions round to 10 bits
    texts = corpus(request.folder)
    faults, evidence, numbers = [], [], {}
    for network in NETWORKS:
        settings = network_settings(network, request.folder)
        if settings is None:
            evidence.append(f"{network}: not compared, transformers is not installed")
            continue
        for precision, tolerance in TOLERANCES.items():
            common = ["data=files", f"data.path={texts}", *settings, *EXACT, f"trainer.precision={precision}"]
            on_cpu = [*common, *(one for one in REFERENCE if network != "encoder" or one.startswith("optimizer"))]
            folder = request.folder / f"{network}_{precision}"
            masks, losses = compare(
                play("cpu", folder / "cpu", *on_cpu), play(request.device, folder / "device", *common)
            )
            numbers[f"{network} {precision}"] = {"masks": masks, "losses": losses}
            evidence.append(f"{network} {precision}: masks differ in {masks:.2%}, losses by {losses:.1g}")
            if masks > tolerance.masks:
                faults.append(f"{network} {precision}: {masks:.2%} of a mask differ, more than {tolerance.masks:.2%}")
            if losses > tolerance.losses:
                faults.append(f"{network} {precision}: a loss differs by {losses:.1g}, more than {tolerance.losses:g}")
    return Outcome("; ".join(evidence), faults, numbers)


def compare(one: Path, other: Path) -> tuple[float, float]:
    """Return the largest share of a round's mask that differs, and the largest relative difference of a loss."""
    rows = [list(csv.DictReader((run / "results.csv").read_text().splitlines())) for run in (one, other)]
    shares, differences = [], []
    for first, second in zip(*rows, strict=True):
        masks = [read_masks(ticket_path(run, int(first["round"]))).masks for run in (one, other)]
        alive = [np.frombuffer(b"".join(mask[name] for name in masks[0]), np.uint8) for mask in masks]
        shares.append(float((alive[0] != alive[1]).mean()))
        for column in ("train_loss", "valid_loss", "test_loss"):
            a, b = float(first[column]), float(second[column])
            differences.append(abs(a - b) / max(abs(a), 1e-12))
    return max(shares), max(differences)
