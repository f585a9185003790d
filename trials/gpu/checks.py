"""The checks, the most important first, and their shares of the time. Imports no torch."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from trials.gpu.results import Outcome, Request, Result


@dataclass(frozen=True)
class Check:
    """A check.

    Attributes:
        name: its name in the table.
        function: its function, as `module:function` in this folder.
        share: its part of the time, beside those of the others.
        least: the seconds below which it is not begun.
    """

    name: str
    function: str
    share: float
    least: float = 15


CHECKS = (
    Check("tests", "cuda_tests:run_tests", 0.16),
    Check("equality", "equality:compare_with_cpu", 0.16),
    Check("waits", "steps:find_waits", 0.1),
    Check("resident", "steps:find_copies", 0.07),
    Check("bf16", "precision:compare_precisions", 0.1),
    Check("kill", "kill:kill_and_resume", 0.15),
    Check("step", "timing:time_steps", 0.12),
    Check("lt_agnews", "timing:run_lottery", 0.14, least=30),
)
"""All checks."""

Runner = Callable[[Check, Request], Result]


def run_all(
    checks: Sequence[Check],
    request: Request,
    runner: Runner | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[Result]:
    """Run checks and yield each result as it comes.

    A check gets its share of the time that is left, beside those of the checks after it: what one saves the others get.

    Args:
        checks: the checks, in order.
        request: the device, the data, the time for all together, and a folder for all.
        runner: runs one check; a process of its own by default.
        clock: returns the time in seconds.
    """
    runner, began = runner or run_apart, clock()
    for place, check in enumerate(checks):
        left = request.seconds - (clock() - began)
        seconds = left * check.share / sum(one.share for one in checks[place:])
        if seconds < check.least:
            yield Result(check.name, "skipped", f"{max(seconds, 0):.0f} s left for it, it needs {check.least:.0f}")
            continue
        folder = request.folder / check.name
        folder.mkdir(parents=True)
        yield runner(check, Request(request.device, seconds, folder, request.data))


def run_apart(check: Check, request: Request) -> Result:
    """Run a check in a process of its own, which is killed when its time is over."""
    asked, found, log = (request.folder / name for name in ("request.json", "result.json", "log.txt"))
    asked.write_text(json.dumps({"function": check.function, **asdict(request)}, default=str))
    began = time.monotonic()
    with log.open("w") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "trials.gpu.worker", str(asked), str(found)],
            stdout=file, stderr=subprocess.STDOUT, cwd=Path(__file__).parents[2], start_new_session=True,
        )  # fmt: skip
        try:
            code = process.wait(request.seconds)
            ended = f"exit code {code}"
        except subprocess.TimeoutExpired:
            ended = f"not over after its {request.seconds:.0f} s"
        finally:
            # Those that it started are of its session.
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
    seconds = time.monotonic() - began
    if found.exists():  # written whole
        given = json.loads(found.read_text())
        if "skipped" in given:
            return Result(check.name, "skipped", given["skipped"], seconds)
        return Result.of(check.name, Outcome(**given), seconds)
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
    last = f": {lines[-1][:200]}" if lines else ""
    return Result(check.name, "FAILED", f"{ended}{last}; see {log}", seconds)
