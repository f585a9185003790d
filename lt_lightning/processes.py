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


def launched_elsewhere(environ: Mapping[str, str]) -> bool:
    """Whether something else starts the processes, and this is one of them: torchrun, or SLURM with several tasks.

    >>> launched_elsewhere({"LOCAL_RANK": "0"}), launched_elsewhere({"SLURM_NTASKS": "1"}), launched_elsewhere({})
    (True, False, False)
    """
    if "TORCHELASTIC_RUN_ID" in environ or "LOCAL_RANK" in environ:
        return True
    # A shell within an allocation has SLURM's variables, too, but is no task of it; Lightning sees it so as well.
    in_shell = environ.get("SLURM_JOB_NAME") in ("bash", "interactive")
    return int(environ.get("SLURM_NTASKS") or 1) > 1 and not in_shell


def is_first(environ: Mapping[str, str]) -> bool:
    """Whether this is the process that writes, among those that something else started; or the only one.

    >>> is_first({}), is_first({"RANK": "0", "LOCAL_RANK": "0"}), is_first({"SLURM_PROCID": "3", "SLURM_NTASKS": "4"})
    (True, True, False)
    """
    names = ("RANK", "LOCAL_RANK", "SLURM_PROCID")
    return not launched_elsewhere(environ) or all(environ.get(name, "0") == "0" for name in names)


def count_processes(trainer: TrainerConfig, environ: Mapping[str, str]) -> int:
    """How many processes to start for a run; 0 where it runs in the process that asks.

    One process of a distributed strategy is started, too, so that the group that it joins and the variables that
    Lightning sets end with it.

    Args:
        trainer: the `trainer` group.
        environ: the environment's variables.

    Raises:
        SettingError: if the run is to span machines and nothing starts processes on them, or Lightning refuses the
            settings.
    """
    if launched_elsewhere(environ):
        return 0
    if (trainer.num_nodes or 1) > 1:
        raise SettingError(
            f"trainer.num_nodes: {trainer.num_nodes} machines need a launcher; start the run with torchrun, "
            "or under SLURM with srun, a task a device"
        )
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

    from lt_lightning.experiment import make_trainer

    # Without what people may have added: it would be made here and again in each process.
    plain = replace(trainer, callbacks=None, logger=False, plugins=None, profiler=None)
    made = make_trainer(plain, [], Path())
    return made.num_devices if isinstance(made.strategy, ParallelStrategy) else 0
