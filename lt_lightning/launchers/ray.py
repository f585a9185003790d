"""The engine of `hydra/launcher=ray`: tasks of a Ray cluster, or of one that is started on this machine."""

from __future__ import annotations

import logging
import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from lt_lightning.errors import ResumableError, SettingError, first_line
from lt_lightning.launchers.job import EngineSetup, SweepJob, WorkerTask, failed
from lt_lightning.launchers.surroundings import Surroundings, count_cores, known_threads
from lt_lightning.runtime.lifeline import Lifeline

if TYPE_CHECKING:
    from hydra.core.utils import JobReturn

    from lt_lightning.config.launchers import RayConfig

log = logging.getLogger(__name__)

_RESOURCES = {"num_cpus": "CPU", "num_gpus": "GPU", "memory": "memory"}
"""Arguments of `ray.remote`, and the names of these resources in `ray.nodes()`."""


class RayEngine:
    """Run jobs as tasks; the cluster deals out cores and GPUs."""

    def __init__(self, setup: EngineSetup) -> None:
        settings: RayConfig = setup.settings  # pyright: ignore[reportAssignmentType]
        self._setup, self._settings = setup, settings
        self._threads = settings.threads or known_threads()
        self._surroundings = Surroundings.of_this_process(settings.threads)
        # Without an address, Ray would join a cluster that it finds.
        self._init: dict[str, Any] = {"address": "local"} | {
            key: one for key, one in settings.ray.init.items() if one is not None
        }
        self._is_here = self._init["address"] == "local"

    def describe(self, count: int) -> str:
        """Return the number of tasks and their threads."""
        cores = self._settings.ray.init.get("num_cpus") or count_cores()
        at_once = max(1, int(cores / self._cores())) if self._is_here else count
        return self._setup.describe_workers("Ray", count, at_once, self._threads)

    def run(self, jobs: list[SweepJob]) -> Iterator[tuple[SweepJob, JobReturn]]:
        """Yield results in the order in which jobs end."""
        import ray

        lifeline = Lifeline() if self._is_here else None
        running: dict[Any, SweepJob] = {}
        try:
            self._connect()
            self._check_resources()
            task = ray.remote(**self._of_each_job())(_run_job)
            for job in jobs:
                address = None if lifeline is None else lifeline.address
                worker = WorkerTask(self._surroundings, address, self._setup.output(job))
                running[task.remote(worker, job)] = job
            while running:
                ended, _ = ray.wait(list(running), timeout=1.0)
                for one in ended:
                    job = running.pop(one)
                    yield job, self._result(job, one)
        except BaseException:
            for one in running:
                with suppress(Exception):
                    ray.cancel(one, force=not self._is_here)
            raise
        finally:
            if lifeline is not None:
                lifeline.cut()
            ray.shutdown()

    def _connect(self) -> None:
        import ray

        # It tells of a password that Ray makes and uses by itself.
        logging.getLogger("ray._private.authentication").setLevel(logging.ERROR)
        handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            ray.init(configure_logging=False, **self._init)
        except (ConnectionError, RuntimeError, TypeError, ValueError) as error:
            raise SettingError(f"hydra.launcher.ray.init: {first_line(error)}; correct these settings") from error
        finally:
            for number, handler in handlers.items():  # Ray has handlers of its own
                signal.signal(number, handler)

    def _check_resources(self) -> None:
        """Refuse what no node has, as Ray would wait for one; a cluster that is only joined may still grow, so warn."""
        import ray

        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        shortage = find_shortage(self._of_each_job(), nodes)
        if shortage is None:
            return
        argument, fault = shortage
        line = f"{self._name_setting(argument)}: {fault}"
        if self._is_here:
            raise SettingError(f"{line}; ask for less")
        log.warning("%s; jobs wait until the cluster has such a node", line)

    def _name_setting(self, argument: str) -> str:
        """Return the setting that an argument of `ray.remote` comes from."""
        if self._settings.ray.remote.get(argument) is not None or argument not in ("num_cpus", "num_gpus"):
            return f"hydra.launcher.ray.remote.{argument}"
        return "trainer.devices" if argument == "num_gpus" else "hydra.launcher.threads"

    def _cores(self) -> float:
        return self._settings.ray.remote.get("num_cpus") or self._threads or count_cores()

    def _of_each_job(self) -> dict[str, Any]:
        """Return the arguments of `ray.remote`."""
        given = {key: value for key, value in self._settings.ray.remote.items() if value is not None}
        gpus = {"num_gpus": self._setup.gpus} if self._setup.gpus else {}
        # NumPy is loaded before a worker has its surroundings.
        threads = {"OMP_NUM_THREADS": str(self._threads or count_cores())}
        return {"num_cpus": self._cores(), **gpus, "runtime_env": {"env_vars": threads}, **given}

    def _result(self, job: SweepJob, one: Any) -> JobReturn:
        import ray
        from ray.exceptions import RayError

        try:
            return ray.get(one)
        except RayError as error:
            return failed(job, ResumableError(f"Ray lost it: {first_line(error)}"))


def find_shortage(asked: Mapping[str, Any], nodes: Sequence[Mapping[str, float]]) -> tuple[str, str] | None:
    """Return the argument of `ray.remote` by which a job fits on no node, and the fault in words, or None.

    Args:
        asked: the arguments.
        nodes: the resources of each node, by Ray's names.

    >>> find_shortage({"num_cpus": 1, "num_gpus": 1}, [{"CPU": 4.0}])
    ('num_gpus', 'a job asks for 1 GPU, and no node of the Ray cluster has more than 0')
    """
    wishes = {argument: (name, asked.get(argument) or 0) for argument, name in _RESOURCES.items()}
    wishes |= {f"resources.{name}": (name, amount) for name, amount in (asked.get("resources") or {}).items()}
    for argument, (name, amount) in wishes.items():
        most = max((node.get(name, 0) for node in nodes), default=0)
        if amount > most:
            return argument, f"a job asks for {amount:g} {name}, and no node of the Ray cluster has more than {most:g}"
    if any(all(node.get(name, 0) >= amount for name, amount in wishes.values()) for node in nodes):
        return None
    together = ", ".join(f"{amount:g} {name}" for name, amount in wishes.values() if amount)
    last = next(argument for argument, (_, amount) in reversed(wishes.items()) if amount)
    return last, f"a job asks for {together}, and no node of the Ray cluster has all of these"


def _run_job(task: WorkerTask, job: SweepJob) -> JobReturn:
    return task(job)
