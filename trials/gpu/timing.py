"""Time steps beside the peers', and one whole lottery, on the device."""

from __future__ import annotations

import csv
import math
import subprocess
import sys
from collections.abc import Sequence
from itertools import cycle, islice
from pathlib import Path

from trials.gpu.results import Outcome, Request, SkipError
from trials.gpu.runs import COMMON, NETWORKS, TRAINERS, corpus

SPARSITIES = (0.0, 0.9885)
WARM_UP, STEPS = 8, 40


def time_steps(request: Request) -> Outcome:
    """Time this project's step and the peers' of `benchmarks.step`, on the same batches in turns."""
    from benchmarks import peers, step
    from lt_lightning.data.corpus import load_corpus
    from lt_lightning.data.module import TextDataModule

    if request.device == "stand_in":
        raise SkipError("the stand-in shows no times")
    words = 50_002 if request.device == "cuda" else 502
    config = step.settings(
        request.data or corpus(request.folder), words, 64 if request.data else 16, device=request.device
    )
    data = TextDataModule(load_corpus(config.data), config.data, config.embedding, config.seed)
    batches = [
        step.on_device(step.wide_enough(config, batch), request.device)
        for batch in islice(cycle(data.train_dataloader()), WARM_UP + STEPS)
    ]
    tables, evidence = [], []
    step.silence()
    for sparsity in SPARSITIES:
        start = peers.begin(config, words, len(data.corpus.class_names), sparsity, device=request.device)
        seconds = step.measure(start, batches, WARM_UP)
        rows = step.summarize(seconds, peers.NOTEBOOK)
        numbers = {name: {key: value._asdict() for key, value in row.items()} for name, row in rows.items()}
        tables.append({"sparsity": start.mask.sparsity, "summary": numbers, "table": step.table(rows, peers.NOTEBOOK)})
        shown = ", ".join(f"{name} {row['milliseconds'].format(2)}" for name, row in rows.items())
        evidence.append(f"{start.mask.sparsity:.2%} pruned, ms: {shown}")
    return Outcome("; ".join(evidence), (), {"tables": tables, "text": str(request.data or "drawn")})


def run_lottery(request: Request) -> Outcome:
    """Run `lt_agnews` on the device with the command line, on a part of AG News or, without it, on PyDocs."""
    run = request.folder / "run"
    data = [f"data.path={request.data}"] if request.data else ["data=pydocs"]
    settings = ["+experiment=lt_agnews", *data, *TRAINERS[request.device], *SHORTER]
    if request.device != "cuda":  # a small one, to check this check
        settings = ["data=files", f"data.path={corpus(request.folder)}", *TRAINERS[request.device], *SMALLER]
    return play_whole(settings, run, request.seconds - 5)


SHORTER = ("pruning.rounds=6", "pruning.amount=0.5", "trainer.max_epochs=5")
"""A lottery for a few minutes: 6 rounds of a half instead of 20 of a fifth."""
SMALLER = (*COMMON, *NETWORKS["cnn"], "trainer.max_epochs=2", "pruning.rounds=1")


def play_whole(settings: Sequence[str], run: Path, seconds: float) -> Outcome:
    """Run the command line with these settings for so many seconds at most, and return the accuracy of each round."""
    command = [sys.executable, "-m", "lt_lightning.train", *settings, f"hydra.run.dir={run}"]
    faults = []
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds, check=False)
        if done.returncode:
            faults.append(f"exit code {done.returncode}: {done.stderr.strip().splitlines()[-1][:300]}")
    except subprocess.TimeoutExpired:
        faults.append(f"not over after {seconds:.0f} s")
    table = run / "results.csv"
    rows = list(csv.DictReader(table.read_text().splitlines())) if table.exists() else []
    density = {row["round"]: int(row["alive"]) / int(row["total"]) for row in rows}
    shown = [
        f"{density[row['round']]:.1%} {float(row['test_acc']):.2%} ({float(row['seconds']):.1f} s)" for row in rows
    ]
    if any(not math.isfinite(float(row["test_loss"])) for row in rows):
        faults.append("a test loss is not finite")
    kept = [{key: row[key] for key in ("round", "alive", "total", "test_acc", "seconds")} for row in rows]
    return Outcome(
        f"density, test accuracy (seconds of the round): {', '.join(shown) or 'none'}", faults, {"rounds": kept}
    )
