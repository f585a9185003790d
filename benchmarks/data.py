"""Time text processing and batches: `python -m benchmarks.data [--articles 120000] [--json FILE] …`."""

from __future__ import annotations

import argparse
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from time import perf_counter, process_time
from typing import NamedTuple
from unittest.mock import patch

import numpy as np

from benchmarks.data_inputs import write_articles, write_vectors
from benchmarks.data_peers import collate_rows, count_in_python, load_text, read_every_line, train_tokenizer
from benchmarks.measuring import check_options, keep, spread
from benchmarks.peers import begin, ours
from benchmarks.step import AG_NEWS, set_up, settings, wide_enough
from lt_lightning.config.models import Glove
from lt_lightning.config.schema import Config
from lt_lightning.data.corpus import Corpus, load_corpus
from lt_lightning.data.glove import recall_vectors
from lt_lightning.data.module import TextDataModule
from lt_lightning.data.sources.pydocs import load_pydocs
from lt_lightning.errors import SettingError
from lt_lightning.experiment.hydra_main import fail

WARM_UP = 8
"""Number of batches before the first that counts."""
PACKAGES = ("torch", "tokenizers", "datasets", "pyarrow", "numpy")
DIM = 100
TABLES = ("texts", "batches", "vectors", "pydocs")
PART = 20
"""Slow readers of vectors read one line of this many."""
SPARSITY = 0.9885
"""Sparsity of the network whose steps are compared with batches: late in a run, when steps are shortest."""

Peers = Mapping[str, Callable[[], object]]


class Rows(NamedTuple):
    """A table of timings.

    Attributes:
        title: the subject.
        unit: of the numbers.
        numbers: of each peer, turn by turn.
        processor: the seconds of all cores together, likewise; less affected by a busy machine.
        bars: the target of each of our numbers that has one.
        notes: further lines.
    """

    title: str
    unit: str
    numbers: Mapping[str, Sequence[float]]
    processor: Mapping[str, Sequence[float]]
    bars: Mapping[str, float]
    notes: Sequence[str] = ()


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the command line, measure, print the tables, and write the JSON."""
    options = parse(arguments)
    machine = set_up(options.threads, PACKAGES)
    tables = []
    with tempfile.TemporaryDirectory(prefix="lt-lightning-") as scratch:
        for table in measure(options, Path(scratch)):
            print(f"\n{show(table)}", flush=True)
            tables.append(table._asdict())
    keep("data", options, machine, tables=tables)


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Return the checked options.

    Raises:
        SettingError: an option is out of range.
    """
    parser = argparse.ArgumentParser(prog="python -m benchmarks.data", description=__doc__)
    parser.add_argument(
        "--data",
        type=Path,
        help="a folder of articles in .parquet (default: ../shared/data/ag_news; else random ones)",
    )
    parser.add_argument("--articles", type=int, default=120_000, help="articles to train on (%(default)s)")
    parser.add_argument("--lines", type=int, default=400_000, help="lines of the file of vectors (%(default)s)")
    parser.add_argument("--batches", type=int, default=300, help="number of batches (%(default)s)")
    parser.add_argument("--turns", type=int, default=3, help="repetitions of the rest (%(default)s)")
    parser.add_argument("--threads", type=int, default=2, help="torch's threads (%(default)s)")
    parser.add_argument("--only", nargs="+", choices=TABLES, default=TABLES, help="which tables (all)")
    parser.add_argument("--json", type=Path, help="file for all numbers")
    options = parser.parse_args(arguments)
    check_options(options, {"articles": 100, "lines": PART, "batches": 2, "turns": 2, "threads": 1})
    if options.data is not None and not (options.data / "train.parquet").is_file():
        raise SettingError(f"--data: there is no {options.data}/train.parquet; give a folder with train and test")
    if options.data is None and AG_NEWS.is_dir():
        options.data = AG_NEWS
    return options


def measure(options: argparse.Namespace, scratch: Path) -> Iterator[Rows]:
    """Yield the tables."""
    about = write_articles(scratch, options.data, options.articles)
    config = settings(scratch)
    began = perf_counter()
    corpus = load_corpus(config.data)
    notes = [
        f"{options.articles:,} articles: {about}",
        f"reading and checking their files took {perf_counter() - began:.2f} s, which is not in the table",
    ]
    cache = scratch / "cache"
    with own_cache(cache):
        data = TextDataModule(corpus, config.data, config.embedding, config.seed)
    tables: Mapping[str, Callable[[], Rows]] = {
        "texts": lambda: read_texts(config, corpus, cache, options.turns, notes),
        "batches": lambda: make_batches(config, data, options.batches),
        "vectors": lambda: read_vectors(data.words, options.lines, scratch, options.turns),
        "pydocs": lambda: harvest(scratch / "pydocs", options.turns),
    }
    for name in options.only:
        yield tables[name]()


def read_texts(config: Config, corpus: Corpus, cache: Path, turns: int, notes: Sequence[str]) -> Rows:
    """Time counting, tokenising and encoding texts."""
    assert config.data.max_vocab is not None
    most = config.data.max_vocab

    def load(*, fresh: bool, seed: int = config.seed) -> None:
        if fresh:
            shutil.rmtree(cache, ignore_errors=True)
        with own_cache(cache):
            TextDataModule(corpus, config.data, config.embedding, seed)

    train, test = (corpus.splits[split] for split in ("train", "test"))
    first, second, other = "ours, from nothing", "ours, from the cache", "ours, from the cache, another seed"
    times = by_turns(
        {
            first: lambda: load(fresh=True),
            second: lambda: load(fresh=False),
            other: lambda: load(fresh=False, seed=config.seed + 1),
            "tokenizers: train, encode": lambda: train_tokenizer(train, test, most),
            "plain Python: findall, Counter": lambda: count_in_python(train["text"][:], test["text"][:], most),
        },
        turns,
    )
    return Rows("Texts to ids", "s", *times, {first: 6, second: 1}, notes)


def make_batches(config: Config, data: TextDataModule, count: int) -> Rows:
    """Time batches, in turns with training steps, so that caches are as a step leaves them."""
    step = ours(begin(config, 50_002, len(data.corpus.class_names), SPARSITY))
    whole = WARM_UP + count
    ready = islice(_endless(data.train_dataloader()), whole)
    plain = islice(_endless(collate_rows(data.texts["train"], config.data.batch_size)), whole)
    made, peer, name = "ours", "DataLoader, row by row", "one step of MultiCNN"
    times: dict[str, list[float]] = {made: [], peer: [], name: []}
    for _ in range(whole):
        moments = [perf_counter()]
        batch = next(ready)
        moments.append(perf_counter())
        batch = wide_enough(config, batch)
        next(plain)
        moments.append(perf_counter())
        step(batch)
        moments.append(perf_counter())
        for key, seconds in zip((made, peer, name), np.diff(moments), strict=True):
            times[key].append(1000 * float(seconds))
    times = {key: numbers[WARM_UP:] for key, numbers in times.items()}
    share = spread([each / (each + taken) for each, taken in zip(times[made], times[name], strict=True)])
    began = perf_counter()
    batches = sum(1 for _ in data.train_dataloader())
    epoch = 1000 * (perf_counter() - began) / batches
    notes = [
        f"between steps, which empty the caches: {100 * share.median:.1f} % of batch and step (bar: 3 %)",
        f"an epoch of {batches:,} batches without steps, with its shuffle: {epoch:.3f} ms each",
    ]
    return Rows(f"A batch of {config.data.batch_size}, at {SPARSITY:.2%} sparsity", "ms", times, {}, {}, notes)


def read_vectors(words: Sequence[str], lines: int, scratch: Path, turns: int) -> Rows:
    """Time reading the vectors of a vocabulary from a large file."""
    path, cache = scratch / "vectors.txt", scratch / "cache"
    write_vectors(path, words, lines, DIM)
    config = Glove(dim=DIM, path=str(path))

    def load(*, fresh: bool) -> None:
        if fresh:
            for kept in cache.glob("vectors-*"):
                kept.unlink()
        recall_vectors(config, words, cache)

    first, second, part = "ours, from the file", "ours, from the cache", lines // PART
    times = by_turns(
        {
            first: lambda: load(fresh=True),
            second: lambda: load(fresh=False),
            f"NumPy: loadtxt, {part:,} lines": lambda: load_text(path, part, DIM),
            f"plain Python: every line, {part:,} lines": lambda: read_every_line(path, part),
        },
        turns,
    )
    note = f"{lines:,} lines of {DIM} numbers, {path.stat().st_size / 1e6:.0f} MB; a vocabulary of {len(words):,} words"
    path.unlink()
    return Rows("Word vectors", "s", *times, {first: 6, second: 0.3}, [note])


def harvest(folder: Path, turns: int) -> Rows:
    """Time reading PyDocs."""
    first, second = "harvested", "from the cache"

    def load(*, fresh: bool) -> None:
        if fresh:
            shutil.rmtree(folder, ignore_errors=True)
        load_pydocs(folder)

    times = by_turns({first: lambda: load(fresh=True), second: lambda: load(fresh=False)}, turns)
    return Rows("PyDocs", "s", *times, {first: 15, second: 0.5})


def by_turns(peers: Peers, turns: int) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """Return the seconds of each peer, turn by turn, and those of all cores together.

    The order of a turn is fixed, because the cache must exist before it is read.
    """
    seconds: dict[str, list[float]] = {name: [] for name in peers}
    processor: dict[str, list[float]] = {name: [] for name in peers}
    for _ in range(turns):
        for name, work in peers.items():
            began, busy = perf_counter(), process_time()
            work()
            seconds[name].append(perf_counter() - began)
            processor[name].append(process_time() - busy)
    return seconds, processor


def show(rows: Rows) -> str:
    """Return a table with its notes in Markdown."""
    width = max(map(len, [*rows.numbers, rows.title]))
    lines = [
        f"| {rows.title:{width}} | {rows.unit}: median (quartiles) | best | of all cores | bar |",
        f"|{'-' * (width + 2)}|---|---|---|---|",
    ]
    for name, numbers in rows.numbers.items():
        bar = f"{rows.bars[name]:g}" if name in rows.bars else ""
        busy = f"{spread(rows.processor[name]).median:.3f}" if name in rows.processor else ""
        lines.append(f"| {name:{width}} | {spread(numbers).format(3)} | {min(numbers):.3f} | {busy} | {bar} |")
    return "\n".join([*lines, *(["", *rows.notes] if rows.notes else [])])


@contextmanager
def own_cache(folder: Path) -> Iterator[None]:
    """Use a cache of its own instead of the user's."""
    folder.mkdir(exist_ok=True)
    with patch("lt_lightning.data.corpus.HF_DATASETS_CACHE", str(folder)):
        yield


def _endless(batches: object) -> Iterator:
    while True:
        yield from batches  # pyright: ignore[reportGeneralTypeIssues]


if __name__ == "__main__":
    try:
        main()
    except SettingError as error:
        fail(str(error))
