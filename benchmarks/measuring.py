"""Time code in turns, compute quartiles, and describe the machine."""

from __future__ import annotations

import argparse
import json
import os
import platform
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path
from statistics import quantiles
from time import perf_counter
from typing import Any, NamedTuple, TypeVar

import torch

from lt_lightning.errors import SettingError
from lt_lightning.storage.atomic import write_whole

Work = TypeVar("Work")


class Spread(NamedTuple):
    """The first quartile, median and third quartile of some numbers."""

    low: float
    median: float
    high: float

    def format(self, decimals: int) -> str:
        """Return a text such as `27.1 (26.0–29.4)`."""
        return f"{self.median:.{decimals}f} ({self.low:.{decimals}f}–{self.high:.{decimals}f})"


def spread(numbers: Sequence[float]) -> Spread:
    """Return the quartiles of `numbers`.

    Example:
        >>> spread([3.0, 1.0, 2.0, 5.0, 4.0]).format(1)
        '3.0 (2.0–4.0)'
    """
    return Spread(*quantiles(numbers, n=4, method="inclusive"))


def take_turns(
    work: Sequence[Work],
    peers: Mapping[str, Callable[[Work], object]],
    reader: str,
    times: Mapping[str, list[float]],
    wait: Callable[[], object] = lambda: None,
) -> Iterator[Work]:
    """Run all peers on a piece of work, then yield it; then the next piece.

    Code with its own loop, such as a `Trainer`, takes its turn by reading this iterator: its time is that between
    two pieces. The order of peers rotates from piece to piece.

    Args:
        work: the pieces.
        peers: functions of a piece, by name.
        reader: the name of the reader.
        times: the seconds of each piece are appended here, by name.
        wait: returns when a device has done what it was given; each time ends after it.
    """
    names = list(peers)
    for turn, piece in enumerate(work):
        first = turn % len(names)
        for name in names[first:] + names[:first]:
            began = perf_counter()
            peers[name](piece)
            wait()
            times[name].append(perf_counter() - began)
        began = perf_counter()
        yield piece
        wait()
        times[reader].append(perf_counter() - began)


def describe_machine(packages: Sequence[str]) -> dict[str, Any]:
    """Return plain values that the times depend on, with the load of the machine."""
    return {
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "processor": _processor(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "load": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "system": platform.platform(terse=True),
        "python": platform.python_version(),
        "versions": {package: version(package) for package in packages},
    }


def show_machine(packages: Sequence[str]) -> dict[str, Any]:
    """Print and return `describe_machine`."""
    machine = describe_machine(packages)
    print("\n".join(f"{key}: {value}" for key, value in machine.items()), flush=True)
    return machine


def check_options(options: argparse.Namespace, leasts: Mapping[str, float]) -> None:
    """Check that numbers are large enough, and that the JSON can be written.

    Raises:
        SettingError: an option is wrong; the message names it.
    """
    for name, least in leasts.items():
        if getattr(options, name) < least:
            raise SettingError(
                f"--{name.replace('_', '-')}: {getattr(options, name)} is too small; give at least {least}"
            )
    if options.json and not options.json.absolute().parent.is_dir():
        raise SettingError(f"--json: there is no folder {options.json.absolute().parent}; create it")


def keep(benchmark: str, options: argparse.Namespace, machine: Mapping[str, Any], **numbers: Any) -> None:
    """Write the numbers, the options and the machine to the file of `--json`, if it is given."""
    if options.json:
        asked = {key: str(value) if isinstance(value, Path) else value for key, value in vars(options).items()}
        machine = {**machine, "load_after": describe_machine(())["load"]}
        result = {"benchmark": benchmark, "options": asked, "machine": machine, **numbers}
        write_whole(options.json, json.dumps(result, indent=2) + "\n")


def _processor() -> str:
    facts = Path("/proc/cpuinfo")
    for line in facts.read_text().splitlines() if facts.exists() else []:
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor()
