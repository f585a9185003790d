"""Run `python -m lt_lightning.train` in processes forked from one that has imported torch and Lightning.

Such a process starts in a fraction of a second; the imports take several.
"""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
import tempfile
from multiprocessing import get_context
from multiprocessing.context import ForkServerContext
from pathlib import Path

_PRELOADED = ["trials.preloaded"]


def forking() -> ForkServerContext:
    """Return what starts processes that are forked from one that has imported torch and Lightning."""
    context = get_context("forkserver")
    context.set_forkserver_preload(_PRELOADED)
    return context


def run_train(*arguments: str, folder: Path, timeout: float = 300) -> subprocess.CompletedProcess[str]:
    """Run the command in a folder, with the variables of this process, and return what it printed.

    Raises:
        subprocess.TimeoutExpired: it was killed after `timeout` seconds.
    """
    context = forking()
    with tempfile.TemporaryDirectory() as place:
        output, errors = Path(place, "output"), Path(place, "errors")
        process = context.Process(target=_play, args=(arguments, folder, dict(os.environ), output, errors))
        process.start()
        process.join(timeout)
        if process.exitcode is None:
            process.kill()
            process.join()
            raise subprocess.TimeoutExpired(arguments, timeout, output.read_bytes(), errors.read_bytes())
        code, printed = process.exitcode, (output.read_text(encoding="utf-8"), errors.read_text(encoding="utf-8"))
        process.close()
    return subprocess.CompletedProcess(arguments, code, *printed)


def _play(arguments: tuple[str, ...], folder: Path, environ: dict[str, str], output: Path, errors: Path) -> None:
    for place, path in ((1, output), (2, errors)):
        os.dup2(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND), place)
    os.environ.clear()
    os.environ.update(environ)
    os.chdir(folder)
    sys.path.insert(0, str(folder))  # as `python -m` does
    sys.argv = ["lt_lightning.train", *arguments]
    try:
        runpy.run_module("lt_lightning.train", run_name="__main__", alter_sys=True)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
