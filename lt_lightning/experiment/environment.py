"""Describe a run's processes to Lightning.

Lightning would read environment variables, and load checkpoints of its own (`hpc_ckpt_N.ckpt`) on SLURM. Here the rank
follows from the settings (`launch.find_launch`), and a round starts from this project's state alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytorch_lightning as pl
from lightning_fabric.plugins.environments.cluster_environment import ClusterEnvironment
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from lightning_fabric.plugins.environments.slurm import SLURMEnvironment
from lightning_fabric.plugins.environments.torchelastic import TorchElasticEnvironment

from lt_lightning.errors import SettingError
from lt_lightning.runtime.job import Launch, Place


class StartedProcesses(ClusterEnvironment):
    """Processes on one machine that were started before Lightning, which then starts none."""

    def __init__(self, place: Place) -> None:
        super().__init__()
        self._place = place

    @property
    def creates_processes_externally(self) -> bool:
        """Return True: Lightning must not start processes."""
        return True

    @property
    def main_address(self) -> str:
        """Return the address where the processes meet."""
        return self._place.address

    @property
    def main_port(self) -> int:
        """Return the port where the processes meet."""
        return self._place.port

    @staticmethod
    def detect() -> bool:
        """Return False: this environment is passed to the Trainer."""
        return False

    def world_size(self) -> int:
        """Return the number of processes."""
        return self._place.count

    def set_world_size(self, size: int) -> None:
        """Do nothing: the size is known."""

    def global_rank(self) -> int:
        """Return the rank."""
        return self._place.rank

    def set_global_rank(self, rank: int) -> None:
        """Do nothing: the rank is known."""

    def local_rank(self) -> int:
        """Return the rank on this machine."""
        return self._place.rank

    def node_rank(self) -> int:
        """Return 0: there is one machine."""
        return 0


def find_environment(launch: Launch) -> ClusterEnvironment:
    """Return the environment of a process that no supervisor has started.

    Raises:
        SettingError: the variables of a SLURM job are not what Lightning needs.
    """
    if launch.launcher == "torchrun":
        return TorchElasticEnvironment()
    if launch.launcher == "slurm":
        try:
            return SLURMEnvironment(auto_requeue=False)
        except RuntimeError as error:  # such as --ntasks without --ntasks-per-node
            raise SettingError(f"trainer: {str(error).splitlines()[0]}") from error
    if launch.launcher is not None or launch.start:
        return LightningEnvironment()
    return StartedProcesses(Place(0, 1, 0))


def choose_environment(arguments: dict[str, Any], environment: ClusterEnvironment) -> None:
    """Add `environment` to a Trainer's `plugins` unless they hold one; Lightning must not requeue SLURM jobs."""
    given = arguments.get("plugins") or []
    plugins = list(given) if isinstance(given, Iterable) and not isinstance(given, str) else [given]
    own = [plugin for plugin in plugins if isinstance(plugin, ClusterEnvironment)]
    of_strategy = getattr(arguments.get("strategy"), "cluster_environment", None)
    for one in (*own, of_strategy):
        if isinstance(one, SLURMEnvironment):
            one.auto_requeue = False
    if not own and of_strategy is None:
        arguments["plugins"] = [environment, *plugins]


def load_only_what_is_given(trainer: pl.Trainer) -> None:
    """Make `fit` and `test` load only the checkpoint that they are given.

    Lightning would otherwise load `hpc_ckpt_N.ckpt` on SLURM, or an `OnExceptionCheckpoint`: state of another round.
    """
    # Private: Lightning has no setting for it. tests/test_environment.py plants such a file and sees it ignored.
    connector = trainer._checkpoint_connector
    connector._select_ckpt_path = lambda state_fn, ckpt_path, **_: ckpt_path  # pyright: ignore[reportAttributeAccessIssue]
