"""Determine how the processes of a run are started: by this program, by a launcher, or not at all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from lt_lightning.config.schema import TrainerConfig
from lt_lightning.errors import SettingError
from lt_lightning.runtime.fast_import import load_lightning
from lt_lightning.runtime.job import Launch, Place, find_launcher, find_rank


def find_launch(trainer: TrainerConfig, environ: Mapping[str, str]) -> Launch:
    """Return how the processes of a run are started, and the rank of this one.

    The settings determine the number of processes: `srun -n 4` starts one run of four processes, or four runs of one,
    which ignore the launcher's variables. A single process of a distributed strategy is started, too, so that its
    process group and the variables that Lightning sets end with it.

    Raises:
        SettingError: the run spans machines without a launcher, or Lightning refuses the settings.
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
    return Launch(rank=find_rank(launcher, environ, max(count, 1)), launcher=launcher)


def _count_processes(trainer: TrainerConfig) -> int:
    """Return the number of processes per machine; 0 for one without a process group."""
    devices, strategy = trainer.devices, trainer.strategy or "auto"
    if isinstance(devices, str) and devices.isdecimal():
        devices = int(devices)
    if type(devices) is int and devices > 0 and isinstance(strategy, str):
        return devices if devices > 1 or strategy.lower().startswith("ddp") else 0
    return _ask_lightning(trainer)


def _ask_lightning(trainer: TrainerConfig) -> int:
    """Return the number of processes for `auto`, -1, a list of devices or a strategy object."""
    load_lightning()
    from pytorch_lightning.strategies import ParallelStrategy

    from lt_lightning.experiment.trainer import StartedProcesses, make_trainer

    # Without the user's objects, which each process makes; for one machine, whatever a launcher's variables are.
    plain = replace(trainer, callbacks=None, logger=False, plugins=None, profiler=None, num_nodes=1)
    made = make_trainer(plain, [], Path(), StartedProcesses(Place(0, 1, 0)))
    return made.num_devices if isinstance(made.strategy, ParallelStrategy) else 0
