"""Time the service of examples/serve: `python -m benchmarks.serving [--ticket FILE]`.

Services of one or two processes, with one or two threads of BLAS in each, run side by side and are asked in turns.
Clients are threads of this process with a connection each, share the cores with the services, and are dealt out to a
service's processes. Without a ticket, a network of AG News's size is pruned at random.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from http.client import HTTPConnection
from itertools import product
from pathlib import Path
from statistics import median
from time import perf_counter, sleep
from typing import Any, NamedTuple

import numpy as np

from benchmarks.growth import TICKET
from benchmarks.image import DOCKERFILE, ROOT
from benchmarks.measuring import check_options, keep, show_machine
from benchmarks.predict_peers import draw_texts, make_random
from lt_lightning.errors import SettingError
from lt_lightning.experiment.hydra_main import fail
from lt_lightning.tickets.file import Packed

QUESTIONS = 32
"""The number of different requests of each size."""
START = 60
"""Seconds that a service may take to start."""


class Service(NamedTuple):
    """How a service is started: its processes, and the threads of BLAS in each."""

    processes: int
    threads: int

    def __str__(self) -> str:
        return f"{self.processes} process{'es' * (self.processes > 1)}, OMP_NUM_THREADS={self.threads}"


SERVICES = [Service(*one) for one in product((1, 2), (1, 2))]


class Load(NamedTuple):
    """Requests: texts in each, and clients that ask at the same time."""

    texts: int
    clients: int


class Speed(NamedTuple):
    """The answers of a service: requests per second, and the seconds of the median and the 95th percentile."""

    rate: float
    half: float
    most: float


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, and print a table per number of texts."""
    options = parse(arguments)
    machine = show_machine(("numpy", "tokenizers", "fastapi", "uvicorn"))
    loads = [Load(*one) for one in product(options.texts, options.clients)]
    found: dict[tuple[Service, Load], list[Speed]] = {one: [] for one in product(SERVICES, loads)}
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        path = Path(folder, "ticket.safetensors")
        packed = Packed.load(options.ticket) if options.ticket else make_random("cnn", 50_002, options.density)
        packed.save(path)
        ports = {service: stack.enter_context(serve(service, path)) for service in SERVICES}
        bodies = {size: make_bodies(packed, size) for size in options.texts}
        for turn in range(options.turns + 1):
            for load, service in product(loads, SERVICES[turn % 4 :] + SERVICES[: turn % 4]):
                speed = measure(ports[service], bodies[load.texts], load.clients, options.seconds)
                if turn:  # the first one warms up
                    found[service, load].append(speed)
    medians = {key: Speed(*map(median, zip(*speeds, strict=True))) for key, speeds in found.items()}
    print(f"\n{table(medians)}")
    rows = [{**key[0]._asdict(), **key[1]._asdict(), **one._asdict()} for key, one in medians.items()]
    keep("serving", options, machine, rows=rows)


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Return the checked options.

    Raises:
        SettingError: an option is out of range.
    """
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serving", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--ticket", type=Path, help="use this ticket")
    parser.add_argument("--density", type=float, default=TICKET, help="of the random network (%(default)s)")
    parser.add_argument("--texts", type=int, nargs="+", default=[1, 8, 64], help="texts of a request (%(default)s)")
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 4, 16], help="clients at a time (%(default)s)")
    parser.add_argument("--turns", type=int, default=3, help="measurements of each (%(default)s)")
    parser.add_argument("--seconds", type=float, default=0.7, help="of each measurement (%(default)s)")
    parser.add_argument("--json", type=Path, help="file for all numbers")
    options = parser.parse_args(arguments)
    check_options(options, {"turns": 1, "seconds": 0.01})
    if min(*options.texts, *options.clients) < 1:
        raise SettingError("--texts, --clients: each must be at least 1")
    return options


@contextmanager
def serve(service: Service, ticket: Path) -> Iterator[list[int]]:
    """Start a service, and yield the ports of its processes once they answer.

    Raises:
        SettingError: it does not start.
    """
    with ExitStack() as stack:
        yield [stack.enter_context(_serve(service.threads, ticket)) for _ in range(service.processes)]


@contextmanager
def _serve(threads: int, ticket: Path) -> Iterator[int]:
    with socket.socket() as place:
        place.bind(("127.0.0.1", 0))
        port = place.getsockname()[1]
    # Without uvloop and httptools, as in the image.
    words = ["--port", str(port), "--loop", "asyncio", "--http", "h11", "--ws", "none", "--no-access-log"]
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    variables = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(threads))
    process = subprocess.Popen(
        [sys.executable, "-m", "uvicorn", "app:app", *words, "--log-level", "error"],
        cwd=DOCKERFILE.parent, env={**os.environ, **variables, "PYTHONPATH": path, "TICKET": str(ticket)},
    )  # fmt: skip
    try:
        until = perf_counter() + START
        while not _answers(port):
            if process.poll() is not None or perf_counter() > until:
                raise SettingError("examples/serve/app.py does not start; see the lines above")
            sleep(0.1)
        yield port
    finally:
        process.terminate()
        process.wait()


def make_bodies(packed: Packed, size: int) -> list[bytes]:
    """Return requests with texts of the ticket's words, by Zipf's law."""
    known = dict(zip(packed.word_ids.tolist(), packed.words, strict=True))
    ids = draw_texts(packed.about["words"], size * QUESTIONS, 0).arrays
    texts = [" ".join(known.get(one, "unknown") for one in row.tolist()) for row in ids]
    return [json.dumps({"texts": texts[start : start + size]}).encode() for start in range(0, len(texts), size)]


def measure(ports: Sequence[int], bodies: Sequence[bytes], clients: int, seconds: float) -> Speed:
    """Return the speed of a service while clients ask, each its next request after the answer to its last."""
    until = perf_counter() + seconds

    def ask(client: int) -> list[float]:
        connection, times = HTTPConnection("127.0.0.1", ports[client % len(ports)]), []
        while not times or perf_counter() < until:
            body = bodies[(client + len(times)) % len(bodies)]
            began = perf_counter()
            connection.request("POST", "/predict", body, {"content-type": "application/json"})
            answer = connection.getresponse()
            answer.read()
            if answer.status != 200:
                raise SettingError(f"examples/serve/app.py answers {answer.status}; give smaller --texts")
            times.append(perf_counter() - began)
        connection.close()
        return times

    began = perf_counter()
    with ThreadPoolExecutor(clients) as pool:
        times = [one for each in pool.map(ask, range(clients)) for one in each]
    rate = len(times) / (perf_counter() - began)
    half, most = np.quantile(times, [0.5, 0.95]).tolist()
    return Speed(rate, half, most)


def table(medians: Mapping[tuple[Service, Load], Speed]) -> str:
    """Return requests per second, and in brackets the median and the 95th percentile of milliseconds."""
    loads = list(dict.fromkeys(load for _, load in medians))
    lines = [f"| texts a request | clients | {' | '.join(map(str, SERVICES))} |", f"|---|---|{'---|' * len(SERVICES)}"]
    for load in loads:
        speeds = [medians[service, load] for service in SERVICES]
        cells = [f"{one.rate:,.0f} ({1000 * one.half:.1f}, {1000 * one.most:.1f})" for one in speeds]
        lines.append(f"| {load.texts} | {load.clients} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _answers(port: int) -> bool:
    connection: Any = HTTPConnection("127.0.0.1", port, timeout=1)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


if __name__ == "__main__":
    try:
        main()
    except SettingError as error:
        fail(str(error))
