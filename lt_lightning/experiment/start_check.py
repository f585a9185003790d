"""Check a configuration and its folder before Hydra writes anything."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import OmegaConf, open_dict

from lt_lightning.config.quoting import quoted
from lt_lightning.errors import SettingError
from lt_lightning.experiment.folders import assign_folders, recover_records, reserve
from lt_lightning.experiment.hydra_main import fail
from lt_lightning.experiment.resume.command import write_sweep
from lt_lightning.experiment.resume.compare import check_free, check_new_sweep, near
from lt_lightning.experiment.start_run import check_strings, find_launch
from lt_lightning.storage.atomic import remove_links, writing_to

if TYPE_CHECKING:
    from lt_lightning.config.schema import Config


class CheckConfig:
    """A Hydra callback that checks a configuration and reserves its folder.

    Each job of a sweep checks its own configuration, since swept values are not known before. Errors raise SystemExit,
    as Hydra hides others.

    Args:
        subdir: the sweep's own `hydra.sweep.subdir`; see `folders`.
    """

    def __init__(self, subdir: str | None = None) -> None:
        self._given: tuple[list[str], list[str]] | None = None

    def __getattr__(self, name: str) -> Callable[..., None]:
        if name.startswith("on_"):
            return lambda **_: None
        raise AttributeError(name)

    def on_run_start(self, config: Any, **_: Any) -> None:
        """Check the configuration and reserve the run directory."""
        try:
            prepare_run(config)
        except SettingError as error:
            fail(str(error))

    def on_multirun_start(self, config: Any, **_: Any) -> None:
        """Check a sweep's folder and ticket, and reserve the folder."""
        from lt_lightning.config.rules import NO_TICKET

        self._given = given, of_hydra = _as_typed(config)
        swept = any("pruning.ticket=" in argument for argument in given)
        if config.resume is None and config.pruning.ticket == "" and not swept:
            fail(NO_TICKET)  # once, and not in every job
        folder = near(Path(config.hydra.sweep.dir))
        stamped = _is_stamped(config.hydra.sweep)
        try:
            check_folder(folder, "hydra.sweep.dir")
            if config.resume is None and not stamped:
                check_new_sweep(folder)
            if find_launch(OmegaConf.to_object(config.trainer), os.environ).rank == 0:  # pyright: ignore
                reserved = reserve(folder, stamped=stamped, sweep=True)
                if reserved != folder:
                    config.hydra.sweep.dir = str(reserved)
                    config.hydra.overrides.hydra.append(f"hydra.sweep.dir={quoted(str(reserved))}")
                with writing_to(reserved):
                    if config.resume is not None:
                        recover_records(reserved)
                    else:
                        check_new_sweep(reserved)
                        write_sweep(reserved, given, of_hydra)
            remove_links(Path(config.hydra.sweep.dir) / "multirun.yaml")
            assign_folders(config)
        except SettingError as error:
            fail(str(error))

    def on_multirun_end(self, config: Any, **_: Any) -> None:
        """Record the command that resumed the sweep, after every job accepted it."""
        if config.resume is not None:
            with writing_to(folder := Path(config.hydra.sweep.dir)):
                write_sweep(folder, *(self._given or _as_typed(config)))


def prepare_run(config: Any) -> Config:
    """Check a composed configuration of one run, reserve its directory, and return the checked configuration.

    Args:
        config: the composed configuration, Hydra's part included; `hydra.run.dir` is set to the reserved directory.

    Raises:
        SettingError: a value is refused, or the directory holds a run already or cannot be written.
    """
    from lt_lightning.config.validation import read_config
    from lt_lightning.experiment.branch.trunk import read_trunk
    from lt_lightning.experiment.transfer.fitting import read_ticket

    with hydra_known(config):
        checked = read_config(config)
    check_strings(checked)
    folder = near(Path(config.hydra.run.dir))
    stamped = _is_stamped(config.hydra.run)
    check_folder(folder)
    if checked.resume is None:
        if not stamped:
            check_free(folder)
        read_ticket(checked)
        read_trunk(checked)
    if find_launch(checked.trainer, os.environ).rank == 0:
        reserved = reserve(folder, stamped=stamped)
        if reserved != folder:
            config.hydra.run.dir = str(reserved)
            with hydra_known(config):
                checked = read_config(config)
        if checked.resume is None:
            check_free(near(Path(config.hydra.run.dir)))  # another start may have ended in between
    notes = Path(config.hydra.run.dir) / ".hydra"
    remove_links(notes, *(notes / name for name in ("config.yaml", "hydra.yaml", "overrides.yaml")))
    return checked


@contextmanager
def hydra_known(config: Any) -> Iterator[None]:
    """Let settings refer to Hydra's, such as `${hydra:runtime.output_dir}`, before Hydra begins the job.

    Hydra knows its own configuration only once the job runs.
    """
    from hydra.core.hydra_config import HydraConfig

    known = HydraConfig.instance()
    before = known.cfg
    own = OmegaConf.create({"hydra": config.hydra})
    OmegaConf.set_readonly(own, False)
    with open_dict(own):
        own.hydra.runtime.output_dir = str(Path.cwd() / config.hydra.run.dir)
    known.cfg = own  # pyright: ignore[reportAttributeAccessIssue]
    try:
        yield
    finally:
        known.cfg = before


def _is_stamped(place: Any) -> bool:
    """Return whether a folder's name contains the time."""
    template: Any = OmegaConf.to_container(place, resolve=False)
    return "${now:" in str(template["dir"])


def _as_typed(config: Any) -> tuple[list[str], list[str]]:
    """Return the overrides of the task and of Hydra unresolved: `${seed}` differs between jobs."""
    typed: Any = OmegaConf.to_container(config.hydra.overrides, resolve=False)
    return typed["task"], typed["hydra"]


def check_folder(folder: Path, key: str = "hydra.run.dir") -> None:
    """Raise a `SettingError` unless a folder exists or can be created, and is writable."""
    there = next(path for path in (folder, *folder.parents, Path()) if os.path.lexists(path))
    if not there.is_dir():
        raise SettingError(f"{key}: {there} is not a folder; give one that exists or can be created")
    if not os.access(there, os.W_OK):
        raise SettingError(f"{key}: nothing may be written in {there}; give another folder")
