"""Make the Lightning Trainer of a round, and describe the run's processes to it.

Lightning would read environment variables, and load checkpoints of its own (`hpc_ckpt_N.ckpt`) on SLURM. Here the rank
follows from the settings (`start_run.find_launch`), and a round starts from this project's state alone.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from lightning_fabric.plugins.environments.cluster_environment import ClusterEnvironment
from lightning_fabric.plugins.environments.lightning import LightningEnvironment
from lightning_fabric.plugins.environments.slurm import SLURMEnvironment
from lightning_fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from lightning_fabric.utilities.exceptions import MisconfigurationException
from omegaconf import OmegaConf
from pytorch_lightning.loggers import Logger
from pytorch_lightning.profilers import PassThroughProfiler, Profiler
from pytorch_lightning.utilities import rank_zero_only

from lt_lightning.callbacks.refusals import check_callbacks
from lt_lightning.config.messages import explain_instantiation
from lt_lightning.config.schema import Config, TrainerConfig
from lt_lightning.config.tracking_rules import NO_TRACKER, monitors_without_tracker
from lt_lightning.errors import SettingError
from lt_lightning.experiment.precision import AUTO, allow_clipping, find_precision
from lt_lightning.runtime.job import Launch, Place

log = logging.getLogger(__name__)


def make_trainer(
    config: TrainerConfig,
    callbacks: list[pl.Callback],
    run: Path,
    environment: ClusterEnvironment | None = None,
    loggers: Sequence[Logger] = (),
) -> pl.Trainer:
    """Make the Trainer of a round; null leaves Lightning's default, `_target_` makes an object.

    Args:
        config: the `trainer` group.
        callbacks: the round's own, put after the callbacks of the settings.
        run: the run directory.
        environment: describes the run's processes; None for a run of one process.
        loggers: what it logs to; those of `trainer.logger` belong to the run, see `experiment.tracking`.

    Raises:
        SettingError: Lightning refuses the arguments, or this machine has no such device.
    """
    chosen = {key: value for key, value in vars(config).items() if value is not None and key != "logger"}
    if (repeated := chosen.pop("overfit_batches", None)) is not None:
        chosen["limit_train_batches"] = repeated  # the data repeats them; Lightning would validate on them, too
    if config.precision == AUTO:
        chosen["precision"] = find_precision(config.accelerator)
    try:
        arguments = instantiate(OmegaConf.create(chosen), _convert_="all")
    except InstantiationException as error:
        raise SettingError(explain_instantiation(error, "trainer")) from error
    added = arguments.pop("callbacks", [])
    check_kinds("callbacks", added, pl.Callback)
    try:
        callbacks = [*added, *callbacks]
        _add_environment(arguments, environment or StartedProcesses(Place(0, 1, 0)))
        defaults = {"default_root_dir": run, "profiler": Unprofiled()}
        trainer = pl.Trainer(**{**defaults, **arguments}, callbacks=callbacks, logger=list(loggers))
    except (MisconfigurationException, ImportError, RuntimeError, ValueError, TypeError) as error:
        said = str(error).splitlines()[0]
        # Lightning lists a set, in another order each time.
        said = re.sub(r"Available names are: .*", "Use auto, cpu, gpu or another that Lightning knows.", said)
        raise SettingError(f"trainer: {said}") from error
    profiler: Profiler = trainer.profiler  # pyright: ignore[reportAttributeAccessIssue]
    # Else the folder of its first logger; a user's class may not call the constructor that sets it.
    profiler.dirpath = getattr(profiler, "dirpath", None) or run
    allow_clipping(trainer)
    check_callbacks(callbacks)
    # Load only the checkpoint that `fit` is given; Lightning would load `hpc_ckpt_N.ckpt` on SLURM, or that of an
    # `OnExceptionCheckpoint`: state of another round. Private, as Lightning has no setting for it;
    # tests/test_environment.py plants such a file and checks that it is ignored.
    connector = trainer._checkpoint_connector
    connector._select_ckpt_path = lambda state_fn, ckpt_path, **_: ckpt_path  # pyright: ignore[reportAttributeAccessIssue]
    return trainer


def with_callbacks(config: Config) -> Config:
    """Return the settings with the group `callbacks` among the callbacks of the Trainer, before those of `trainer`.

    Monitors are left out of a run that goes on without a tracker: Lightning would refuse them.
    """
    left_out = monitors_without_tracker(config)
    for key, kind in left_out.items():
        _warn(f"{key}: {kind} {NO_TRACKER}; the run goes on without it")
    named = [one for name, one in config.callbacks.items() if one is not None and f"callbacks.{name}" not in left_out]
    listed = [
        one for at, one in enumerate(config.trainer.callbacks or ()) if f"trainer.callbacks[{at}]" not in left_out
    ]
    callbacks = [*named, *listed] or None
    return replace(config, trainer=replace(config.trainer, callbacks=callbacks))


@rank_zero_only
def _warn(line: str) -> None:
    log.warning(line)


def check_kinds(key: str, objects: Any, kind: type) -> None:
    """Raise if an object that settings describe is not of the kind that Lightning calls."""
    for place, one in enumerate(objects if isinstance(objects, list) else [objects]):
        if not isinstance(one, (kind, bool)):
            at = f"[{place}]" if isinstance(objects, list) else ""
            raise SettingError(
                f"trainer.{key}{at}: {type(one).__name__} is no {kind.__name__} of Lightning's; give a subclass of it"
            )


def _add_environment(arguments: dict[str, Any], environment: ClusterEnvironment) -> None:
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


class Unprofiled(PassThroughProfiler):
    """Measure nothing at no cost: Lightning's own goes through a generator for each of a step's 100 hooks."""

    def profile(self, action_name: str) -> AbstractContextManager[None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Return an empty context."""
        return _NOTHING


_NOTHING = nullcontext()


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

    def global_rank(self) -> int:
        """Return the rank."""
        return self._place.rank

    local_rank = global_rank  # there is one machine

    def node_rank(self) -> int:
        """Return 0: there is one machine."""
        return 0

    def set_world_size(self, size: int) -> None:
        """Do nothing: the size is known."""

    def set_global_rank(self, rank: int) -> None:
        """Do nothing: the rank is known."""
