"""Time the criteria: `python -m benchmarks.scoring [--data FOLDER] [--json FILE] …`.

Rounds of the same network take turns in one process. Each trains a few batches and ends; the next round prunes by its
criterion, which is timed as a whole (copying the module, loading batches, scoring, pruning), and trains as many batches
as criteria see, which is timed too. Then one network is pruned by SynFlow in many iterations.
"""

from __future__ import annotations

import argparse
import copy
from collections.abc import Sequence
from functools import partial
from itertools import cycle, islice
from time import perf_counter
from typing import Any

import pytorch_lightning as pl

from benchmarks.measuring import keep, spread
from benchmarks.peers import Start, begin
from benchmarks.step import PACKAGES, add_text_options, check_text_options, set_up, settings
from lt_lightning.callbacks import PruningCallback
from lt_lightning.data.batches import Batch
from lt_lightning.data.corpus import load_corpus
from lt_lightning.data.module import TextDataModule
from lt_lightning.errors import SettingError
from lt_lightning.experiment.hydra_main import fail
from lt_lightning.lottery import Lottery, Settings
from lt_lightning.models import Learner, MultiCNN
from lt_lightning.models.build import build_optimizer


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the command line, measure, print the numbers, and write the JSON."""
    options = parse(arguments)
    machine = set_up(options.threads, PACKAGES)
    config = settings(options.data, options.words)
    data = TextDataModule(load_corpus(config.data), config.data, config.embedding, config.seed)
    batches = list(islice(cycle(data.train_dataloader()), options.batches))
    start = begin(config, options.words, len(data.corpus.class_names), 0.0)
    seconds: dict[str, list[float]] = {name: [] for name in ("training", *options.criteria)}
    for turn in range(options.turns + 1):
        first = turn % len(options.criteria)
        for criterion in options.criteria[first:] + options.criteria[:first]:
            pruning, training = measure_round(start, batches, criterion)
            if turn:  # the first turn warms up
                seconds[criterion].append(pruning)
                seconds["training"].append(training)
    training = spread(seconds["training"])
    print(f"\ntraining {len(batches)} batches: {training.format(2)} s", flush=True)
    for name in options.criteria:
        times = spread(seconds[name])
        print(f"pruning by {name}: {times.format(2)} s, {times.median / training.median:.2f} of it", flush=True)
    flow = [measure_synflow(start, batches[0], options.iterations) for _ in range(options.turns)]
    print(
        f"synflow, {options.iterations} iterations over {start.mask.total:,} entries: {spread(flow).format(1)} s",
        flush=True,
    )
    keep("scoring", options, machine, seconds=seconds, synflow=flow)


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Return the checked options.

    Raises:
        SettingError: an option is out of range, or there is no text.
    """
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scoring", description=__doc__)
    add_text_options(parser)
    parser.add_argument("--batches", type=int, default=40, help="batches that are scored, and trained (%(default)s)")
    parser.add_argument("--turns", type=int, default=5, help="rounds of each criterion that count (%(default)s)")
    parser.add_argument("--iterations", type=int, default=100, help="iterations of SynFlow (%(default)s)")
    parser.add_argument("--criteria", nargs="+", default=["magnitude", "snip"], help="criteria (%(default)s)")
    options = parser.parse_args(arguments)
    check_text_options(options, {"batches": 1, "turns": 2, "iterations": 1})
    return options


class _Clock(pl.Callback):
    """Times pruning as a round begins, and its training."""

    def __init__(self) -> None:
        self.pruning = self.training = 0.0

    def before_pruning(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.pruning = -perf_counter()

    def after_pruning(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.pruning += perf_counter()

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.training = -perf_counter()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.training += perf_counter()


def measure_round(start: Start[MultiCNN], batches: Sequence[Batch], criterion: str) -> tuple[float, float]:
    """Return the seconds of pruning and of training in round 1."""
    given = {key: value for key, value in vars(start.config.trainer).items() if value is not None}
    pruning = PruningCallback(
        submodule="network", criterion=criterion, rewind="none", score_batches=len(batches), amount=0.2
    )
    network = copy.deepcopy(start.network)
    learner = Learner(network, start.classes, partial(build_optimizer, start.config.optimizer))
    clock = _Clock()
    for count in (3, len(batches)):
        trainer = pl.Trainer(**{**given, "max_epochs": 1, "limit_train_batches": count}, callbacks=[pruning, clock])
        trainer.fit(learner, _Batches(batches))
    return clock.pruning, clock.training


class _Batches:
    """Batches for a Trainer."""

    def __init__(self, batches: Sequence[Batch]) -> None:
        self._batches = batches

    def __iter__(self) -> Any:
        return iter(self._batches)

    def __len__(self) -> int:
        return len(self._batches)


def measure_synflow(start: Start[MultiCNN], batch: Batch, iterations: int) -> float:
    """Return the seconds of pruning a network to a hundredth before training."""
    lottery = Lottery(
        Settings(criterion="synflow", schedule="at_init", density=0.01, iterations=iterations, scope="global")
    )
    network = copy.deepcopy(start.network)
    began = perf_counter()
    lottery.begin_round(network, lambda part: {"example": lambda: (batch.ids, batch.lengths)})
    return perf_counter() - began


if __name__ == "__main__":
    try:
        main()
    except SettingError as error:
        fail(str(error))
