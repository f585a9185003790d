"""Make the Lightning Trainer of a round from the `trainer` settings."""

from __future__ import annotations

import re
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from lightning_fabric.plugins.environments.cluster_environment import ClusterEnvironment
from lightning_fabric.utilities.exceptions import MisconfigurationException
from omegaconf import OmegaConf
from pytorch_lightning.loggers import Logger
from pytorch_lightning.profilers import PassThroughProfiler

from lt_lightning.callbacks.refusals import check_callbacks
from lt_lightning.config.messages import explain_instantiation
from lt_lightning.config.schema import TrainerConfig
from lt_lightning.errors import SettingError
from lt_lightning.experiment.environment import (
    StartedProcesses,
    choose_environment,
    load_only_what_is_given,
)
from lt_lightning.runtime.job import Place


def make_trainer(
    config: TrainerConfig, callbacks: list[pl.Callback], run: Path, environment: ClusterEnvironment | None = None
) -> pl.Trainer:
    """A Trainer for one round; null leaves Lightning's default, `_target_` makes an object.

    Args:
        config: the `trainer` group.
        callbacks: what the round adds to the callbacks of the settings.
        run: the run directory.
        environment: which of the run's processes this is; None: the only one.

    Raises:
        SettingError: if Lightning refuses the arguments, or this machine has no such device.
    """
    chosen = {key: value for key, value in vars(config).items() if value is not None}
    try:
        arguments = instantiate(OmegaConf.create(chosen), _convert_="all")
    except InstantiationException as error:
        raise SettingError(explain_instantiation(error, "trainer")) from error
    added = arguments.pop("callbacks", [])
    _check_kinds("callbacks", added, pl.Callback)
    _check_kinds("logger", arguments.get("logger", []), Logger)
    try:
        callbacks = [*added, *callbacks]
        choose_environment(arguments, environment or StartedProcesses(Place(0, 1, 0)))
        defaults = {"default_root_dir": run, "profiler": Unprofiled()}
        trainer = pl.Trainer(**{**defaults, **arguments}, callbacks=callbacks)
    except (MisconfigurationException, ImportError, RuntimeError, ValueError, TypeError) as error:
        said = str(error).splitlines()[0]
        # In another order each time, as it is a set's.
        said = re.sub(r"Available names are: .*", "Use auto, cpu, gpu or another that Lightning knows.", said)
        raise SettingError(f"trainer: {said}") from error
    check_callbacks(callbacks)
    load_only_what_is_given(trainer)
    return trainer


def _check_kinds(key: str, objects: Any, kind: type) -> None:
    """Raise if an object that settings describe is not of the kind that Lightning calls."""
    for place, one in enumerate(objects if isinstance(objects, list) else [objects]):
        if not isinstance(one, (kind, bool)):
            at = f"[{place}]" if isinstance(objects, list) else ""
            raise SettingError(
                f"trainer.{key}{at}: {type(one).__name__} is no {kind.__name__} of Lightning's; give a subclass of it"
            )


class Unprofiled(PassThroughProfiler):
    """Measures nothing, and costs nothing: Lightning's own goes through a generator for each of a step's 100 hooks."""

    def profile(self, action_name: str) -> AbstractContextManager[None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """A context in which nothing happens."""
        return _NOTHING


_NOTHING = nullcontext()
