"""Run entry points under Hydra, with one-line errors and exit code 2. Imports no torch."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from lt_lightning.config.folder import config_folder
from lt_lightning.config.messages import is_from
from lt_lightning.errors import SettingError
from lt_lightning.experiment.folders import release
from lt_lightning.runtime.arguments import VERSION, require_working_directory
from lt_lightning.runtime.cluster import answer_warning
from lt_lightning.runtime.fast_import import prefer_installed
from lt_lightning.runtime.signals import interruption, listen
from lt_lightning.runtime.terminal import complain, write
from lt_lightning.storage.atomic import UNWRITABLE, unwritable

_tracebacks = False
"""Whether the user asked for tracebacks."""


def run_hydra(task: Callable[[Any], Any]) -> None:
    """Run `task` under Hydra; print a user's mistake as one line on stderr and exit with code 2.

    Ctrl-C, SIGTERM, SIGUSR1 and SIGUSR2 print how to resume and exit with code 130, 143, 138 or 140; the latter two
    requeue a batch job of SLURM. A start that fails before its run began leaves no folder. `HYDRA_FULL_ERROR=1` in the
    environment keeps tracebacks.
    """
    listen()
    prefer_installed()
    failed = False
    try:
        _run_hydra(task)
    except BaseException as error:
        stopped = interruption(error)
        if stopped is None:
            failed = not isinstance(error, SystemExit) or bool(error.code)
            raise
        complain(answer_warning(stopped, os.environ))
        raise SystemExit(stopped.code) from None
    finally:
        release(failed=failed)


def _run_hydra(task: Callable[[Any], Any]) -> None:
    try:
        require_working_directory()
    except SettingError as error:
        fail(str(error))

    import hydra
    from hydra.errors import HydraException
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    from lt_lightning.config.messages import explain, explain_unread_tracker
    from lt_lightning.config.quoting import quote_arguments
    from lt_lightning.config.schema import register_schema
    from lt_lightning.experiment.branch.command import branched_arguments
    from lt_lightning.experiment.resume.command import resumed_arguments
    from lt_lightning.experiment.sweep_progress import ending_sweep

    sys.argv[1:] = flags_first(sys.argv[1:])
    check_flags(sys.argv[1:])
    register_schema()
    OmegaConf.register_new_resolver("choices", list_choices, replace=True)  # for conf/hydra/help
    try:
        sys.argv[1:] = branched_arguments(resumed_arguments(quote_arguments(sys.argv[1:])))
    except SettingError as error:
        fail(str(error))
    main = ending_sweep(hydra.main(version_base="1.3", config_path=config_folder(), config_name="config")(task))
    global _tracebacks
    _tracebacks = os.environ.get("HYDRA_FULL_ERROR") == "1"
    if _tracebacks:
        main()
        return
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra hands errors on instead of printing several lines and a hint
    try:
        main()
    except SettingError as error:
        fail(str(error))
    except (HydraException, OmegaConfBaseException) as error:
        ours = isinstance(error.__cause__, SettingError)  # raised within an interpolation
        fail(str(error.__cause__) if ours else explain(error))
    except AssertionError as error:
        if not is_from(error, "omegaconf"):
            raise
        fail(explain_unread_tracker(sys.argv[1:]))  # OmegaConf asserts that a setting has one above it
    except OSError as error:
        if error.errno not in UNWRITABLE:
            raise
        fail(str(unwritable(error, "a file")))
    except ValueError as error:
        if not is_from(error, "hydra"):
            raise
        fail(explain(error))
    finally:
        del os.environ["HYDRA_FULL_ERROR"]


def compose_config(overrides: Sequence[str], *, with_hydra: bool = False) -> Any:
    """Compose the configuration, and leave Hydra's global state as it was.

    Args:
        overrides: as on a command line, quoted for Hydra.
        with_hydra: keep Hydra's own part.

    Raises:
        SettingError: Hydra refuses an override.
    """
    from hydra import compose, initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    from lt_lightning.config.messages import explain, explain_unread_tracker
    from lt_lightning.config.schema import register_schema

    register_schema()
    before = GlobalHydra.instance().hydra
    GlobalHydra.instance().clear()
    try:
        with initialize_config_dir(config_folder(), version_base="1.3"):
            return compose("config", list(overrides), return_hydra_config=with_hydra)
    except (HydraException, OmegaConfBaseException) as error:
        raise SettingError(explain(error)) from error
    except AssertionError as error:
        if not is_from(error, "omegaconf"):
            raise
        raise SettingError(explain_unread_tracker(overrides)) from error
    finally:
        GlobalHydra.instance().hydra = before


def keeps_tracebacks() -> bool:
    """Return whether errors keep their tracebacks (`HYDRA_FULL_ERROR=1` at the start)."""
    return _tracebacks


_WITH_VALUE = (
    "--config-path", "-cp", "--config-name", "-cn", "--config-dir", "-cd", "--package", "-p", "--cfg", "-c",
    "--shell-completion", "-sc", "--experimental-rerun",
)  # fmt: skip


def flags_first(words: Sequence[str]) -> list[str]:
    """Return a command line with its flags before its settings: Hydra's parser refuses settings on both sides of one.

    >>> flags_first(["seed=1", "-m", "--config-dir", "mine", "pruning.rewind=init,random"])
    ['-m', '--config-dir', 'mine', 'seed=1', 'pruning.rewind=init,random']
    """
    flags: list[str] = []
    settings: list[str] = []
    before = ""
    for word in words:
        is_value = before in _WITH_VALUE and ("=" not in word or before in ("--shell-completion", "-sc"))
        (flags if word.startswith("-") or is_value else settings).append(word)
        before = word
    return list(words) if before in _WITH_VALUE else [*flags, *settings]  # the last flag may lack its value


def check_flags(words: Sequence[str]) -> None:
    """Refuse unknown flags in one line, and answer `--version`, instead of Hydra's usage and Hydra's version."""
    from hydra._internal.utils import get_args_parser

    from lt_lightning.config.launchers import GROUP, LAUNCHERS
    from lt_lightning.config.schema import CHOICES

    if "--version" in words:
        write(VERSION)
        raise SystemExit(0)
    parser = get_args_parser()
    parser.error = lambda message: fail(f"{message}; settings are written key=value, --help lists flags and settings")
    parser.parse_args(words)
    for word in words:
        chosen = re.fullmatch(r"\+*(\w+|hydra/\w+)=(_\w+)", word)
        shared = chosen and Path(config_folder(), chosen[1], f"{chosen[2]}.yaml").is_file()
        known = chosen and (*CHOICES.get(chosen[1], ()), *(one.choice for one in LAUNCHERS if chosen[1] == GROUP))
        if chosen and (shared or chosen[2].removesuffix("_schema")[1:] in (known or ())):
            fail(f"{chosen[1]}: {chosen[2]} is what several choices share, and no choice; --help lists the choices")


def list_choices() -> str:
    """Return a line per settings group with its choices, for `--help`; names with a leading _ are shared files."""
    from hydra.core.global_hydra import GlobalHydra

    loader = GlobalHydra.instance().config_loader()
    groups = [group for group in sorted(loader.list_groups("")) if group != "hydra"]
    options = {group: [name for name in sorted(loader.get_group_options(group)) if name[0] != "_"] for group in groups}
    return "".join(f"{group}: {', '.join(names)}\n" for group, names in options.items())


def fail(message: str, *, speak: bool = True) -> NoReturn:
    """Print an error in one line, unless another process does (`speak=False`), and exit with code 2."""
    if speak:
        complain(f"error: {message}")
    raise SystemExit(2)


def hide_progress_bars_in_pipes() -> None:
    """Disable progress bars of downloads and caches unless stderr is a terminal."""
    if not sys.stderr.isatty():
        import datasets
        import huggingface_hub.utils

        datasets.disable_progress_bars()
        huggingface_hub.utils.disable_progress_bars()
