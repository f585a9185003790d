"""Find out whether a scheduler starts this process again, and ask SLURM to do so before a time limit.

`tests/launchers/test_slurm_jobs.py` compares these rules with the variables that SLURM itself sets.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from lt_lightning.runtime.job import number_in
from lt_lightning.runtime.signals import WARNINGS, Interruption, ignore_signals
from lt_lightning.storage.atomic import write_whole
from lt_lightning.storage.lock import STATE

_MOST_STOPS = 3
"""How often a time limit may stop a run at the same place before its job is not requeued."""

_REQUEUE_SECONDS = 30
"""How long `scontrol` may take."""

_RAY = ("RAY_JOB_ID", "RAY_JOB_CONFIG_JSON_ENV_VAR")
"""Variables of Ray's worker processes, which repeat a failed task, and of a command given to `ray job submit`."""


def may_start_again(environ: Mapping[str, str]) -> bool:
    """Return whether a scheduler runs this process, and may repeat its command after a time limit or a failure.

    True in SLURM jobs, except in a shell that a person types in (`salloc`, `srun --pty`), in jobs of submitit and Ray,
    and in processes that torchrun has restarted.

    >>> may_start_again({"SLURM_JOB_ID": "7", "ENVIRONMENT": "BATCH"}), may_start_again({"SLURM_JOB_ID": "7"})
    (True, False)
    """
    is_step = "SLURM_STEP_ID" in environ and "SLURM_PTY_PORT" not in environ
    in_slurm = "SLURM_JOB_ID" in environ and is_step
    restarted = number_in(environ, "TORCHELASTIC_RESTART_COUNT") > 0
    others = "SUBMITIT_EXECUTOR" in environ or any(name in environ for name in _RAY)
    return is_batch_job(environ) or in_slurm or restarted or others


def is_batch_job(environ: Mapping[str, str]) -> bool:
    """Return whether this process belongs to a job of `sbatch`; SLURM can requeue no other."""
    return "SLURM_JOB_ID" in environ and environ.get("ENVIRONMENT") == "BATCH"


def attempt(environ: Mapping[str, str]) -> str:
    """Return how often SLURM and torchrun have started this job before.

    >>> attempt({"SLURM_RESTART_COUNT": "2"})
    '2.0'
    """
    return ".".join(str(number_in(environ, name)) for name in ("SLURM_RESTART_COUNT", "TORCHELASTIC_RESTART_COUNT"))


def answer_warning(stopped: Interruption, environ: Mapping[str, str]) -> str:
    """Requeue this process's SLURM job if `stopped` is the warning before its time limit; return the line to print.

    Only the first process of a job step requeues. Nothing is requeued if the run does not go on when it starts again,
    or if it stands still.
    """
    is_first = number_in(environ, "SLURM_PROCID") == 0 and number_in(environ, "RANK") == 0
    if stopped.signal not in WARNINGS or not stopped.goes_on or not is_batch_job(environ) or not is_first:
        return str(stopped)
    job = environ["SLURM_JOB_ID"]
    if stopped.folder is not None and (fault := describe_standstill(stopped.folder)) is not None:
        limit = "raise the time limit of the job (sbatch --time) above the duration of an epoch"
        return f"stopped by {stopped.signal.name}: job {job} is not requeued, as {fault}; {limit}, and {stopped.advice}"
    ignore_signals()  # SLURM ends the job at once; the line must come before
    try:
        asked = subprocess.run(
            ["scontrol", "requeue", job], capture_output=True, text=True, timeout=_REQUEUE_SECONDS, check=False
        )
        refusal = " ".join(asked.stderr.split()) or f"exit code {asked.returncode}" if asked.returncode else None
    except (OSError, subprocess.TimeoutExpired) as error:
        refusal = str(error)
    if refusal is None:
        return f"stopped by {stopped.signal.name}: SLURM starts job {job} again, and the run goes on there"
    reason = f"SLURM does not requeue job {job} ({refusal}; was it submitted with --requeue?)"
    return f"stopped by {stopped.signal.name}: {reason}: {stopped.advice}"


def describe_standstill(folder: Path) -> str | None:
    """Count a stop by a time limit; return that the run stands still if it has saved nothing over three of them.

    Args:
        folder: the directory of a run or a sweep, which holds the count.
    """
    saved = sorted(path.relative_to(folder).as_posix() for path in folder.glob(f"**/{STATE}/round_*"))
    mark = hashlib.sha256("\n".join(saved).encode()).hexdigest()
    record = folder / STATE / "time_limits.json"
    try:
        before = json.loads(record.read_text(encoding="utf-8"))
        stops = int(before["stops"]) + 1 if before["saved"] == mark else 1
    except (OSError, ValueError, TypeError, KeyError):  # the first stop
        stops = 1
    if stops >= _MOST_STOPS:
        record.unlink(missing_ok=True)  # a person may start it again, with another limit
        return f"it reached its time limit {stops} times without finishing an epoch"
    with suppress(OSError):  # a disk that is full is no reason to end the job
        record.parent.mkdir(parents=True, exist_ok=True)
        write_whole(record, json.dumps({"saved": mark, "stops": stops}) + "\n")
    return None


def job_key(environ: Mapping[str, str]) -> str | None:
    """Return a name of this process that stays when SLURM starts its batch job again; None outside of one.

    Processes of one job step differ by their number.
    """
    if not is_batch_job(environ):
        return None
    return f"{environ['SLURM_JOB_ID']}_{number_in(environ, 'SLURM_PROCID')}"
