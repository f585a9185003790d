"""What all entry points share: errors in one line, exit code 2, and a terminal that is kept tidy.

Everything here runs before torch is loaded.
"""

from __future__ import annotations

import errno
import logging
import os
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn, TextIO

import lt_lightning
from lt_lightning.command_line import VERSION, require_working_directory
from lt_lightning.errors import SettingError
from lt_lightning.imports import prefer_installed
from lt_lightning.instantiation import is_from
from lt_lightning.interruption import interruption, listen
from lt_lightning.results.files import remove_links, unwritable, writing_to
from lt_lightning.terminal import complain, write


def config_folder() -> str:
    """The configuration tree: beside the package in a checkout, inside it where it was installed."""
    package = Path(lt_lightning.__file__).parent
    inside = package / "conf"
    return str(inside if inside.is_dir() else package.parent / "conf")


def run_hydra(task: Callable[[Any], None]) -> None:
    """Run `task` under Hydra; whatever the user got wrong is one line on stderr and exit code 2.

    `resume=RUN` among the arguments brings back those that RUN was started with. Ctrl-C, SIGTERM and SIGUSR1 are a
    line that says how to go on, and exit code 130, 143 or 138. With `HYDRA_FULL_ERROR=1` in the environment errors
    keep their tracebacks.
    """
    listen()
    prefer_installed()
    try:
        _run_hydra(task)
    except BaseException as error:
        stopped = interruption(error)
        if stopped is None:
            raise
        complain(str(stopped))
        raise SystemExit(stopped.code) from None


def _run_hydra(task: Callable[[Any], None]) -> None:
    try:
        require_working_directory()
    except SettingError as error:
        fail(str(error))

    import hydra
    from hydra.errors import HydraException
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    from lt_lightning.config import register_schema
    from lt_lightning.explanations import explain
    from lt_lightning.quoting import quote_arguments
    from lt_lightning.resuming import resumed_arguments

    check_flags(sys.argv[1:])
    register_schema()
    OmegaConf.register_new_resolver("choices", list_choices, replace=True)  # for conf/hydra/help
    try:
        sys.argv[1:] = resumed_arguments(quote_arguments(sys.argv[1:]))
    except SettingError as error:
        fail(str(error))
    main = hydra.main(version_base="1.3", config_path=config_folder(), config_name="config")(task)
    if os.environ.get("HYDRA_FULL_ERROR") == "1":
        main()
        return
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra hands errors on instead of printing several lines and a hint
    try:
        main()
    except SettingError as error:
        fail(str(error))
    except (HydraException, OmegaConfBaseException) as error:
        fail(explain(error))
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES):
            raise
        fail(str(unwritable(error, "a file")))
    except ValueError as error:
        if not is_from(error, "hydra"):
            raise
        fail(explain(error))


def check_flags(words: Sequence[str]) -> None:
    """Refuse flags that Hydra does not know in one line, and answer `--version`.

    Hydra's own answers are the usage of all flags, and the version of Hydra.
    """
    from hydra._internal.utils import get_args_parser

    if "--version" in words:
        write(VERSION)
        raise SystemExit(0)
    parser = get_args_parser()
    parser.error = lambda message: fail(f"{message}; settings are written key=value, --help lists flags and settings")
    parser.parse_args(words)
    for word in words:
        chosen = re.fullmatch(r"\+*(\w+)=(_\w+)", word)
        if chosen and Path(config_folder(), chosen[1], f"{chosen[2]}.yaml").is_file():
            fail(f"{chosen[1]}: {chosen[2]} is what several choices share, and no choice; --help lists the choices")


def list_choices() -> str:
    """Return a line for each group of settings with its choices, for `--help`.

    Files whose names begin with _ hold what several choices share.
    """
    from hydra.core.global_hydra import GlobalHydra

    loader = GlobalHydra.instance().config_loader()
    groups = [group for group in sorted(loader.list_groups("")) if group != "hydra"]
    options = {group: [name for name in sorted(loader.get_group_options(group)) if name[0] != "_"] for group in groups}
    return "".join(f"{group}: {', '.join(names)}\n" for group, names in options.items())


def fail(message: str, *, speak: bool = True) -> NoReturn:
    """Print an error in one line, and exit with code 2.

    Args:
        message: the error.
        speak: whether to print it; False in a process that shares a run with others, one of which prints it.
    """
    if speak:
        complain(f"error: {message}")
    raise SystemExit(2)


def hide_progress_bars_in_pipes() -> None:
    """Keep the bars of downloads and caches, control characters all of them, out of logs and pipes."""
    if not sys.stderr.isatty():
        import datasets
        import huggingface_hub.utils

        datasets.disable_progress_bars()
        huggingface_hub.utils.disable_progress_bars()


class CheckConfig:
    """A Hydra callback that checks a configuration, and where it is to run, before anything is written.

    The configuration of a sweep's job each job checks itself: what is swept is not known before.
    """

    def __getattr__(self, name: str) -> Callable[..., None]:
        if name.startswith("on_"):
            return lambda **_: None
        raise AttributeError(name)

    def on_run_start(self, config: Any, **_: Any) -> None:
        """Refuse what `read_config` refuses; SystemExit, as Hydra swallows a callback's other errors."""
        from lt_lightning.checks import read_config
        from lt_lightning.resuming import check_free, near
        from lt_lightning.transfer.fitting import read_ticket

        try:
            checked = read_config(config)
            folder = near(Path(config.hydra.run.dir))
            check_folder(folder)
            if checked.resume is None:
                check_free(folder)
                read_ticket(checked)
            notes = folder / ".hydra"
            remove_links(notes, *(notes / name for name in ("config.yaml", "hydra.yaml", "overrides.yaml")))
        except SettingError as error:
            fail(str(error))

    def on_multirun_start(self, config: Any, **_: Any) -> None:
        """Refuse a sweep over another one, or without the ticket that all jobs need; put on record what starts it."""
        from lt_lightning.checks import NO_TICKET
        from lt_lightning.resuming import check_free, near, write_sweep

        remove_links(Path(config.hydra.sweep.dir) / "multirun.yaml")
        if config.resume is not None:
            return
        given = _as_typed(config.hydra.overrides.task)
        if config.pruning.ticket == "" and not any("pruning.ticket=" in argument for argument in given):
            fail(f"pruning.ticket: {NO_TICKET}")  # once, and not in every job
        folder = near(Path(config.hydra.sweep.dir))
        try:
            for run in sorted(folder.glob("*/run.json")):
                check_free(run.parent, "hydra.sweep.dir", folder)
            with writing_to(folder):
                write_sweep(folder, given, _as_typed(config.hydra.overrides.hydra))
        except SettingError as error:
            fail(str(error))

    def on_multirun_end(self, config: Any, **_: Any) -> None:
        """Put on record what the sweep has gone on with, now that no job has refused it."""
        from lt_lightning.resuming import write_sweep

        if config.resume is not None:
            with writing_to(folder := Path(config.hydra.sweep.dir)):
                write_sweep(folder, *(_as_typed(config.hydra.overrides[kind]) for kind in ("task", "hydra")))


def _as_typed(overrides: Any) -> list[str]:
    """Overrides as they were given: to go through the list would fill in `${seed}`, which differs from job to job."""
    from omegaconf import OmegaConf

    typed: Any = OmegaConf.to_container(overrides, resolve=False)
    return typed


class LogFile(logging.FileHandler):
    """A log in UTF-8 that holds what it can: a full disk is said once, by the run itself, not at every line.

    A link in its place is replaced, not followed.
    """

    def __init__(self, filename: str, mode: str = "a", *, delay: bool = False) -> None:
        super().__init__(filename, mode, encoding="utf-8", delay=delay, errors="backslashreplace")

    def _open(self) -> Any:
        remove_links(Path(self.baseFilename))
        return super()._open()

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 (logging's name)
        """Pass over what cannot be written."""
        if not isinstance(sys.exc_info()[1], OSError):
            super().handleError(record)


def check_folder(folder: Path) -> None:
    """See that a run directory can be made.

    Raises:
        SettingError: if something else is in its way, or nothing may be written there.
    """
    there = next(path for path in (folder, *folder.parents, Path()) if os.path.lexists(path))
    if not there.is_dir():
        raise SettingError(f"hydra.run.dir: {there} is no folder; give a folder that is, or that can be made")
    if not os.access(there, os.W_OK):
        raise SettingError(f"hydra.run.dir: nothing may be written in {there}; give another folder")


class TerminalHandler(logging.StreamHandler):
    """Logs to whatever stderr is at the moment, so that a live display can take its lines in."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> TextIO:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The current stderr."""
        return sys.stderr
