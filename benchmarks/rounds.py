"""Time a round without its steps: `python -m benchmarks.rounds [--words 50002] [--json FILE] …`."""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path
from time import perf_counter
from typing import Any

import pytorch_lightning as pl
import torch
from hydra import compose, initialize_config_dir
from rich.console import Console

from benchmarks.measuring import Spread, check_options, keep, spread, take_turns
from benchmarks.peers import training_step
from benchmarks.pruning_peers import PERCENTILE_PEERS, PRUNING_PEERS
from benchmarks.step import Loader, set_up
from lt_lightning.callbacks import (
    AgreementCallback,
    EpochSeeds,
    FiniteLossCallback,
    PruningCallback,
)
from lt_lightning.config.folder import config_folder
from lt_lightning.config.schema import Config, register_schema
from lt_lightning.config.validation import lottery_settings, read_config
from lt_lightning.data.batches import Batch
from lt_lightning.data.corpus import load_corpus
from lt_lightning.errors import SettingError
from lt_lightning.experiment.experiment import run_experiment
from lt_lightning.experiment.hydra_main import fail
from lt_lightning.experiment.measuring import History
from lt_lightning.experiment.progress import ProgressCallback, RoundsDisplay
from lt_lightning.experiment.round_checkpoint import RoundCheckpoint
from lt_lightning.experiment.trainer import make_trainer
from lt_lightning.lottery import Freezer, Lottery, Mask, prunable_parameters
from lt_lightning.models import Learner, MultiCNN
from lt_lightning.models.build import build_optimizer
from lt_lightning.runs.round_ticket import RoundTicket
from lt_lightning.runs.rounds import ticket_path, write_tables

PACKAGES = ("torch", "pytorch-lightning", "numpy")
BARE, LIGHTNING = "the loop itself", "in a Trainer, with a round's callbacks"
STEPS, WARM_UP = 300, 20
WORDS_A_TEXT = 25


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the command line, measure, print the tables, and write the JSON."""
    options = parse(arguments)
    machine = set_up(options.threads, PACKAGES)
    result: dict[str, Any] = {}
    for density in options.density:
        seconds = time_pruning(options.words, density, options.times)
        print(f"\n{table(f'pruning a fifth of {density:.2%} living', seconds, '60 for prune')}", flush=True)
        result[f"pruning at density {density}"] = seconds
    with tempfile.TemporaryDirectory() as scratch:
        seconds = time_rounds(options, Path(scratch))
        print(f"\n{table('a round', seconds, '1000 for all but the work')}", flush=True)
        result["rounds"] = seconds
        seconds = time_steps(settings([]), Path(scratch), options.steps)
        print(f"\n{table('a step of a tiny network', seconds, '')}")
        around = [a - b for a, b in zip(seconds[LIGHTNING], seconds[BARE], strict=True)]
        print(f"\nLightning around a step: {spread([1000 * one for one in around]).format(2)} ms", flush=True)
        result["steps"] = seconds
    keep("rounds", options, machine, seconds=result)


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Return the checked options.

    Raises:
        SettingError: an option is out of range.
    """
    parser = argparse.ArgumentParser(prog="python -m benchmarks.rounds", description=__doc__)
    parser.add_argument("--words", type=int, default=50_002, help="rows of the embedding (%(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="rounds that count (%(default)s)")
    parser.add_argument("--epochs", type=int, default=3, help="epochs per round (%(default)s)")
    parser.add_argument("--times", type=int, default=7, help="repetitions of each part (%(default)s)")
    parser.add_argument("--steps", type=int, default=STEPS, help="steps of the tiny network (%(default)s)")
    parser.add_argument("--threads", type=int, default=2, help="torch's threads (%(default)s)")
    parser.add_argument(
        "--density", type=float, nargs="+", default=[1.0, 0.5, 0.01], help="shares that live (%(default)s)"
    )
    parser.add_argument("--json", type=Path, help="file for all numbers")
    options = parser.parse_args(arguments)
    check_options(options, {"words": 30, "rounds": 2, "epochs": 1, "times": 2, "steps": 2, "threads": 1})
    for density in options.density:
        if not 0 < density <= 1:
            raise SettingError(f"--density: {density} is not in (0, 1]")
    return options


def time_pruning(words: int, density: float, times: int) -> dict[str, list[float]]:
    """Return the seconds of each peer to prune the same weights, in turns."""
    weights = {name: weight.detach() for name, weight in MultiCNN(words, 4).named_parameters()}
    mask = Mask({name: torch.rand(weight.shape) < density for name, weight in weights.items()})
    mask.apply_(weights)
    return by_turns(
        {name: partial(peer, weights, mask, 0.2) for name, peer in {**PRUNING_PEERS, **PERCENTILE_PEERS}.items()},
        times,
    )


def by_turns(parts: Mapping[str, Callable[[], object]], times: int) -> dict[str, list[float]]:
    """Return the seconds of each part, after one turn that does not count."""
    seconds: dict[str, list[float]] = {name: [] for name in parts}
    for _ in range(times + 1):
        for name, part in parts.items():
            began = perf_counter()
            part()
            seconds[name].append(perf_counter() - began)
    return {name: numbers[1:] for name, numbers in seconds.items()}


def time_rounds(options: argparse.Namespace, scratch: Path) -> dict[str, list[float]]:
    """Return the seconds of a round's parts, in a real run and one by one."""
    folder, clock, run = scratch / "texts", scratch / "clock", scratch / "run"
    write_texts(folder, options.words - 2)
    wishes = [
        f"data.max_vocab={options.words - 2}", "data.valid_fraction=0.02", "trainer.limit_train_batches=2",
        "trainer.limit_val_batches=1", "trainer.limit_test_batches=1", f"trainer.max_epochs={options.epochs}",
        f"pruning.rounds={options.rounds + 1}",
    ]  # fmt: skip
    config = settings(wishes)
    config.data.path = str(folder)
    config.trainer.callbacks = [{"_target_": "benchmarks.round_clock.RoundClock", "path": str(clock)}]
    run.mkdir()
    run_experiment(config, load_corpus(config.data), run, [])
    seconds = sum_rounds(clock.read_text())
    config.trainer.callbacks = None
    return seconds | time_parts(config, run, options.times)


def sum_rounds(clock: str) -> dict[str, list[float]]:
    """Return the sums of the events by round, without the first round and the last, which includes the report."""
    events = [(name, float(time)) for name, time in (line.split() for line in clock.splitlines())]
    starts = [time for name, time in events if name == "setup_fit"]
    rows: dict[str, list[float]] = {}
    for begin, end in pairwise(starts[1:]):
        within = [(name, time) for name, time in events if begin <= time < end]
        work = _between(within, "work_begins", "work_ends")
        found = {
            "a round": end - begin,
            "its work: steps, validation, test": work,
            "all but the work": end - begin - work,
            "of it between epochs": _between(within, "epoch_ended", "epoch_begins"),
        }
        for name, value in found.items():
            rows.setdefault(name, []).append(value)
    return rows


def _between(events: Sequence[tuple[str, float]], first: str, second: str) -> float:
    """Return the total time from each event `first` to the next `second`."""
    total, began = 0.0, None
    for name, time in events:
        if name == first:
            began = time
        elif name == second and began is not None:
            total, began = total + time - began, None
    return total


def time_parts(config: Config, run: Path, times: int) -> dict[str, list[float]]:
    """Return the seconds of a round's parts around its steps, one by one, on the run's last ticket."""
    from lt_lightning.runs.rounds import find_standing

    ticket = RoundTicket.load(ticket_path(run, config.pruning.rounds))
    played = find_standing(run).rounds
    network = MultiCNN(ticket.weights["embedding.weight"].shape[0], len(ticket.about["class_names"]))
    lottery = Lottery(lottery_settings(config))
    lottery.begin_round(network)
    lottery.end_round(network)

    def prune_and_rewind() -> None:
        lottery.begin_round(network)
        lottery.freezer(network)
        lottery.end_round(network)

    alone = by_turns(
        {
            "alone: a Trainer": lambda: make_trainer(config.trainer, [], run),
            "alone: pruning, rewinding, a freezer": prune_and_rewind,
            "alone: the ticket": lambda: ticket.save(run / "again.safetensors"),
            "alone: the tables": lambda: write_tables(run, played),
        },
        times,
    )
    assert prunable_parameters(network).keys() == lottery.mask.keys()
    return alone


def time_steps(config: Config, scratch: Path, steps: int) -> dict[str, list[float]]:
    """Return the seconds of a tiny network's steps, in a loop and in a Trainer, in turns."""
    batch = Batch(torch.randint(2, 50, (4, 6)), torch.full((4,), 6), torch.randint(0, 4, (4,)), 4, 24)
    learner = Learner(_tiny(), 4, partial(build_optimizer, config.optimizer))
    network = _tiny()
    optimizer = build_optimizer(config.optimizer, network.parameters())
    freezer = Freezer(dict(network.named_parameters()), Mask.ones(network.named_parameters()))

    step = training_step(network, optimizer, freezer)
    display = RoundsDisplay("", 0, 1, Console(quiet=True))
    callbacks: list[pl.Callback] = [
        FiniteLossCallback(0), PruningCallback(submodule="network"), AgreementCallback(), EpochSeeds(0, 0),
        ProgressCallback(display, 0),
    ]  # fmt: skip
    config.trainer.max_epochs = 1
    trainer = make_trainer(config.trainer, callbacks, scratch)
    trainer.callbacks += [History(0), RoundCheckpoint(scratch, 0)]  # pyright: ignore[reportAttributeAccessIssue]
    seconds: dict[str, list[float]] = {BARE: [], LIGHTNING: []}
    work = [batch] * (WARM_UP + steps + 1)  # the Trainer reads no piece after the last
    trainer.fit(learner, Loader(take_turns(work, {BARE: step}, LIGHTNING, seconds), len(work)))
    return {name: numbers[WARM_UP : WARM_UP + steps] for name, numbers in seconds.items()}


def _tiny() -> MultiCNN:
    return MultiCNN(50, 4, dim=4, filters=2, widths=[3])


def settings(wishes: Sequence[str]) -> Config:
    """Return the project's default settings for MultiCNN on texts in files."""
    register_schema()
    with initialize_config_dir(config_folder(), version_base="1.3"):
        return read_config(compose("config", ["data=files", "data.path=.", "model=multi_cnn", "trainer=cpu", *wishes]))


def write_texts(folder: Path, words: int) -> None:
    """Write a corpus whose training part has every word, whatever rows are drawn for validation."""
    folder.mkdir()
    rows = [range(begin, begin + WORDS_A_TEXT) for begin in range(0, words, WORDS_A_TEXT)]
    for split, part in (("train", rows * (2 + 200 // len(rows))), ("test", (8 * rows)[:8])):
        with (folder / f"{split}.jsonl").open("w", encoding="utf-8") as file:
            for number, row in enumerate(part):
                text = " ".join(f"w{word}" for word in row)
                file.write(json.dumps({"text": text, "label": "abcd"[number % 4]}) + "\n")


def table(title: str, seconds: Mapping[str, Sequence[float]], bar: str) -> str:
    """Return the milliseconds in Markdown."""
    summary: dict[str, Spread] = {name: spread([1000 * one for one in numbers]) for name, numbers in seconds.items()}
    width = max(map(len, [title, *summary]))
    heading = f"ms: median (quartiles){f'; bar {bar}' if bar else ''}"
    lines = [f"| {title:{width}} | {heading} |", f"|{'-' * (width + 2)}|---|"]
    return "\n".join([*lines, *(f"| {name:{width}} | {numbers.format(2)} |" for name, numbers in summary.items())])


if __name__ == "__main__":
    try:
        main()
    except SettingError as error:
        fail(str(error))
