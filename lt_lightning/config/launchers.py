"""The choices of the group `hydra/launcher`: one dataclass each, with its defaults, its limits and its engine.

`conf/hydra/launcher` documents them for users. Imports neither torch nor an engine's package.
"""

# OmegaConf reads these annotations at run time; Dict, List and Optional are what it knows on every Python from 3.10.
# ruff: noqa: UP006, UP035, UP045
import difflib
from dataclasses import dataclass, field, fields
from importlib.util import find_spec
from shutil import which
from typing import Any, ClassVar, Dict, List, Optional

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from lt_lightning.config.choice import checked, find_faults, limited
from lt_lightning.errors import SettingError
from lt_lightning.extras import needs_package

GROUP = "hydra/launcher"
_PREFIX = "hydra.launcher."
_ENGINES = "lt_lightning.launchers"


@dataclass
class LauncherConfig:
    """Settings of every launcher.

    Attributes:
        choice: its name.
        engine: the class that runs the jobs.
        extra: the extra of this package, and the package, that the engine needs; None for one that needs neither.
        is_elsewhere: whether jobs may run on other machines, or start again by themselves; they then resume.
    """

    choice: ClassVar[str]
    engine: ClassVar[str]
    extra: ClassVar[Optional[str]] = None
    is_elsewhere: ClassVar[bool] = False

    _target_: str = "hydra_plugins.lt_lightning_launchers.SweepLauncher"

    def find_obstacle(self) -> Optional[str]:
        """Return why the launcher cannot start here, and what to do, or None."""
        if self.extra is None or find_spec(self.extra) is not None:
            return None
        return needs_package(self.extra, self.extra)


@dataclass
class BasicConfig(LauncherConfig):
    """One job after the other in this process."""

    choice = "basic"
    engine = f"{_ENGINES}.basic.BasicEngine"


@dataclass
class _Threads(LauncherConfig):
    """A launcher whose jobs have a number of threads; null for as many as a run alone has."""

    threads: Optional[int] = limited(None, least=1, most=1024)


@dataclass
class JoblibConfig(_Threads):
    """Processes on this machine."""

    choice = "joblib"
    engine = f"{_ENGINES}.loky.LokyEngine"
    extra = "joblib"

    n_jobs: int = checked(-1, lambda value: None if value == -1 or 1 <= value <= 4096 else "neither -1 nor 1 to 4096")


@dataclass
class SubmititConfig(_Threads):
    """Settings of both of submitit's executors, by submitit's names."""

    extra = "submitit"
    is_elsewhere = True

    submitit_folder: str = MISSING
    timeout_min: int = limited(MISSING, least=1)
    cpus_per_task: Optional[int] = limited(None, least=1)
    gpus_per_node: Optional[int] = limited(None, least=0)
    mem_gb: Optional[float] = limited(None, above=0, below=float("inf"))
    signal_delay_s: int = limited(MISSING, least=1)
    max_num_timeout: int = limited(MISSING, least=0)
    stderr_to_stdout: bool = True
    array_parallelism: Optional[int] = limited(None, least=1)
    setup: Optional[List[str]] = None


@dataclass
class SubmititLocalConfig(SubmititConfig):
    """submitit's processes on this machine, with SLURM's settings."""

    choice = "submitit_local"
    engine = f"{_ENGINES}.submitit_local.LocalEngine"


@dataclass
class SubmititSlurmConfig(SubmititConfig):
    """Jobs of a SLURM cluster."""

    choice = "submitit_slurm"
    engine = f"{_ENGINES}.submitit_slurm.SlurmEngine"

    name: str = MISSING
    nodes: int = limited(1, least=1)
    tasks_per_node: int = limited(1, least=1)
    partition: Optional[str] = None
    account: Optional[str] = None
    qos: Optional[str] = None
    comment: Optional[str] = None
    constraint: Optional[str] = None
    nodelist: Optional[str] = None
    exclude: Optional[str] = None
    exclusive: Optional[bool] = None
    gres: Optional[str] = None
    cpus_per_gpu: Optional[int] = limited(None, least=1)
    gpus_per_task: Optional[int] = limited(None, least=0)
    mem_per_gpu: Optional[str] = None
    mem_per_cpu: Optional[str] = None
    srun_args: Optional[List[str]] = None
    additional_parameters: Dict[str, Any] = field(default_factory=dict)

    def find_obstacle(self) -> Optional[str]:
        """Return why there can be no job: submitit is not installed, or this machine has no SLURM."""
        missing = None if which("sbatch") else (
            "there is no sbatch on this machine; start the sweep where SLURM's commands are, such as a login node, or "
            "use hydra/launcher=submitit_local"
        )  # fmt: skip
        return super().find_obstacle() or missing


@dataclass
class RaySettings:
    """The arguments of `ray.init` and of `ray.remote`."""

    init: Dict[str, Any] = field(default_factory=dict)
    remote: Dict[str, Any] = field(default_factory=dict)


@dataclass
class RayConfig(_Threads):
    """Tasks of a Ray cluster, or of one that is started on this machine."""

    choice = "ray"
    engine = f"{_ENGINES}.ray.RayEngine"
    extra = "ray"
    is_elsewhere = True

    ray: RaySettings = field(default_factory=RaySettings)


LAUNCHERS: tuple[type[LauncherConfig], ...] = (
    BasicConfig, JoblibConfig, SubmititLocalConfig, SubmititSlurmConfig, RayConfig,
)  # fmt: skip


def register_launchers() -> None:
    """Register the types with Hydra, each under the name that its file in `conf/` begins with; `basic` is Hydra's."""
    for one in LAUNCHERS[1:]:
        ConfigStore.instance().store(group=GROUP, name=f"_{one.choice}_schema", node=one)


_HYDRAS_OWN = "hydra._internal.core_plugins.basic_launcher.BasicLauncher"


def check_launcher(hydra: Any) -> None:
    """Check the settings of `hydra.launcher`, and put this package's `basic` in the place of Hydra's.

    A launcher of another package stays as it is.

    Raises:
        SettingError: a setting is out of its limits, or the launcher cannot start on this machine.
    """
    node = hydra.launcher
    if node is not None and node.get("_target_") == _HYDRAS_OWN:
        _check_keys(node, BasicConfig)
        node = hydra.launcher = OmegaConf.structured(BasicConfig)
    kind = OmegaConf.get_type(node)
    if not (isinstance(kind, type) and issubclass(kind, LauncherConfig)):
        return
    _check_keys(node, kind)
    try:
        settings: Any = OmegaConf.to_object(node)
    except OmegaConfBaseException as error:
        from lt_lightning.config.messages import explain

        raise SettingError(explain(error)) from error
    for fault in find_faults(settings, _PREFIX):
        raise SettingError(fault)
    if (obstacle := settings.find_obstacle()) is not None:
        raise SettingError(f"{GROUP}={settings.choice}: {obstacle}")


def _check_keys(node: Any, kind: type[LauncherConfig]) -> None:
    """Raise for a key that the type does not have: +KEY=VALUE adds any."""
    for key in node:
        if key not in ("_target_", *_names(kind)):
            raise SettingError(no_such_launcher_setting(f"{_PREFIX}{key}", kind))


def no_such_launcher_setting(key: str, kind: type | None) -> str:
    """Return the error for a setting below `hydra.launcher` that a launcher, None for `basic`, does not read."""
    chosen = next((one for one in LAUNCHERS if one is kind), BasicConfig)
    name, known = key.removeprefix(_PREFIX), _names(chosen)
    if close := difflib.get_close_matches(name, known, n=1):
        remedy = f"did you mean {close[0]}?"
    elif others := [one.choice for one in LAUNCHERS if name in _names(one)]:
        remedy = f"choose hydra/launcher={' or '.join(others)}, or leave it out"
    else:
        remedy = "leave it out"
    reads = f"it reads {', '.join(known)}" if known else "it has no settings"
    return f"{key}: hydra/launcher={chosen.choice} does not read it; {reads}; {remedy}"


def _names(kind: type[LauncherConfig]) -> list[str]:
    return [one.name for one in fields(kind) if one.name != "_target_"]
