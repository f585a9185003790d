"""Time whole commands until their answer: `python -m benchmarks.start [--times 5] [--json FILE]`."""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from time import perf_counter
from types import MappingProxyType
from typing import Any

from benchmarks.measuring import Spread, check_options, keep, show_machine, spread
from lt_lightning.errors import SettingError
from lt_lightning.experiment.hydra_main import fail

TRAIN = ("-m", "lt_lightning.train")
FIRST_STEP = "first training step"
HOOK = "trainer.callbacks=[{_target_: benchmarks.first_step.FirstStep}]"
"""A setting that ends a run after its first step."""

COMMANDS: Mapping[str, tuple[Sequence[str], int, float | None]] = MappingProxyType(
    {
        "--help": ((*TRAIN, "--help"), 0, 1.0),
        "--cfg job": ((*TRAIN, "--cfg", "job"), 0, 1.0),
        "a rejected value": ((*TRAIN, "pruning.amount=2"), 2, 1.0),
        "an unknown setting": ((*TRAIN, "+pruning.amonut=0.2"), 2, 1.0),
        FIRST_STEP: (TRAIN, 0, 8.0),
        "import torch": (("-c", "import torch"), 0, None),
        "import pytorch_lightning": (("-c", "import pytorch_lightning"), 0, None),
    }
)
"""Python's arguments, the expected exit code, and the target in seconds, if any, of each command."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Read the command line, measure, print the tables, and write the JSON."""
    options = parse(arguments)
    machine = show_machine(("torch", "pytorch-lightning", "torchmetrics", "datasets", "hydra-core"))
    with tempfile.TemporaryDirectory() as scratch:
        commands = {name: complete(name, options.settings, Path(scratch)) for name in options.only}
        for command in commands.values():
            run(command)  # fills the caches of bytecode, of the disk and of the corpus
        seconds: dict[str, list[float]] = {name: [] for name in commands}
        for _ in range(options.times):
            for name, command in commands.items():
                seconds[name].append(run(command))
        shares = {name: imports(command) for name, command in commands.items() if name == FIRST_STEP}
    summary = {name: spread(numbers) for name, numbers in seconds.items()}
    print(f"\n{table(summary)}")
    for name, share in shares.items():
        print(f"\n{describe_imports(name, share)}", flush=True)
    numbers = {name: one._asdict() for name, one in summary.items()}
    keep("start", options, machine, summary=numbers, imports=shares, seconds=seconds)


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Return the checked options.

    Raises:
        SettingError: an option is out of range.
    """
    parser = argparse.ArgumentParser(prog="python -m benchmarks.start", description=__doc__)
    parser.add_argument("--times", type=int, default=5, help="repetitions of each command (%(default)s)")
    parser.add_argument(
        "--only", nargs="+", choices=COMMANDS, default=list(COMMANDS), metavar="NAME", help="commands to run (all)"
    )
    parser.add_argument(
        "--settings", nargs="+", default=["+experiment=quickstart"], metavar="KEY=VALUE",
        help="settings of the run (%(default)s)",
    )  # fmt: skip
    parser.add_argument("--json", type=Path, help="file for all numbers")
    options = parser.parse_args(arguments)
    check_options(options, {"times": 2})
    return options


def complete(name: str, settings: Sequence[str], scratch: Path) -> tuple[list[str], int]:
    """Return a command and its expected exit code."""
    words, code, _ = COMMANDS[name]
    if name == FIRST_STEP:
        words = (*words, *settings, HOOK, f"hydra.run.dir='{scratch}/${{now:%H%M%S%f}}'")  # a new folder each time
    return [sys.executable, *words], code


def run(command: tuple[Sequence[str], int]) -> float:
    """Run a command, and return its seconds.

    Raises:
        SettingError: the exit code differs from the expected one.
    """
    words, code = command
    began = perf_counter()
    ran = subprocess.run(words, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    seconds = perf_counter() - began
    if ran.returncode != code:
        said = (ran.stderr.strip().splitlines() or ["nothing"])[-1]
        raise SettingError(f"{' '.join(words[1:])}: exit code {ran.returncode}, not {code}: {said}")
    return seconds


def imports(command: tuple[Sequence[str], int]) -> dict[str, float]:
    """Return the import time of each package's modules in seconds, without nested imports; the largest first.

    Python's option `-X importtime`, which measures it, slows imports by 10 to 20 %.
    """
    words, _ = command
    ran = subprocess.run(
        [words[0], "-X", "importtime", *words[1:]], capture_output=True, text=True, check=False,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip
    return sum_imports(ran.stderr)


def sum_imports(lines: str) -> dict[str, float]:
    r"""Return the same from Python's output.

    >>> sum_imports("import time:  2000 |  3000 |   json.decoder\nimport time:  500 |  900 | json\nother words")
    {'json': 0.0025}
    """
    found: Counter[str] = Counter()
    for microseconds, module in re.findall(r"^import time:\s+(\d+) \|\s+\d+ \|\s+(\S+)$", lines, re.M):
        found[module.split(".")[0]] += int(microseconds)
    return {package: total / 1e6 for package, total in found.most_common()}


def table(summary: Mapping[str, Spread]) -> str:
    """Return the summary in Markdown."""
    width = max(map(len, summary))
    lines = [f"| {'command':{width}} | seconds: median (quartiles) | bar |", f"|{'-' * (width + 2)}|---|---|"]
    for name, numbers in summary.items():
        bar = COMMANDS[name][2]
        lines.append(f"| {name:{width}} | {numbers.format(2)} | {'' if bar is None else f'≤ {bar:g}'} |")
    return "\n".join(lines)


def describe_imports(name: str, share: Mapping[str, Any], most: int = 12) -> str:
    """Return the import times of a command by package, in a line."""
    parts = [f"{package} {seconds:.2f}" for package, seconds in list(share.items())[:most]]
    rest = sum(list(share.values())[most:])
    return f"imports until the {name}: {sum(share.values()):.2f} s: {', '.join(parts)}, others {rest:.2f}"


if __name__ == "__main__":
    try:
        main()
    except SettingError as error:
        fail(str(error))
