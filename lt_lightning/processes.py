"""Several processes for one run: how many, and what each is told.

`supervisor` starts them and watches over them, `worker` is what each of them runs, `environment` tells Lightning which
of them it is in. Nothing here or in `supervisor` needs torch, unless Lightning has to say how many devices there are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lt_lightning.config import Config, TrainerConfig
from lt_lightning.errors import SettingError
from lt_lightning.imports import load_lightning


@dataclass(frozen=True)
class Job:
    """A run, as all of its processes are told.

    Attributes:
        config: the checked configuration.
        run: the run directory.
        command: the overrides on the command line, for the record.
        logging: Hydra's `job_logging` and `verbose`, as plain values; None leaves logging alone.
        resuming: whether the run directory holds the beginning of this run.
    """

    config: Config
    run: Path
    command: tuple[str, ...] = ()
    logging: Mapping[str, Any] | None = None
    resuming: bool = False


@dataclass(frozen=True)
class Place:
    """Which of a run's processes this is, and where they meet: all on one machine."""

    rank: int
    count: int
    port: int
    address: str = "127.0.0.1"


@dataclass(frozen=True)
class Launch:
    """How the processes of a run come to be, as one of them sees it.

    Attributes:
        start: how many processes to start; 0: this process plays the run, or its part of it.
        rank: which of the run's processes this is; process 0 writes the records and speaks.
        launcher: what started the run's processes: `torchrun`, `slurm`, or `environ` for a program that sets
            LOCAL_RANK; None if nothing did, or if the run has one process alone.
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
    """Return the variables without those by which a launcher tells a process its place.

    >>> without_launcher({"RANK": "1", "TORCHELASTIC_RUN_ID": "7", "HOME": "/root"})
    {'HOME': '/root'}
    """
    return {
        name: value
        for name, value in environ.items()
        if name not in LAUNCHER_VARIABLES and not name.startswith("TORCHELASTIC_")
    }


def find_launch(trainer: TrainerConfig, environ: Mapping[str, str]) -> Launch:
    """Return how the processes of a run are started, and which of them this is.

    The settings say how many processes a run has. A run of one process plays alone and writes its records, whatever a
    launcher has left in the environment. So `srun -n 4` starts four runs of one process each, or one run of four.

    One process of a distributed strategy is started, too, so that the group that it joins and the variables that
    Lightning sets end with it.

    Args:
        trainer: the `trainer` group.
        environ: the environment's variables.

    Raises:
        SettingError: if the run is to span machines and no launcher starts processes on them, or Lightning refuses
            the settings.
    """
    nodes = trainer.num_nodes or 1
    launcher = find_launcher(environ)
    if nodes > 1 and launcher is None:
        raise SettingError(
            f"trainer.num_nodes: {nodes} machines need a launcher; start the run with torchrun, "
            "or under SLURM with srun, a task a device"
        )
    count = _count_processes(trainer)
    if launcher is None or max(count, 1) * nodes == 1:
        return Launch(start=count)
    return Launch(rank=_rank(launcher, environ, max(count, 1)), launcher=launcher)


def find_launcher(environ: Mapping[str, str]) -> str | None:
    """Return what may have started this process as one of several, in Lightning's order of precedence.

    >>> find_launcher({"LOCAL_RANK": "0"}), find_launcher({"SLURM_NTASKS": "4"}), find_launcher({"SLURM_NTASKS": "1"})
    ('environ', 'slurm', None)
    """
    if "TORCHELASTIC_RUN_ID" in environ:
        return "torchrun"
    # A shell within an allocation has SLURM's variables, too, but is no task of it; Lightning sees it so as well.
    in_shell = environ.get("SLURM_JOB_NAME") in ("bash", "interactive")
    if _number(environ, "SLURM_NTASKS", 1) > 1 and not in_shell:
        return "slurm"
    return "environ" if "LOCAL_RANK" in environ else None


def _rank(launcher: str, environ: Mapping[str, str], devices: int) -> int:
    """Return the number of this process among those of the run, as the environment given to Lightning has it."""
    if launcher == "torchrun":
        return _number(environ, "RANK", 0)
    if launcher == "slurm":
        return _number(environ, "SLURM_PROCID", 0)
    node = _number(environ, "NODE_RANK", _number(environ, "GROUP_RANK", 0))
    return node * devices + _number(environ, "LOCAL_RANK", 0)


def _number(environ: Mapping[str, str], name: str, default: int) -> int:
    text = environ.get(name, "")
    return int(text) if text.isdecimal() else default


def _count_processes(trainer: TrainerConfig) -> int:
    """Return how many processes a machine needs; 0: one, without a group that it would have to join."""
    devices, strategy = trainer.devices, trainer.strategy or "auto"
    if isinstance(devices, str) and devices.isdecimal():
        devices = int(devices)
    if type(devices) is int and devices > 0 and isinstance(strategy, str):
        return devices if devices > 1 or strategy.lower().startswith("ddp") else 0
    return _ask_lightning(trainer)


def _ask_lightning(trainer: TrainerConfig) -> int:
    """What `auto`, -1, a list of devices or a strategy that is an object come to on this machine."""
    load_lightning()
    from pytorch_lightning.strategies import ParallelStrategy

    from lt_lightning.environment import StartedProcesses
    from lt_lightning.experiment import make_trainer

    # Without what people may have added: it would be made here and again in each process. Of one machine, and with an
    # environment of its own: whatever a launcher says does not matter to the number of devices.
    plain = replace(trainer, callbacks=None, logger=False, plugins=None, profiler=None, num_nodes=1)
    made = make_trainer(plain, [], Path(), StartedProcesses(Place(0, 1, 0)))
    return made.num_devices if isinstance(made.strategy, ParallelStrategy) else 0
