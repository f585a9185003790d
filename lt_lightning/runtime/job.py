"""Describe a run's processes: how many there are, and each one's rank and address.

`launcher` starts them, `experiment.worker` runs in each, and `experiment.trainer` describes them to Lightning.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lt_lightning.config.schema import Config


@dataclass(frozen=True)
class Job:
    """A run, as sent to each of its processes.

    Attributes:
        config: the checked configuration.
        run: the run directory.
        command: the overrides on the command line, for the record.
        logging: Hydra's `job_logging` and `verbose`, as plain values; None leaves logging alone.
        resuming: whether the run directory holds the beginning of this run.
        trial: the trial of a search that the run is, a `search.trial.TrialPlace`; None for any other run.
    """

    config: Config
    run: Path
    command: tuple[str, ...] = ()
    logging: Mapping[str, Any] | None = None
    resuming: bool = False
    trial: Any = None


@dataclass(frozen=True)
class Place:
    """The rank of a process and the address where the run's processes meet, on one machine."""

    rank: int
    count: int
    port: int
    address: str = "127.0.0.1"


@dataclass(frozen=True)
class Launch:
    """How the processes of a run are started.

    Attributes:
        start: the number of processes to start; 0 if this process runs the job, or its part of it.
        rank: the rank of this process; rank 0 writes the records and prints.
        launcher: `torchrun`, `slurm`, or `environ` for a program that sets LOCAL_RANK; None without a launcher, or for
            a single process.
    """

    start: int = 0
    rank: int = 0
    launcher: str | None = None


LAUNCHER_VARIABLES = frozenset(
    {
        "RANK", "LOCAL_RANK", "GROUP_RANK", "NODE_RANK", "ROLE_RANK", "ROLE_NAME",
        "WORLD_SIZE", "LOCAL_WORLD_SIZE", "GROUP_WORLD_SIZE", "ROLE_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT",
    }
)  # fmt: skip
"""Variables by which a launcher tells a process its place; `TORCHELASTIC_…` likewise."""


def without_launcher(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment without the variables that a launcher sets.

    >>> without_launcher({"RANK": "1", "TORCHELASTIC_RUN_ID": "7", "HOME": "/root"})
    {'HOME': '/root'}
    """
    return {
        name: value
        for name, value in environ.items()
        if name not in LAUNCHER_VARIABLES and not name.startswith("TORCHELASTIC_")
    }


def find_launcher(environ: Mapping[str, str]) -> str | None:
    """Return the launcher that the environment shows, in Lightning's order of precedence.

    >>> find_launcher({"LOCAL_RANK": "0"}), find_launcher({"SLURM_NTASKS": "4"}), find_launcher({"SLURM_NTASKS": "1"})
    ('environ', 'slurm', None)
    """
    if "TORCHELASTIC_RUN_ID" in environ:
        return "torchrun"
    # A shell within an allocation has SLURM's variables, too, but is no task of it; Lightning sees it so as well.
    in_shell = environ.get("SLURM_JOB_NAME") in ("bash", "interactive")
    if number_in(environ, "SLURM_NTASKS", 1) > 1 and not in_shell:
        return "slurm"
    return "environ" if "LOCAL_RANK" in environ else None


def find_rank(launcher: str, environ: Mapping[str, str], devices: int) -> int:
    """Return the rank of this process in the run, as Lightning computes it."""
    if launcher == "torchrun":
        return number_in(environ, "RANK", 0)
    if launcher == "slurm":
        return number_in(environ, "SLURM_PROCID", 0)
    node = number_in(environ, "NODE_RANK", number_in(environ, "GROUP_RANK", 0))
    return node * devices + number_in(environ, "LOCAL_RANK", 0)


def number_in(environ: Mapping[str, str], name: str, default: int = 0) -> int:
    """Return the number in a variable; `default` if it is missing or no number."""
    text = environ.get(name, "")
    return int(text) if text.isdecimal() else default
