"""Time a ticket's prediction beside torch's: `python -m benchmarks.predict [--run RUN | --ticket FILE] …`.

On one core, without tokenisation: texts per second in batches, and the time of a single text; then whole processes:
seconds from the start to the first answer, and memory. Without a run or a ticket, networks of AG News's size are pruned
at random. Texts are random, words by Zipf's law.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file

from benchmarks.growth import TICKET
from benchmarks.measuring import Spread, check_options, keep, show_machine, spread, take_turns
from benchmarks.predict_figure import draw
from benchmarks.predict_peers import (
    FAST,
    OURS,
    REFERENCE,
    Answer,
    Texts,
    dense_bytes,
    draw_texts,
    make_dense,
    make_random,
    peers,
)  # fmt: skip
from benchmarks.predict_start import measure_start, measure_torch
from lt_lightning.errors import SettingError
from lt_lightning.experiment.hydra_main import fail
from lt_lightning.report.figures.style import styled
from lt_lightning.runs.packing import pack_ticket
from lt_lightning.runs.reading import read_run
from lt_lightning.runs.round_ticket import RoundTicket
from lt_lightning.runs.rounds import ticket_path
from lt_lightning.tickets.file import Packed

DENSITIES = (1.0, 0.5, 0.2, 0.1, 0.05, 0.02, TICKET, 0.005, 0.002)
WARM_UP = 3
BATCH = 64
SINGLE = 20
"""Number of single texts per turn; with fewer, a peer would always find the others' weights in the caches."""
ONE_THREAD = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, print the table, and draw the figure if one is requested."""
    options = parse(arguments)
    torch.set_num_threads(1)
    machine = show_machine(("torch", "numpy", "tokenizers"))
    print(f"\n| {' | '.join(HEADINGS)} |\n|{'---|' * len(HEADINGS)}", flush=True)
    rows: list[dict[str, Any]] = []
    torch_start: Mapping[str, Any] = {}
    with tempfile.TemporaryDirectory() as scratch:
        for density, packed in sources(options):
            weights, ticket = Path(scratch, "dense.safetensors"), Path(scratch, "ticket.safetensors")
            if not torch_start:
                save_file(make_dense(packed, "reference").state_dict(), weights)
                torch_start = measure_torch(weights, options.starts)._asdict()
            packed.save(ticket)
            rows.append({
                "density": density,
                "share": ticket.stat().st_size / dense_bytes(packed),
                **measure(packed, options.pieces),
                "start": measure_start(ticket, options.starts)._asdict(),
            })  # fmt: skip
            print(f"| {' | '.join(cells(rows[-1]))} |", flush=True)
    print(f"\ntorch and the dense weights alone: {describe(torch_start)}")
    kept = [{**row, **{key: _plain(row[key]) for key in ("rate", "latency", "start")}} for row in rows]
    keep("predict", options, machine, rows=kept, torch=_plain(torch_start))
    if options.figure:
        with styled():
            draw(kept, torch_start, subtitle(options)).savefig(options.figure, dpi=150)


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Return the checked options.

    Raises:
        SettingError: an option is out of range.
    """
    parser = argparse.ArgumentParser(prog="python -m benchmarks.predict", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--model", choices=("cnn", "birnn"), default="cnn", help="the random network (%(default)s)")
    parser.add_argument("--words", type=int, default=50_002, help="the size of its vocabulary (%(default)s)")
    parser.add_argument("--densities", type=float, nargs="+", default=DENSITIES, help="its densities")
    given = parser.add_mutually_exclusive_group()
    given.add_argument("--run", type=Path, help="use the tickets of this run's rounds")
    given.add_argument("--ticket", type=Path, help="use this ticket")
    parser.add_argument("--pieces", type=int, default=40, help="batches and single texts that count (%(default)s)")
    parser.add_argument("--starts", type=int, default=5, help="processes per density (%(default)s)")
    parser.add_argument("--figure", type=Path, help="file for the figure")
    parser.add_argument("--json", type=Path, help="file for all numbers")
    options = parser.parse_args(arguments)
    check_options(options, {"pieces": 2, "starts": 2, "words": 3})
    if not all(0 < density <= 1 for density in options.densities):
        raise SettingError(f"--densities: {options.densities}; each must be above 0 and at most 1")
    return options


def sources(options: argparse.Namespace) -> Iterator[tuple[float, Packed]]:
    """Yield the density and the ticket of each row.

    Raises:
        SettingError: the run or the ticket cannot be read, or is not of a text classifier.
    """
    if options.ticket:
        packed = Packed.load(options.ticket)
        yield 4 * sum(len(one.values) for one in packed.parameters.values()) / dense_bytes(packed), packed
    elif options.run:
        for record in read_run(options.run).records:
            path = ticket_path(options.run, record.round)
            try:
                yield record.alive / record.total, pack_ticket(RoundTicket.load(path), {})
            except ValueError as error:
                raise SettingError(f"--run: {path}: {error}; give the run of a classifier of texts") from error
    else:
        for density in options.densities:
            yield density, make_random(options.model, options.words, density)


def measure(packed: Packed, pieces: int) -> dict[str, Any]:
    """Return each peer's texts per second in batches and milliseconds of a single text, measured in turns.

    Raises:
        SettingError: the peers' answers differ.
    """
    takers, words = peers(packed), packed.about["words"]
    check_agreement(takers, draw_texts(words, BATCH, 0))
    row: dict[str, Any] = {}
    for name, size, count in (("rate", BATCH, 1), ("latency", 1, SINGLE)):
        pieces_of_work = [
            [draw_texts(words, size, count * piece + one) for one in range(count)] for piece in range(WARM_UP + pieces)
        ]
        seconds: dict[str, list[float]] = {peer: [] for peer in [*takers, ""]}
        one_after_another = {peer: partial(_answer_all, answer) for peer, answer in takers.items()}
        for _ in take_turns(pieces_of_work, one_after_another, "", seconds):
            pass
        times = {peer: seconds[peer][WARM_UP:] for peer in takers}
        per = (lambda time: BATCH / time) if name == "rate" else (lambda time: 1000 * time / SINGLE)
        row[name] = {peer: spread([*map(per, all)]) for peer, all in times.items()}
    return row


def check_agreement(takers: Mapping[str, Answer], texts: Texts) -> None:
    """Check that all peers compute the same network.

    Raises:
        SettingError: their answers differ.
    """
    answers = [answer(texts) for answer in takers.values()]
    largest = max(float(np.abs(one - answers[0]).max()) for one in answers)
    if largest > 1e-4 * max(1.0, float(np.abs(answers[0]).max())):
        raise SettingError(f"the peers' logits differ by {largest:.2g}: they do not compute the same network")


def _answer_all(answer: Answer, work: Sequence[Texts]) -> None:
    for texts in work:
        answer(texts)


HEADINGS = (
    "density", "file / dense", "texts a second: ticket", FAST, REFERENCE, "times the faster", "ms a text: ticket",
    FAST, REFERENCE, "times the faster", "first answer, s", "memory, MB",
)  # fmt: skip


def cells(row: Mapping[str, Any]) -> list[str]:
    """Return a row of the table: medians (quartiles)."""
    rate, latency = row["rate"], row["latency"]
    return [
        f"{row['density']:.3g}",
        f"{row['share']:.2%}",
        *(rate[peer].format(0) for peer in (OURS, FAST, REFERENCE)),
        f"{rate[OURS].median / max(rate[FAST].median, rate[REFERENCE].median):.1f}",
        *(latency[peer].format(3) for peer in (OURS, FAST, REFERENCE)),
        f"{min(latency[FAST].median, latency[REFERENCE].median) / latency[OURS].median:.1f}",
        row["start"]["seconds"].format(2),
        "" if row["start"]["megabytes"] is None else f"{row['start']['megabytes']:.0f}",
    ]


def describe(start: Mapping[str, Any]) -> str:
    """Return a description of a process."""
    memory = "" if start["megabytes"] is None else f", {start['megabytes']:.0f} MB"
    return f"{start['seconds'].format(2)} s{memory}"


def subtitle(options: argparse.Namespace) -> str:
    """Return a description of the networks."""
    if options.run or options.ticket:
        return f"one core; {options.run or options.ticket}; texts of about 45 words, without tokenisation"
    kind = {"cnn": "MultiCNN", "birnn": "BiLSTM"}[options.model]
    return f"one core; {kind}, {options.words:,} words, pruned at random; texts of about 45 words, without tokenisation"


def _plain(spreads: Mapping[str, Any]) -> dict[str, Any]:
    return {name: one._asdict() if isinstance(one, Spread) else one for name, one in spreads.items()}


if __name__ == "__main__":
    if any(os.environ.get(name) != value for name, value in ONE_THREAD.items()):
        # NumPy's BLAS has read the variable when it was loaded, so restart.
        os.execve(sys.executable, [sys.executable, "-m", "benchmarks.predict", *sys.argv[1:]], os.environ | ONE_THREAD)
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    try:
        main()
    except SettingError as error:
        fail(str(error))
