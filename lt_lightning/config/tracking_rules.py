"""Check the settings of trackers and callbacks beyond their types. Imports no torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from lt_lightning.config.quoting import find_interpolations
from lt_lightning.config.rules import is_object
from lt_lightning.config.schema import Config
from lt_lightning.config.trackers import without_account
from lt_lightning.errors import SettingError

_MONITORS = frozenset({"LearningRateMonitor", "DeviceStatsMonitor", "ThroughputMonitor"})
"""Lightning callbacks that log to a tracker and do nothing else."""


def tracking_rules(config: Config) -> Iterator[str]:
    """Yield the error of each rule that the groups `logger` and `callbacks` break."""
    yield from _callback_rules(config)
    wandb, mlflow, trackio = config.logger.wandb, config.logger.mlflow, config.logger.trackio
    if wandb is not None and wandb.offline and wandb.mode in ("online", "shared"):
        yield f"logger.wandb.mode: {wandb.mode} contradicts logger.wandb.offline=true; leave one of them out"
    if mlflow is not None and mlflow.tags is not None and not isinstance(mlflow.tags, Mapping):
        yield f"logger.mlflow.tags: {mlflow.tags} is not a mapping; write logger.mlflow.tags={{team: nlp}}"
    for key, address in _remote_places(config) if config.logger.offline else ():
        yield f"{key}: {address} is not on this machine, which logger.offline=true asks for; leave one of them out"
    if trackio is not None and "write_token" in (trackio.server_url or ""):
        yield (
            "logger.trackio.server_url: holds a write token, which the records of the run would show; set "
            "TRACKIO_WRITE_TOKEN, and give the address alone"
        )


def _remote_places(config: Config) -> Iterator[tuple[str, str]]:
    """Yield the places of MLflow and Trackio on other machines, with the setting or variable that names each."""
    mlflow, trackio = config.logger.mlflow, config.logger.trackio
    if mlflow is not None:
        key = "MLFLOW_TRACKING_URI" if mlflow.tracking_uri is None else "logger.mlflow.tracking_uri"
        if mlflow.address.startswith(("http:", "https:", "databricks")):
            yield key, without_account(mlflow.address)
    if trackio is not None:
        places = {"logger.trackio.space_id": trackio.space_id, "logger.trackio.server_url": trackio.server_url}
        yield from ((key, without_account(place)) for key, place in places.items() if place)


def _callback_rules(config: Config) -> Iterator[str]:
    for name, one in config.callbacks.items():
        if one is not None and not is_object(one):
            yield f"callbacks.{name}: {one} is not an object; give callbacks.{name}._target_=CLASS"
        for text in find_interpolations(one):
            yield (f"callbacks.{name}: {text} is not possible here: Hydra would read ${{ as an interpolation once more")
    if config.resume is None:
        yield from _monitor_faults(config)


def check_monitors(config: Config) -> None:
    """Raise for a monitor without a tracker in a new run, which may have `resume=auto`.

    Raises:
        SettingError: naming the monitor.
    """
    for fault in _monitor_faults(config) if config.resume in (None, "auto") else ():
        raise SettingError(fault)


def _monitor_faults(config: Config) -> Iterator[str]:
    for key, kind in monitors_without_tracker(config).items():
        yield f"{key}: {kind} {NO_TRACKER}, or leave the callback out"


NO_TRACKER = "writes to a tracker, and logger=none chooses none; add logger=csv, or another"
"""The fault of a monitor without a tracker, and the remedy."""


def monitors_without_tracker(config: Config) -> dict[str, str]:
    """Return the callbacks that cannot run, as they log to a tracker and none is chosen: the class of each, by setting.

    A new run is refused with them. A run that resumes without its tracker leaves them out.
    """
    if config.trainer.logger or any(config.logger.chosen()):
        return {}
    named = {f"callbacks.{name}": one for name, one in config.callbacks.items()}
    listed = {f"trainer.callbacks[{place}]": one for place, one in enumerate(config.trainer.callbacks or ())}
    kinds = {
        key: str(one.get("_target_", "")).rpartition(".")[2]
        for key, one in {**named, **listed}.items()
        if isinstance(one, Mapping)
    }
    return {key: kind for key, kind in kinds.items() if kind in _MONITORS}
