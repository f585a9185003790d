"""Check a configuration and its folder before Hydra writes anything."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import OmegaConf

from lt_lightning.config.launchers import check_launcher
from lt_lightning.config.quoting import quoted
from lt_lightning.config.tracking_rules import check_monitors
from lt_lightning.errors import SettingError
from lt_lightning.experiment.folders import assign_folders, recover_records, reserve
from lt_lightning.experiment.hydra_main import fail
from lt_lightning.experiment.interpolations import set_output_dir, within_job
from lt_lightning.experiment.resume.automatic import FirstStart, find_resume, is_stamped
from lt_lightning.experiment.resume.command import check_same_sweep, write_sweep
from lt_lightning.experiment.resume.compare import AUTO, check_free, check_new_sweep, is_begun, is_sweep, near
from lt_lightning.experiment.start_run import check_strings, find_launch
from lt_lightning.runtime.job import find_launcher
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
        config.resume = find_resume(config.resume, given, os.environ)
        try:
            check_launcher(config.hydra)
            check_sweeper(config)
            is_writer = _is_first(config.trainer)
            asked, place = near(Path(config.hydra.sweep.dir)), _find_place(config, "sweep", is_writer)
            resumes = config.resume is not None
            if config.resume == AUTO:  # a folder named by the clock may be that of another start in the same second
                resumes = is_sweep(place.folder) and not place.stamped
            if not resumes and config.pruning.ticket == "" and not swept:
                fail(NO_TICKET)  # once, and not in every job
            check_folder(place.folder, "hydra.sweep.dir")
            if not resumes and not place.stamped:
                check_new_sweep(place.folder)
            if resumes and config.resume == AUTO:
                check_same_sweep(place.folder, given, of_hydra)
                config.hydra.overrides.hydra.append("hydra.output_subdir=null")  # Hydra's notes stay as they were
            if is_writer:
                if (reserved := place.reserve(sweep=True)) != asked:
                    config.hydra.sweep.dir = str(reserved)
                    config.hydra.overrides.hydra.append(f"hydra.sweep.dir={quoted(str(reserved))}")
                with writing_to(reserved):
                    if resumes:
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


def check_sweeper(config: Any) -> None:
    """Raise a `SettingError` if each of a launcher's processes would choose the jobs of a sweep anew."""
    sweeper, launcher = config.hydra.runtime.choices.get("hydra/sweeper"), find_launcher(os.environ)
    if launcher is not None and sweeper != "basic":
        raise SettingError(
            f"hydra/sweeper: {sweeper} chooses one job after the other, in one process; start it without "
            f"{'torchrun' if launcher == 'torchrun' else 'srun or the like'}, as trainer.devices=N starts the "
            "processes of each job"
        )


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

    with within_job(config):
        config.resume = find_resume(config.resume, _as_typed(config)[0], os.environ)
        set_output_dir(config, asked := near(Path(config.hydra.run.dir)))
        checked = read_config(config)
        check_strings(checked)
        is_writer = find_launch(checked.trainer, os.environ).rank == 0
        place = _find_place(config, "run", is_writer)
        check_folder(place.folder)
        if config.resume is None and not place.stamped:
            check_free(place.folder)
        if config.resume is None or (config.resume == AUTO and not is_begun(place.folder)):
            check_monitors(checked)
            read_ticket(checked)
            read_trunk(checked)
        if is_writer and (reserved := place.reserve()) != asked:
            config.hydra.run.dir = str(reserved)
            set_output_dir(config, reserved)
            checked = read_config(config)
    folder = near(Path(config.hydra.run.dir))
    if is_writer and config.resume is None:
        check_free(folder)  # another start may have ended in between
    if config.resume == AUTO and is_begun(folder):
        config.hydra.output_subdir = None  # Hydra's notes stay as they were
    notes = folder / ".hydra"
    remove_links(notes, *(notes / name for name in ("config.yaml", "hydra.yaml", "overrides.yaml")))
    return checked


def _is_first(trainer: Any) -> bool:
    """Return whether this process is the first that was started. The devices of a sweep's jobs may be elsewhere."""
    if find_launcher(os.environ) is None:
        return True
    return find_launch(OmegaConf.to_object(trainer), os.environ).rank == 0  # pyright: ignore[reportArgumentType]


@dataclass(frozen=True)
class _Place:
    """The folder that a run or a sweep asks for; `stamped` if a free sibling will do, `start` records that one."""

    folder: Path
    stamped: bool
    start: FirstStart | None

    def reserve(self, *, sweep: bool = False) -> Path:
        """Reserve the folder, or a free sibling, and return it."""
        reserved = reserve(self.folder, stamped=self.stamped, sweep=sweep)
        if self.start is not None:
            self.start.record(reserved)
        return reserved


def _find_place(config: Any, group: str, is_writer: bool) -> _Place:
    """Return the folder of a run or a sweep; of a job that SLURM started again, the folder of its first start.

    Args:
        config: the composed configuration, Hydra's part included.
        group: `run` or `sweep`.
        is_writer: whether this process reserves the folder.
    """
    folder = near(Path(config.hydra[group].dir))
    stamped = is_stamped(config.hydra[group])
    if not stamped or not is_writer or config.resume != AUTO:
        return _Place(folder, stamped, None)
    start = FirstStart(config, group, os.environ)
    before = start.find()
    return _Place(folder, stamped, start) if before is None else _Place(near(before), stamped=False, start=None)


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
