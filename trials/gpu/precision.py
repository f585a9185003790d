"""Check bfloat16: a run with `trainer.precision=auto` ends, keeps zeros, and is as accurate as in float32."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch

from lt_lightning.callbacks import PruningCallback
from trials.gpu.results import Outcome, Request
from trials.gpu.runs import corpus, network_settings, play

APART = 0.05
"""How much less accurate bfloat16 may be, as a share of the test rows, in the mean over the rounds."""


class ZeroWatch(pl.Callback):
    """Count the pruned entries that are not zero after each step of a fit.

    Args:
        file: the number, and the number of steps, are added here for each fit, in a line.
    """

    def __init__(self, file: str) -> None:
        self._file = Path(file)
        self._wrong = self._steps = 0

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Count."""
        everyone: list[pl.Callback] = trainer.callbacks  # pyright: ignore[reportAttributeAccessIssue]
        pruning = next(one for one in everyone if isinstance(one, PruningCallback))
        params = dict(pruning.module(pl_module).named_parameters())
        self._wrong += sum(int(params[name].detach()[~alive].count_nonzero()) for name, alive in pruning.mask.items())
        self._steps += 1

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write the numbers."""
        with self._file.open("a", encoding="utf-8") as file:
            file.write(f"{self._wrong} {self._steps}\n")


def compare_precisions(request: Request) -> Outcome:
    """Train the same lottery in bfloat16 and in single precision."""
    texts, zeros = corpus(request.folder, 640), request.folder / "zeros.txt"
    settings = network_settings("cnn", request.folder)
    assert settings is not None
    watcher = f"trainer.callbacks=[{{_target_: trials.gpu.precision.ZeroWatch, file: '{zeros}'}}]"
    accuracies, recorded = {}, {}
    # `auto` is single precision where there is no GPU.
    for name in ("auto" if request.device == "cuda" else "bf16-mixed", "32-true"):
        run = play(
            request.device, request.folder / name, "data=files", f"data.path={texts}", *settings,
            f"trainer.precision={name}", watcher,
        )  # fmt: skip
        rows = csv.DictReader((run / "results.csv").read_text().splitlines())
        accuracies[name] = [float(row["test_acc"]) for row in rows]
        recorded[name] = json.loads((run / "run.json").read_text())["precision"]
    (half, single), (used, _) = accuracies.values(), recorded.values()
    counted = [[int(part) for part in line.split()] for line in zeros.read_text().splitlines()]
    wrong, steps = (sum(column) for column in zip(*counted, strict=True))
    lost = sum(b - a for a, b in zip(half, single, strict=True)) / len(half)
    faults = []
    if used != "bf16-mixed" and torch.cuda.is_available() and torch.cuda.is_bf16_supported(including_emulation=False):
        faults.append(f"trainer.precision=auto trained in {used}")
    if wrong:
        faults.append(f"{wrong} pruned entries were not zero after a step")
    if lost > APART:
        faults.append(f"{used} is {lost:.1%} less accurate, more than {APART:.0%}")
    shown = {name: " ".join(f"{one:.3f}" for one in rounds) for name, rounds in accuracies.items()}
    zero = "" if wrong else f"; pruned entries were zero after each of {steps} steps"
    return Outcome(
        f"test accuracy by round in {used}: {shown[next(iter(shown))]}, in 32-true: {shown['32-true']}{zero}",
        faults,
        {"accuracies": accuracies, "precision": used, "steps": steps, "not_zero": wrong},
    )
