"""Time one training step: `python -m benchmarks.step [--model cnn|bilstm] [--device cuda] [--data FOLDER] …`."""

from __future__ import annotations

import argparse
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from time import perf_counter
from typing import Any

import torch
import torch.nn.functional as F
from hydra import compose, initialize_config_dir

from benchmarks import recurrent_peers
from benchmarks.measuring import Spread, check_options, keep, show_machine, spread, take_turns
from benchmarks.peers import LIGHTNING, NOTEBOOK, OURS, PEERS, Start, begin, fit
from lt_lightning.config.folder import config_folder
from lt_lightning.config.schema import Config, register_schema
from lt_lightning.config.validation import read_config
from lt_lightning.data.batches import Batch
from lt_lightning.data.corpus import load_corpus
from lt_lightning.data.module import TextDataModule
from lt_lightning.data.tokenizer import PADDING, SPECIAL_WORDS
from lt_lightning.errors import SettingError
from lt_lightning.experiment.hydra_main import fail, hide_progress_bars_in_pipes
from lt_lightning.models import MultiCNN

AG_NEWS = Path(__file__).parents[2] / "shared/data/ag_news"
"""The folder of AG News beside a checkout, if it exists."""
TRAINERS = {"cpu": "cpu", "cuda": "gpu"}
"""The `trainer` group by device."""
PACKAGES = ("torch", "pytorch-lightning", "numpy")


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the command line, measure, print the tables, and write the JSON."""
    options = parse(arguments)
    machine = set_up(options.threads, PACKAGES)
    config = settings(options.data, options.words, options.batch_size, options.model, options.device)
    data = TextDataModule(load_corpus(config.data), config.data, config.embedding, config.seed)
    batches = [
        on_device(wide_enough(config, batch), options.device)
        for batch in islice(cycle(data.train_dataloader()), options.warm_up + options.steps)
    ]
    text = describe_text(options, data, batches)
    print(f"text: {text}", flush=True)
    tables = []
    for sparsity in options.sparsity:
        if options.model == "bilstm":
            start = recurrent_peers.begin(config, options.words, len(data.corpus.class_names), sparsity, options.device)
            seconds, base = measure_recurrent(start, batches, options.warm_up), recurrent_peers.PACKED
        else:
            start = begin(config, options.words, len(data.corpus.class_names), sparsity, options.device)
            seconds, base = measure(start, batches, options.warm_up), NOTEBOOK
        rows = summarize(seconds, base)
        print(
            f"\n{start.mask.sparsity:.2%} of {start.mask.total:,} parameters pruned\n\n{table(rows, base)}\n",
            flush=True,
        )
        if LIGHTNING in seconds:
            around = spread([1000 * (a - b) for a, b in zip(seconds[LIGHTNING], seconds[OURS], strict=True)])
            print(f"Lightning around our step: {around.format(1)} ms", flush=True)
        summary = {name: {key: value._asdict() for key, value in row.items()} for name, row in rows.items()}
        tables.append({"sparsity": start.mask.sparsity, "summary": summary, "seconds": seconds})
    keep("step", options, machine, text=text, tables=tables)


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Return the checked options.

    Raises:
        SettingError: an option is out of range, or there is no text.
    """
    parser = argparse.ArgumentParser(prog="python -m benchmarks.step", description=__doc__)
    parser.add_argument("--model", choices=["cnn", "bilstm"], default="cnn", help="the network (%(default)s)")
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu", help="where to train (%(default)s)")
    add_text_options(parser)
    parser.add_argument("--batch-size", type=int, default=64, help="texts per step (%(default)s)")
    parser.add_argument("--steps", type=int, default=100, help="steps of each peer that count (%(default)s)")
    parser.add_argument("--warm-up", type=int, default=8, help="steps before the first that counts (%(default)s)")
    parser.add_argument("--sparsity", type=float, nargs="+", default=[0.0, 0.9885], help="sparsities (%(default)s)")
    options = parser.parse_args(arguments)
    check_text_options(options, {"batch_size": 1, "steps": 2, "warm_up": 0})
    if options.device == "cuda" and not torch.cuda.is_available():
        raise SettingError("--device: torch sees no CUDA device; leave it out to train on the CPU")
    for sparsity in options.sparsity:
        if not 0 <= sparsity <= 1:
            raise SettingError(f"--sparsity: {sparsity} is not between 0 and 1")
    return options


def add_text_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of a benchmark that trains on texts."""
    parser.add_argument("--data", type=Path, default=AG_NEWS, help="a folder that data.path takes (%(default)s)")
    parser.add_argument("--words", type=int, default=50_002, help="rows of the embedding (%(default)s)")
    parser.add_argument("--threads", type=int, default=2, help="torch's threads (%(default)s)")
    parser.add_argument("--json", type=Path, help="file for all numbers")


def check_text_options(options: argparse.Namespace, leasts: Mapping[str, float]) -> None:
    """Check options of `add_text_options`, and the least values of others; raise SettingError naming a wrong one."""
    check_options(options, {"words": 3, "threads": 1, **leasts})
    check_text_folder(options.data)


def check_text_folder(folder: Path) -> None:
    """Raise a SettingError unless there is a folder of texts."""
    if not folder.is_dir():
        raise SettingError(
            f"--data: there is no folder {folder}; give one with train and test as .parquet, .csv or .jsonl"
        )


def settings(data: Path, words: int = 50_002, batch_size: int = 64, model: str = "cnn", device: str = "cpu") -> Config:
    """Return the project's default settings for a run on the text in a folder, of this vocabulary and batch size."""
    register_schema()
    name = {"cnn": "multi_cnn", "bilstm": "bilstm"}[model]
    wishes = [
        "data=files",
        f"model={name}",
        f"trainer={TRAINERS[device]}",
        f"data.max_vocab={words - len(SPECIAL_WORDS)}",
    ]
    with initialize_config_dir(config_folder(), version_base="1.3"):
        composed = compose("config", [*wishes, f"data.batch_size={batch_size}"])
    composed.data.path = str(data)  # a path on the command line would have to be quoted
    return read_config(composed)


def wide_enough(config: Config, batch: Batch) -> Batch:
    """Return the batch, padded to the widest filter, which some peers need."""
    lacking = max(getattr(config.model, "widths", [0])) - batch.ids.shape[1]
    return batch._replace(ids=F.pad(batch.ids, (0, max(0, lacking)), value=PADDING))


def on_device(batch: Batch, device: str) -> Batch:
    """Return the batch on a device."""
    return batch._replace(ids=batch.ids.to(device), lengths=batch.lengths.to(device), labels=batch.labels.to(device))


def waiting(start: Start[Any]) -> Callable[[], object]:
    """Return a function that waits until the device of a start has done its work; on the CPU it does nothing."""
    device = next(start.network.parameters()).device
    return partial(torch.cuda.synchronize, device) if device.type == "cuda" else lambda: None


class Loader:
    """Batches from an iterator, with their number, for a Trainer."""

    def __init__(self, batches: Iterator[Batch], count: int) -> None:
        self._batches = batches
        self._count = count

    def __iter__(self) -> Iterator[Batch]:
        return self._batches

    def __len__(self) -> int:
        return self._count


def measure_recurrent(start: recurrent_peers.Start, batches: Sequence[Batch], warm_up: int) -> dict[str, list[float]]:
    """Return the seconds of each step that counts, by peer."""
    steps, wait = {name: make(start) for name, make in recurrent_peers.PEERS.items()}, waiting(start)
    seconds: dict[str, list[float]] = {name: [] for name in steps}
    for turn, batch in enumerate(batches):
        first = turn % len(steps)
        for name in [*steps][first:] + [*steps][:first]:
            began = perf_counter()
            steps[name](batch)
            wait()
            seconds[name].append(perf_counter() - began)
    return {name: numbers[warm_up:] for name, numbers in seconds.items()}


def measure(start: Start[MultiCNN], batches: Sequence[Batch], warm_up: int) -> dict[str, list[float]]:
    """Return the seconds of each step that counts, by peer; the peers take turns with a Trainer's fit."""
    steps = {name: make(start) for name, make in PEERS.items()}
    seconds: dict[str, list[float]] = {name: [] for name in [*steps, LIGHTNING]}
    # A Trainer reads no piece after the last: one more batch, so that the last step that counts is timed.
    turns = take_turns([*batches, batches[0]], steps, LIGHTNING, seconds, waiting(start))
    fit(start, Loader(turns, len(batches) + 1))
    return {name: numbers[warm_up : len(batches)] for name, numbers in seconds.items()}


def summarize(seconds: Mapping[str, Sequence[float]], base: str) -> dict[str, dict[str, Spread]]:
    """Return the milliseconds per step of each peer, and the ratio to the step of `base` on the same batch."""
    return {
        name: {
            "milliseconds": spread([1000 * number for number in numbers]),
            "ratio": spread([number / other for number, other in zip(numbers, seconds[base], strict=True)]),
        }
        for name, numbers in seconds.items()
    }


def table(rows: Mapping[str, Mapping[str, Spread]], base: str) -> str:
    """Return the summary in Markdown."""
    width = max(len(name) for name in rows)
    of = "the notebook's" if base == NOTEBOOK else "the packed step's"
    lines = [f"| {'one step':{width}} | ms: median (quartiles) | of {of} |", f"|{'-' * (width + 2)}|---|---|"]
    for name, row in rows.items():
        lines.append(f"| {name:{width}} | {row['milliseconds'].format(1)} | {row['ratio'].format(2)} |")
    return "\n".join(lines)


def describe_text(options: argparse.Namespace, data: TextDataModule, batches: Sequence[Batch]) -> str:
    """Return a description of the text, in a line."""
    places = sum(batch.ids.numel() for batch in batches) / sum(len(batch.ids) for batch in batches)
    known = len(data.words)
    rest = "" if known == options.words else f" (it has no more; the embedding has {options.words:,} rows)"
    return (
        f"{options.data}, {data.rows['train']:,} training rows, {known:,} words{rest}; {options.steps} steps of "
        f"{options.batch_size} texts, {places:.0f} words long on average with padding"
    )


def set_up(threads: int, packages: Sequence[str]) -> dict[str, Any]:
    """Set the number of threads and the seed, silence other output, and print and return the machine."""
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    silence()
    return show_machine(packages)


def silence() -> None:
    """Hide progress bars in pipes and Lightning's advice."""
    hide_progress_bars_in_pipes()
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    warnings.filterwarnings("ignore", module="pytorch_lightning")


if __name__ == "__main__":
    try:
        main()
    except SettingError as error:
        fail(str(error))
