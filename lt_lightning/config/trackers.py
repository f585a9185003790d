"""The group `logger`: the trackers that a run logs to, with one dataclass each.

Several trackers go together, so that the group holds a setting per tracker; null stands for one that is off. The files
of `conf/logger` switch them on, with a comment on each setting.
"""

# OmegaConf reads these annotations at run time; List and Optional are what it knows on every Python from 3.10.
# ruff: noqa: UP006, UP035, UP045, RUF009
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from enum import Enum
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar, List, Optional, get_args

from lt_lightning.config.choice import checked, limited, one_of
from lt_lightning.config.typed_paths import typed_path
from lt_lightning.errors import SettingError
from lt_lightning.extras import needs_package


class SentTickets(str, Enum):
    """The tickets that go to the trackers when a run is over."""

    none = "none"
    winners = "winners"
    all = "all"


def without_account(address: str) -> str:
    """Return an address without the account that it may hold.

    >>> without_account("https://me:secret@host/path")
    'https://host/path'
    """
    return re.sub(r"://[^/@]*@", "://", address)


def _texts_fault(texts: List[str]) -> Optional[str]:
    return None if all(texts) else "not a list of words; give some, such as [pilot]"


@dataclass
class TrackerSettings:
    """The settings of every tracker.

    Attributes:
        target: the class that logs to it.
        package: the Python package that it needs; None for none.
        extra: the extra of this package that installs it.
        title: its name for people.
        place: the setting that holds a folder or an address; relative paths start at the user's folder.
        project_key: the setting that holds the project; None for a tracker without projects.
    """

    target: ClassVar[str]
    package: ClassVar[Optional[str]] = None
    extra: ClassVar[str] = ""
    title: ClassVar[str] = ""
    place: ClassVar[str] = "save_dir"
    project_key: ClassVar[Optional[str]] = None

    @property
    def where(self) -> Optional[str]:
        """Return the place as it is typed, without an account; None for the default."""
        return getattr(self, self.place)

    def relative_to(self, folder: Path) -> "TrackerSettings":
        """Return the settings with an absolute path in place of a relative one."""
        given = getattr(self, self.place)
        return replace(self, **{self.place: str(folder / typed_path(given))}) if given else self


@dataclass
class CsvSettings(TrackerSettings):
    """A CSV file."""

    target: ClassVar[str] = "lt_lightning.trackers.csv_file.CsvTracker"
    title: ClassVar[str] = "CSV"
    save_dir: Optional[str] = None


@dataclass
class TensorBoardSettings(TrackerSettings):
    """TensorBoard's event files."""

    target: ClassVar[str] = "lt_lightning.trackers.tensorboard.TensorBoardTracker"
    package: ClassVar[Optional[str]] = "tensorboard"
    extra: ClassVar[str] = "tensorboard"
    title: ClassVar[str] = "TensorBoard"
    save_dir: Optional[str] = None
    flush_secs: int = limited(30, least=1, most=86_400)


@dataclass
class WandbSettings(TrackerSettings):
    """Weights & Biases."""

    target: ClassVar[str] = "lt_lightning.trackers.wandb.WandbTracker"
    package: ClassVar[Optional[str]] = "wandb"
    extra: ClassVar[str] = "wandb"
    title: ClassVar[str] = "W&B"
    project_key: ClassVar[Optional[str]] = "project"
    project: Optional[str] = None
    entity: Optional[str] = None
    name: Optional[str] = None
    group: Optional[str] = None
    job_type: Optional[str] = None
    tags: List[str] = checked([], _texts_fault)
    notes: Optional[str] = None
    offline: Optional[bool] = None
    mode: Optional[str] = one_of(None, "online", "offline", "disabled", "shared")  # pyright: ignore[reportArgumentType]
    id: Optional[str] = None
    save_dir: Optional[str] = None
    timeout: int = limited(20, least=1, most=3_600)


@dataclass
class MlflowSettings(TrackerSettings):
    """MLflow."""

    target: ClassVar[str] = "lt_lightning.trackers.mlflow.MlflowTracker"
    package: ClassVar[Optional[str]] = "mlflow"
    extra: ClassVar[str] = "mlflow"
    title: ClassVar[str] = "MLflow"
    place: ClassVar[str] = "tracking_uri"
    project_key: ClassVar[Optional[str]] = "experiment_name"
    tracking_uri: Optional[str] = None
    experiment_name: Optional[str] = None
    run_name: Optional[str] = None
    tags: Any = None  # a mapping
    artifact_location: Optional[str] = None

    @property
    def address(self) -> str:
        """Return the address of the store: that of the settings, of the environment, or the default."""
        return self.tracking_uri or os.environ.get("MLFLOW_TRACKING_URI") or "sqlite:///outputs/mlflow.db"

    @property
    def where(self) -> str:
        """Return the address without the account."""
        return without_account(self.address)

    def relative_to(self, folder: Path) -> "MlflowSettings":
        """Return the settings with absolute paths; without an address the default's, below the user's folder."""
        uri = self.address
        for scheme in ("sqlite:///", "file:"):
            if uri.startswith(scheme) and not (path := uri.removeprefix(scheme)).startswith("/"):
                uri = f"{scheme}{folder / Path(path)}"
        if "://" not in uri and not uri.startswith("file:") and uri != "databricks":
            uri = str(folder / typed_path(uri))
        return replace(self, tracking_uri=uri)


@dataclass
class TrackioSettings(TrackerSettings):
    """Trackio: a local dashboard, or a Space of the Hugging Face Hub."""

    target: ClassVar[str] = "lt_lightning.trackers.trackio.TrackioTracker"
    package: ClassVar[Optional[str]] = "trackio"
    extra: ClassVar[str] = "trackio"
    title: ClassVar[str] = "Trackio"
    project_key: ClassVar[Optional[str]] = "project"
    project: Optional[str] = None
    name: Optional[str] = None
    group: Optional[str] = None
    space_id: Optional[str] = None
    server_url: Optional[str] = None
    save_dir: Optional[str] = None

    @property
    def is_remote(self) -> bool:
        """Return whether the values go to a Space or a server."""
        return bool(self.space_id or self.server_url)

    @property
    def where(self) -> Optional[str]:
        """Return the Space, the server without the account, or the folder."""
        return self.space_id or (without_account(self.server_url) if self.server_url else self.save_dir)


@dataclass
class LoggerConfig:
    """The `logger` group: settings for every tracker, and those of each one."""

    tickets: SentTickets = SentTickets.winners
    project: Optional[str] = None
    name: Optional[str] = None
    group: Optional[str] = None
    tags: List[str] = checked([], _texts_fault)
    offline: Optional[bool] = None
    wandb: Optional[WandbSettings] = None
    mlflow: Optional[MlflowSettings] = None
    trackio: Optional[TrackioSettings] = None
    tensorboard: Optional[TensorBoardSettings] = None
    csv: Optional[CsvSettings] = None

    def chosen(self) -> Iterator[tuple[str, TrackerSettings]]:
        """Yield the trackers that are on, by name; those that need a server or an account come first."""
        for one in fields(self):
            if isinstance(value := getattr(self, one.name), TrackerSettings):
                yield one.name, value

    def relative_to(self, folder: Path) -> "LoggerConfig":
        """Return the group with paths relative to a folder made absolute."""
        return replace(self, **{name: one.relative_to(folder) for name, one in self.chosen()})

    def places(self, folder: Path) -> dict[str, List[Optional[str]]]:
        """Return the place, the project and the entity of each tracker that is on, by its setting; None for defaults.

        Args:
            folder: the user's folder, where relative paths start.
        """
        return {
            f"logger.{name}": [
                one.where,
                None if one.project_key is None else getattr(one, one.project_key) or self.project,
                getattr(one, "entity", None),
            ]
            for name, one in self.relative_to(folder).chosen()
        }


TRACKERS: Mapping[str, type[TrackerSettings]] = {
    one.name: kind
    for one in fields(LoggerConfig)
    for kind in get_args(one.type)
    if isinstance(kind, type) and issubclass(kind, TrackerSettings)
}
"""The settings of each tracker, by its name."""


def require_packages(config: LoggerConfig) -> None:
    """Raise a `SettingError` for a tracker whose package is not installed. Imports none of them."""
    for name, one in config.chosen():
        if one.package is not None and find_spec(one.package) is None:
            raise SettingError(f"logger.{name}: {one.title} {needs_package(one.package, one.extra)}")
