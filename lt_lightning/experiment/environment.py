"""Lightning's view of the place where a process runs: which process this is, and what a cluster may do to a run.

Lightning would find the place by the environment's variables, and on a SLURM cluster save and load checkpoints of its
own (`hpc_ckpt_N.ckpt`). Here the place follows from the settings (`processes.find_launch`), and a round starts from
this project's own state alone.
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
    """Processes on one machine that were started before Lightning, which then starts none.

    Args:
        place: which of them this is, and where they meet.
    """

    def __init__(self, place: Place) -> None:
        super().__init__()
        self._place = place

    @property
    def creates_processes_externally(self) -> bool:
        """That Lightning is not to start any."""
        return True

    @property
    def main_address(self) -> str:
        """Where they meet."""
        return self._place.address

    @property
    def main_port(self) -> int:
        """At which port."""
        return self._place.port

    @staticmethod
    def detect() -> bool:
        """Never of itself: it is handed to the Trainer."""
        return False

    def world_size(self) -> int:
        """How many there are."""
        return self._place.count

    def set_world_size(self, size: int) -> None:
        """Known already."""

    def global_rank(self) -> int:
        """Which one this is."""
        return self._place.rank

    def set_global_rank(self, rank: int) -> None:
        """Known already."""

    def local_rank(self) -> int:
        """Which one of this machine's."""
        return self._place.rank

    def node_rank(self) -> int:
        """Which machine: there is one."""
        return 0


def find_environment(launch: Launch) -> ClusterEnvironment:
    """Return the environment of a process that no supervisor has started.

    Args:
        launch: how the run's processes are started.

    Raises:
        SettingError: if the tasks of a SLURM job are not described as Lightning needs it.
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
    """Put `environment` among a Trainer's arguments, unless they hold one; no SLURM job is requeued by Lightning.

    Args:
        arguments: a Trainer's arguments; `plugins` is changed.
        environment: which of the run's processes this is.
    """
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
    """Let `trainer` load the checkpoint that `fit` or `test` is given, and none if it is given none.

    Lightning would load `hpc_ckpt_N.ckpt` from `default_root_dir` on a SLURM cluster, and what an
    `OnExceptionCheckpoint` has saved: state of another round.
    """
    # Private: Lightning has no setting for it. tests/test_environment.py plants such a file and sees it ignored.
    connector = trainer._checkpoint_connector
    connector._select_ckpt_path = lambda state_fn, ckpt_path, **_: ckpt_path  # pyright: ignore[reportAttributeAccessIssue]
