"""Time runs whose masks change during training: `python -m benchmarks.schedules [--data FOLDER] [--json FILE] …`.

Each schedule trains the same network on the same batches in fits of Lightning's Trainer, in turns with a fixed random
mask of the same density.
"""

from __future__ import annotations

import argparse
import logging
import warnings
from collections.abc import Callable, Sequence
from itertools import cycle, islice
from time import perf_counter
from typing import Any

import pytorch_lightning as pl
import torch

from benchmarks.measuring import keep, spread
from benchmarks.step import PACKAGES, Loader, add_text_options, check_text_options, set_up, settings, wide_enough
from lt_lightning.callbacks import PruningCallback
from lt_lightning.config.schema import Config
from lt_lightning.data.batches import Batch
from lt_lightning.data.corpus import load_corpus
from lt_lightning.data.module import TextDataModule
from lt_lightning.errors import SettingError
from lt_lightning.experiment.hydra_main import fail
from lt_lightning.experiment.trainer import Unprofiled
from lt_lightning.models.build import build_learner

FIXED = "fixed mask"
SCHEDULES = ("set", "rigl", "gradual")


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the command line, measure, print the table, and write the JSON."""
    options = parse(arguments)
    machine = set_up(options.threads, PACKAGES)
    config = settings(options.data, options.words, options.batch_size)
    data = TextDataModule(load_corpus(config.data), config.data, config.embedding, config.seed)
    batches = [wide_enough(config, batch) for batch in islice(cycle(data.train_dataloader()), options.steps)]
    classes = len(data.corpus.class_names)
    makers: dict[str, Callable[[], PruningCallback]] = {
        FIXED: lambda: PruningCallback(schedule="at_init", criterion="random", **_common(options))
    }
    for name in SCHEDULES:
        makers[name] = lambda name=name: PruningCallback(schedule=name, **_common(options))
    seconds: dict[str, list[float]] = {name: [] for name in makers}
    for turn in range(options.turns + 1):
        order = [*makers]
        for name in order[turn % len(order) :] + order[: turn % len(order)]:
            took = time_fit(config, options.words, classes, batches, makers[name]())
            if turn:  # the first fits compile
                seconds[name].append(took)
    print(f"{options.steps} steps of {options.batch_size} texts at a density of {options.density:g}\n")
    for name, times in seconds.items():
        ratios = spread([one / fixed for one, fixed in zip(times, seconds[FIXED], strict=True)])
        milliseconds = spread([1000 * one / options.steps for one in times])
        print(f"{name:<12} {milliseconds.format(2)} ms a step   {ratios.format(2)} x the fixed mask", flush=True)
    keep("schedules", options, machine, seconds=seconds)


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Return the checked options.

    Raises:
        SettingError: an option is out of range, or there is no text.
    """
    parser = argparse.ArgumentParser(prog="python -m benchmarks.schedules", description=__doc__)
    add_text_options(parser)
    parser.add_argument("--batch-size", type=int, default=64, help="texts per step (%(default)s)")
    parser.add_argument("--steps", type=int, default=1000, help="steps of each fit (%(default)s)")
    parser.add_argument("--turns", type=int, default=5, help="fits of each schedule that count (%(default)s)")
    parser.add_argument("--density", type=float, default=0.05, help="share of living entries (%(default)s)")
    options = parser.parse_args(arguments)
    check_text_options(options, {"batch_size": 1, "steps": 20, "turns": 2})
    if not 0 < options.density < 1:
        raise SettingError(f"--density: {options.density} is not between 0 and 1")
    return options


def time_fit(config: Config, words: int, classes: int, batches: Sequence[Batch], pruning: PruningCallback) -> float:
    """Return the seconds of a fit, the choice of its first mask left out."""
    torch.manual_seed(0)
    learner = build_learner(config.model, config.embedding, config.optimizer, words=words, classes=classes)
    clock = Clock()
    trainer = pl.Trainer(
        max_epochs=1, callbacks=[pruning, clock], logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False, accelerator="cpu", devices=1, profiler=Unprofiled(), limit_val_batches=0,
    )  # fmt: skip
    trainer.fit(learner, Loader(iter(batches), len(batches)))
    return clock.seconds


class Clock(pl.Callback):
    """Measure the time from the first batch to the end of training."""

    def __init__(self) -> None:
        self.seconds, self._began = 0.0, 0.0

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start."""
        self._began = perf_counter()

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Stop."""
        self.seconds = perf_counter() - self._began


def _common(options: argparse.Namespace) -> dict[str, Any]:
    return {"density": options.density, "submodule": "network"}


if __name__ == "__main__":
    warnings.filterwarnings("ignore")
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    try:
        main()
    except SettingError as error:
        fail(str(error))
