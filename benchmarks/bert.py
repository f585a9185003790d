"""Time fine-tuning beside transformers' Trainer: `python -m benchmarks.bert [--data FOLDER] [--json FILE] …`.

Both train the same encoder with its pooler and a classifier, from the same weights, on the same rows, with the same
batch size, in single precision, by AdamW with and without weight decay, a linearly falling rate and clipping. They take
turns in one process:

- an epoch: ours from batches of similar lengths, transformers' from random batches padded to the longest of each;
- a step: both from the same padded batches.

Ours has a round of the whole network, and a round that begins with a prune and holds pruned entries at zero.
"""

from __future__ import annotations

import argparse
import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from itertools import cycle, islice
from pathlib import Path

from hydra import compose, initialize_config_dir

from benchmarks.measuring import Spread, check_options, keep, spread
from benchmarks.step import AG_NEWS, PACKAGES, check_text_folder, set_up
from lt_lightning.config.encoders import Encoder
from lt_lightning.config.folder import config_folder
from lt_lightning.config.schema import Config, register_schema
from lt_lightning.config.validation import read_config
from lt_lightning.data.corpus import load_corpus
from lt_lightning.data.module import TextDataModule
from lt_lightning.data.sources.encoders import find_encoder
from lt_lightning.errors import SettingError
from lt_lightning.experiment.hydra_main import fail

VALIDATING = 0.1
"""The share of rows that the data module sets aside; no benchmark reads them."""
LEARNING_RATE = 5e-5
WARM_UP = 2
"""The steps of a fit that do not count: they allocate the moments."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the command line, measure, print the tables, and write the JSON."""
    options = parse(arguments)
    from benchmarks import bert_peers as peers

    machine = set_up(options.threads, (*PACKAGES, "transformers", "accelerate"))
    config = settings(options)
    start = peers.begin(config, load(config), options.density)
    lengths = start.data.part("train").lengths
    tokens = int(lengths.sum())
    print(
        f"text: {options.data}, {len(lengths):,} rows, {tokens:,} pieces, batches of {options.batch_size}; "
        f"{start.files.name}, {options.density:.0%} of the encoder's matrices alive in the pruned round\n",
        flush=True,
    )
    epochs: dict[str, list[float]] = {name: [] for name in peers.PEERS}
    steps: dict[str, list[float]] = {name: [] for name in peers.PEERS}
    shares: list[float] = []
    batches = list(islice(cycle(start.data.train_dataloader()), options.steps))
    for turn in range(options.turns):
        for name, peer in in_turn(peers.PEERS, turn):
            fitted = peer(start, None)
            epochs[name].append(fitted.seconds)
            if fitted.pruning is not None:
                shares.append(fitted.pruning / (fitted.seconds + fitted.beginning))
        for name, peer in in_turn(peers.PEERS, turn):
            steps[name].extend(peer(start, batches).steps[WARM_UP:])
    epoch_rows = compare(epochs, peers.THEIRS, lambda seconds: tokens / seconds)
    step_rows = compare(steps, peers.THEIRS, lambda seconds: 1000 * seconds)
    print(table("an epoch", "pieces a second", 0, epoch_rows))
    print(f"\n{table('a step, equal batches', 'ms', 1, step_rows)}")
    share = spread([100 * one for one in shares])
    print(f"\nfreezing and pruning: {share.format(2)} % of an epoch that begins with a prune", flush=True)
    keep(
        "bert", options, machine, pieces=tokens, epochs=epochs, steps=steps, freezing_and_pruning=shares,
        speedup={key: {name: row["speedup"]._asdict() for name, row in rows.items()}
                 for key, rows in (("epoch", epoch_rows), ("step", step_rows))},
    )  # fmt: skip


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Return the checked options.

    Raises:
        SettingError: an option is out of range, there is no text, or a package is missing.
    """
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.bert", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=AG_NEWS, help="a folder that data.path takes (%(default)s)")
    parser.add_argument("--encoder", type=Path, help="a folder that model.path takes, of a BERT (that of model=minilm)")
    parser.add_argument("--rows", type=int, default=2000, help="texts of an epoch (%(default)s)")
    parser.add_argument("--batch-size", type=int, default=32, help="texts per step (%(default)s)")
    parser.add_argument("--max-length", type=int, default=128, help="pieces of the longest text (%(default)s)")
    parser.add_argument("--steps", type=int, default=10, help="steps of each fit on equal batches (%(default)s)")
    parser.add_argument("--turns", type=int, default=5, help="epochs, and fits on equal batches (%(default)s)")
    parser.add_argument("--density", type=float, default=0.4, help="share alive in the pruned round (%(default)s)")
    parser.add_argument("--threads", type=int, default=2, help="torch's threads (%(default)s)")
    parser.add_argument("--json", type=Path, help="file for all numbers")
    options = parser.parse_args(arguments)
    leasts = {"rows": 16, "batch_size": 1, "max_length": 3, "steps": WARM_UP + 2, "turns": 2, "threads": 1}
    check_options(options, leasts)
    check_text_folder(options.data)
    if not 0 < options.density < 1:
        raise SettingError(f"--density: {options.density} is not between 0 and 1")
    for package, remedy in {"transformers": "'lt-lightning[bert]'", "accelerate": "accelerate"}.items():
        if find_spec(package) is None:
            raise SettingError(f"benchmarks.bert: transformers' Trainer needs {package}; pip install {remedy}")
    return options


def settings(options: argparse.Namespace) -> Config:
    """Return the settings of the runs that are measured."""
    register_schema()
    wishes = [
        "data=files", f"model={'minilm' if options.encoder is None else 'bert'}", "model.pooling=pooler",
        f"data.limit={math.ceil(options.rows / (1 - VALIDATING))}", f"data.valid_fraction={VALIDATING}",
        f"data.batch_size={options.batch_size}", f"data.max_length={options.max_length}",
        "optimizer=adamw", f"optimizer.lr={LEARNING_RATE}", "optimizer.no_decay=['*.bias','*LayerNorm.weight']",
        "scheduler=linear_warmup", "scheduler.warmup=0", "trainer=cpu", "trainer.max_epochs=1",
        "+trainer.gradient_clip_val=1",
    ]  # fmt: skip
    with initialize_config_dir(config_folder(), version_base="1.3"):
        composed = compose("config", wishes)
    composed.data.path = str(options.data)  # paths on the command line would have to be quoted
    if options.encoder is not None:
        composed.model.path = str(options.encoder)
    return read_config(composed)


def load(config: Config) -> TextDataModule:
    """Return the texts, split into the pieces of the encoder."""
    assert isinstance(config.model, Encoder)
    files = find_encoder(config.model)
    return TextDataModule(load_corpus(config.data), config.data, None, config.seed, encoder=files)


def in_turn(peers: Mapping[str, Callable], turn: int) -> list[tuple[str, Callable]]:
    """Return the peers in the order of a turn."""
    first = turn % len(peers)
    return [*peers.items()][first:] + [*peers.items()][:first]


def compare(
    seconds: Mapping[str, Sequence[float]], base: str, show: Callable[[float], float]
) -> dict[str, dict[str, Spread]]:
    """Return the shown number of each peer, and how many times as fast as `base` it is in the same turn."""
    return {
        name: {
            "shown": spread([show(one) for one in numbers]),
            "speedup": spread([other / one for one, other in zip(numbers, seconds[base], strict=True)]),
        }
        for name, numbers in seconds.items()
    }


def table(title: str, unit: str, decimals: int, rows: Mapping[str, Mapping[str, Spread]]) -> str:
    """Return the numbers in Markdown."""
    width = max(len(title), *map(len, rows))
    lines = [f"| {title:{width}} | {unit}: median (quartiles) | times as fast |", f"|{'-' * (width + 2)}|---|---|"]
    lines += [
        f"| {name:{width}} | {row['shown'].format(decimals)} | {row['speedup'].format(2)} |"
        for name, row in rows.items()
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    warnings.filterwarnings("ignore")
    try:
        main()
    except SettingError as error:
        fail(str(error))
