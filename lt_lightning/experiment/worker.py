"""Run one process of a run: `python -m lt_lightning.experiment.worker`, started by `runtime.launcher`.

It reads its job from stdin, and ends when stdin closes.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import pickle
import select
import signal
import sys
import threading
import time
import traceback
from typing import NoReturn

from lt_lightning.config.messages import describe_error
from lt_lightning.errors import ResumableError, SettingError
from lt_lightning.lottery.settings import LotteryError
from lt_lightning.runtime.fast_import import load_lightning, prefer_installed
from lt_lightning.runtime.job import Job, Place
from lt_lightning.runtime.launcher import SHOW_CURSOR
from lt_lightning.runtime.terminal import CLOSED, prepare_streams


def main(report: int) -> None:
    """Run the job of stdin; write errors to the open file descriptor `report`."""
    try:
        job, place = pickle.load(sys.stdin.buffer)
    except (EOFError, pickle.UnpicklingError):  # the supervisor died while it wrote
        os._exit(1)
    _hold_lifeline()
    prepare_streams()
    prefer_installed()
    try:
        _set_up_logging(job, place)
        _run(job, place)
    except (SettingError, LotteryError) as error:
        _fail(report, error, describe_error(error))
    except BrokenPipeError:
        _fail(report, ResumableError(CLOSED), CLOSED)
    except BaseException as error:
        _fail(report, error, None)


def _run(job: Job, place: Place) -> None:
    from lt_lightning.experiment.hydra_main import hide_progress_bars_in_pipes
    from lt_lightning.experiment.start_run import load

    hide_progress_bars_in_pipes()
    corpus = load(job.config)

    load_lightning()
    import torch.distributed
    from pytorch_lightning.utilities import rank_zero_only

    from lt_lightning.experiment.experiment import run_experiment
    from lt_lightning.experiment.trainer import StartedProcesses

    # It is read before there is a Trainer, which would set it.
    rank_zero_only.rank = place.rank  # pyright: ignore[reportFunctionMemberAccess]
    run_experiment(
        job.config, corpus, job.run, job.command,
        resuming=job.resuming, environment=StartedProcesses(place), trial=job.trial,
    )  # fmt: skip
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def _hold_lifeline() -> None:
    """End the process when stdin closes, or on SIGTERM, whatever the main thread does.

    Lightning's SIGTERM handler communicates with the other processes, which can deadlock. The wake-up descriptor
    receives the signal before any handler runs.
    """
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    os.register_at_fork(after_in_child=lambda: signal.set_wakeup_fd(-1))  # data loaders have signals of their own

    def wait() -> None:
        while True:
            ready, _, _ = select.select([0, woken], [], [])
            if 0 in ready and not os.read(0, 1):
                _leave(1)
            if woken in ready and signal.SIGTERM in os.read(woken, 64):
                _leave(128 + signal.SIGTERM)

    threading.Thread(target=wait, name="lifeline", daemon=True).start()


def _leave(code: int) -> NoReturn:
    """Exit at once, without waiting for other threads."""
    if os.isatty(1):
        with contextlib.suppress(OSError):  # the terminal may be closed, too
            os.write(1, SHOW_CURSOR.encode())
    os._exit(code)


def _set_up_logging(job: Job, place: Place) -> None:
    """Configure logging as Hydra does; ranks other than 0 log only warnings, to files."""
    if job.logging is None:
        return
    from hydra.core.utils import configure_log
    from omegaconf import OmegaConf

    settings = OmegaConf.create(dict(job.logging))
    configure_log(settings.job_logging, settings.verbose)
    root = logging.getLogger()
    for handler in root.handlers[:] if place.rank else ():
        if isinstance(handler, logging.FileHandler):
            handler.setLevel(max(handler.level, logging.WARNING))
        else:
            root.removeHandler(handler)


def _fail(report: int, error: BaseException, line: str | None) -> NoReturn:
    """Write the error to `report` and exit at once, without waiting for other processes."""
    content = {
        "at": time.monotonic(),  # the same clock in all processes
        "line": line,
        "resumable": isinstance(error, ResumableError),
        "error": "".join(traceback.format_exception_only(type(error), error)).strip(),
        "traceback": "".join(traceback.format_exception(type(error), error, error.__traceback__)),
    }
    with open(report, "w", encoding="utf-8") as file:
        json.dump(content, file)
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(1)


if __name__ == "__main__":
    main(int(sys.argv[1]))
