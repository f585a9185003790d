"""What Lightning asks of the place where a process runs, answered without a word of the environment's variables."""

from __future__ import annotations

from lightning_fabric.plugins.environments.cluster_environment import ClusterEnvironment

from lt_lightning.processes import Place


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
