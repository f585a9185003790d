"""Plant faults in a copy of the checkout, one at a time: `python -m trials.planted [--only NAME] [--jobs 2]`.

Each fault of `trials.faults` names the tests and trials that must find it. They run in a process forked from one that
has loaded torch, Lightning and pytest, but nothing of this project; they must pass without a fault and fail with it.
The exit code is 1 if a fault is not found, or if its old text is not in its file exactly once.
"""

from __future__ import annotations

import argparse
import compileall
import importlib
import importlib.util
import os
import runpy
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from trials.faults import FAULTS, Fault

SECONDS = 240.0
"""Time limit of a test or trial."""
_OURS = ("lt_lightning", "trials", "benchmarks")
_COPIED = (*_OURS, "conf", "docs", "tests", "pyproject.toml", "README.md", "Makefile", "constraints.txt")
_PRELOADED = (
    "pytest", "numpy", "pandas", "pyarrow", "torch", "torchmetrics", "pytorch_lightning", "datasets", "tokenizers",
    "safetensors.torch", "hydra", "omegaconf", "rich.progress", "filelock", "numba", "scipy.stats", "matplotlib.pyplot",
)  # fmt: skip
_ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",  # a forked process has one thread
    "HF_HUB_OFFLINE": "1",
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",  # pytest must load plugins before the packages they belong to
}
_PASSED, _FAILED, _BROKEN = 0, 1, 70


def misplaced(faults: Sequence[Fault], checkout: Path) -> list[str]:
    """Return a line for each fault whose old text is not in its file exactly once."""
    lines = []
    for fault in faults:
        path = checkout / fault.file
        found = path.read_text(encoding="utf-8").count(fault.old) if path.is_file() else 0
        if found != 1:
            lines.append(
                f"{fault.name}: its old text is {found} times in {fault.file}; bring trials/faults.py up to date"
            )
    names = [fault.name for fault in faults]
    return lines + [f"{name}: the name of more than one fault" for name in sorted({*names}) if names.count(name) > 1]


@dataclass
class Attempt:
    """Tests or one trial, on a checkout with or without a fault.

    Attributes:
        fault: the fault; None if the tests must pass.
        watchers: tests by their pytest names, or one trial with its arguments.
        code: the exit code at the end.
        seconds: the time taken.
    """

    fault: Fault | None
    watchers: tuple[str, ...]
    code: int = _BROKEN
    seconds: float = 0.0

    @property
    def as_expected(self) -> bool:
        """Whether the tests failed with the fault, or passed without one."""
        return self.code == (_PASSED if self.fault is None else _FAILED)

    def __str__(self) -> str:
        good = "passes" if self.fault is None else "seen"
        bad = {_PASSED: "NOT SEEN", _FAILED: "FAILS", -signal.SIGKILL: "NO ANSWER"}.get(
            self.code, f"BROKEN {self.code}"
        )
        name = "no fault" if self.fault is None else self.fault.name
        by = self.watchers[0] if len(self.watchers) == 1 else f"{len(self.watchers)} tests"
        return f"{good if self.as_expected else bad:10}{self.seconds:6.1f} s  {name}: {by}"


class Bench:
    """A copy of a checkout for one attempt at a time.

    Args:
        checkout: the checkout.
        folder: the folder for the copy and the attempts' files.
    """

    def __init__(self, checkout: Path, folder: Path) -> None:
        self.copy, self.log, self._scratch = folder / "checkout", folder / "log", folder / "scratch"
        self._code = folder / "machine_code"
        self.copy.mkdir(parents=True)
        for name in _COPIED:
            if (checkout / name).is_dir():
                shutil.copytree(checkout / name, self.copy / name, ignore=shutil.ignore_patterns("__pycache__"))
            elif (checkout / name).is_file():
                shutil.copy2(checkout / name, self.copy)
        for name in _OURS:
            compileall.compile_dir(self.copy / name, quiet=1)
        self.attempt: Attempt | None = None
        self._process, self._began, self._right, self._time = 0, 0.0, "", 0.0

    def begin(self, attempt: Attempt) -> None:
        """Plant the attempt's fault, and fork a process that runs its tests."""
        self.attempt = attempt
        shutil.rmtree(self._scratch, ignore_errors=True)  # the caches must not carry over to the next fault
        self._scratch.mkdir()
        if (fault := attempt.fault) is not None:
            path = self.copy / fault.file
            self._right, self._time = path.read_text(encoding="utf-8"), path.stat().st_mtime
            _write(path, self._right.replace(fault.old, fault.new), self._time + 1000)
        self._began = time.monotonic()
        self._process = os.fork()
        if not self._process:
            # Numba does not notice that a function that it has compiled into another one has changed.
            in_kernels = fault is not None and fault.file.startswith("lt_lightning/kernels/")
            _run(attempt.watchers, self.copy, self.log, self._scratch, self._scratch if in_kernels else self._code)

    def end(self) -> Attempt | None:
        """Return the attempt if it has ended, after removing its fault; kill it after the time limit."""
        attempt, seconds = self.attempt, time.monotonic() - self._began
        if attempt is None:
            return None
        if late := seconds > SECONDS:
            os.killpg(self._process, signal.SIGKILL)
        process, status = os.waitpid(self._process, 0 if late else os.WNOHANG)
        if not process:
            return None
        attempt.code, attempt.seconds, self.attempt = os.waitstatus_to_exitcode(status), seconds, None
        if attempt.fault is not None:
            _write(self.copy / attempt.fault.file, self._right, self._time)
        return attempt


def _write(path: Path, text: str, modified: float) -> None:
    """Write a source file with a time, by which Python decides whether a compiled file is up to date."""
    path.write_text(text, encoding="utf-8")
    os.utime(path, (modified, modified))


def _run(watchers: Sequence[str], copy: Path, log: Path, scratch: Path, code_folder: Path) -> NoReturn:
    """Run tests or a trial in this process as if it had been started in the copy, and exit."""
    code = _BROKEN
    try:
        os.setsid()  # so that it can be killed with its children
        with log.open("w", encoding="utf-8") as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
        os.chdir(copy)
        os.environ |= {"PYTHONPATH": str(copy), "XDG_CACHE_HOME": str(scratch), "TMPDIR": str(scratch)}
        os.environ["NUMBA_CACHE_DIR"] = str(code_folder)
        tempfile.tempdir = None  # look it up again
        for name in [name for name in sys.modules if name.partition(".")[0] in _OURS]:
            del sys.modules[name]
        sys.path[:] = [str(copy), *(path for path in sys.path if not (Path(path) / "trials/planted.py").exists())]
        sys.dont_write_bytecode = True
        importlib.invalidate_caches()
        found = importlib.util.find_spec("lt_lightning")
        assert found is not None and str(found.origin).startswith(str(copy))
        code = _pytest(watchers) if "::" in watchers[0] else _trial(*watchers[0].split())
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _pytest(tests: Sequence[str]) -> int:
    import hypothesis
    import pytest

    # The same examples each time, so that finding a fault does not depend on chance.
    hypothesis.settings.register_profile("planted", derandomize=True)
    hypothesis.settings.load_profile("planted")
    return pytest.main(["-x", "-q", "--no-header", "-p", "no:cacheprovider", *tests])


def _trial(module: str, *arguments: str) -> int:
    sys.argv = [module, *arguments]
    try:
        runpy.run_module(module, run_name="__main__", alter_sys=True)
    except SystemExit as leaving:
        return leaving.code if isinstance(leaving.code, int) else _PASSED
    return _PASSED


def controls(faults: Sequence[Fault], jobs: int) -> list[Attempt]:
    """Return the attempts without a fault: all tests that the faults name, a part for each job, and each trial."""
    watchers = list(dict.fromkeys(one for fault in faults for one in fault.seen_by))
    tests = [one for one in watchers if "::" in one]
    parts = [tuple(tests[job::jobs]) for job in range(min(jobs, len(tests)))]
    return [Attempt(None, part) for part in parts] + [Attempt(None, (one,)) for one in watchers if "::" not in one]


def make(attempts: Sequence[Attempt], benches: Sequence[Bench]) -> list[Attempt]:
    """Make all attempts, one at a time in each copy, print a line for each, and return the wrong ones."""
    waiting, wrong = list(attempts), []
    while waiting or any(bench.attempt for bench in benches):
        for bench in benches:
            if (ended := bench.end()) is not None:
                print(ended, flush=True)
                if not ended.as_expected:
                    wrong.append(ended)
                    print(bench.log.read_text(encoding="utf-8", errors="replace")[-4000:], flush=True)
            if bench.attempt is None and waiting:
                bench.begin(waiting.pop(0))
        time.sleep(0.02)
    return wrong


def try_all(faults: Sequence[Fault], checkout: Path, jobs: int, preloaded: Sequence[str] = _PRELOADED) -> int:
    """Plant all faults, print which are found, and return the exit code.

    Args:
        faults: the faults.
        checkout: the checkout to copy.
        jobs: the number of faults at a time.
        preloaded: the modules to load before the first fork.
    """
    if lines := misplaced(faults, checkout):
        print("\n".join(lines))
        return 1
    with tempfile.TemporaryDirectory(prefix="lt_lightning_planted_") as folder:
        os.environ |= {**_ENVIRONMENT, "XDG_CACHE_HOME": folder}
        for module in preloaded:
            importlib.import_module(module)
        benches = [Bench(checkout, Path(folder) / str(job)) for job in range(jobs)]
        if make(controls(faults, jobs), benches):
            print("these must pass without a fault")
            return 1
        wrong = make([Attempt(fault, (watcher,)) for fault in faults for watcher in fault.seen_by], benches)
    missed = {attempt.fault.name for attempt in wrong if attempt.fault is not None}
    print(f"{len(faults)} faults planted, {len(faults) - len(missed)} seen by all that must see them")
    return 1 if wrong else 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Read the command line and plant the faults."""
    parser = argparse.ArgumentParser(prog="python -m trials.planted", description=__doc__)
    parser.add_argument("--only", action="append", metavar="NAME", help="plant only this fault (repeatable)")
    parser.add_argument("--jobs", type=int, default=2, help="number of faults at a time (%(default)s)")
    given = parser.parse_args(arguments)
    faults = [fault for fault in FAULTS if given.only is None or fault.name in given.only]
    if not faults:
        parser.error(f"no such fault; there are {', '.join(fault.name for fault in FAULTS)}")
    return try_all(faults, Path(__file__).parents[1], given.jobs)


if __name__ == "__main__":
    sys.exit(main())
