"""Check this project on one CUDA device, and print a table: `python -m trials.gpu [--minutes 8] [--json FILE]`.

Without a CUDA device it says so. The exit code is 1 if a check failed.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Sequence
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path
from typing import Any

from lt_lightning.errors import SettingError
from lt_lightning.experiment.hydra_main import fail
from trials.gpu.checks import CHECKS, run_all
from trials.gpu.results import Request, Result, exit_code, table, write

AG_NEWS = Path(__file__).parents[3] / "shared/data/ag_news"
"""The folder of AG News beside a checkout, if it exists."""
DEVICES = ("cuda", "stand_in", "cpu")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the checks and return the exit code."""
    options = parse(arguments)
    if options.device == "cuda" and not has_cuda():
        print("no CUDA device: nothing was checked; run this command where torch.cuda.is_available() is true")
        return 0
    machine = describe(options.device)
    print(", ".join(f"{key} {value}" for key, value in machine.items()), flush=True)
    folder = Path(tempfile.mkdtemp(prefix="lt_lightning_gpu_"))
    chosen = [check for check in CHECKS if not options.only or check.name in options.only]
    results: list[Result] = []
    for one in run_all(chosen, Request(options.device, 60 * options.minutes, folder, options.data)):
        results.append(one)
        print(f"{one.check}: {one.status}, {one.seconds:.0f} s", file=sys.stderr, flush=True)
        if options.json:
            write(options.json, machine, results)
    print(f"\n{table(results)}")
    if exit_code(results):
        print(f"\nThe logs are in {folder}.", file=sys.stderr)
    else:
        shutil.rmtree(folder)
    return exit_code(results)


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Return the checked options.

    Raises:
        SettingError: an option is wrong.
    """
    parser = argparse.ArgumentParser(prog="python -m trials.gpu", description="Check this project on one CUDA device.")
    parser.add_argument("--minutes", type=float, default=8, help="the time for all checks together (%(default)s)")
    parser.add_argument("--json", type=Path, help="file for all numbers; it is written after each check")
    parser.add_argument("--data", type=Path, help="a folder with AG News, as data.path takes it; else PyDocs is used")
    parser.add_argument(
        "--only", choices=[check.name for check in CHECKS], action="append", help="run only this check (repeatable)"
    )
    parser.add_argument(
        "--device", choices=DEVICES, default="cuda", help="stand_in and cpu check the checks (%(default)s)"
    )
    options = parser.parse_args(arguments)
    if not options.minutes > 0:
        raise SettingError(f"--minutes: {options.minutes:g} is no time; give a number above 0, such as 8")
    if options.data is not None and not options.data.is_dir():
        raise SettingError(f"--data: there is no folder {options.data}; give one with train and test, or leave it out")
    if options.json and not options.json.absolute().parent.is_dir():
        raise SettingError(f"--json: there is no folder {options.json.absolute().parent}; create it")
    if options.data is None and AG_NEWS.is_dir():
        options.data = AG_NEWS
    if options.data is not None:
        options.data = options.data.resolve()
    return options


def has_cuda() -> bool:
    """Return whether torch sees a CUDA device."""
    import torch

    return torch.cuda.is_available()


def describe(device: str) -> dict[str, Any]:
    """Return plain values that the numbers depend on."""
    import torch

    is_cuda = device == "cuda"
    return {
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "device": torch.cuda.get_device_name() if is_cuda else device,
        "cuda": torch.version.cuda if is_cuda else None,
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        **{name: version(name) for name in ("torch", "pytorch-lightning", "numpy", "lt-lightning")},
    }


if __name__ == "__main__":
    try:
        code = main()
    except SettingError as error:
        fail(str(error))
    sys.exit(code)
