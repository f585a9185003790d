"""The command line of a run, or a sweep, that goes on: the recorded one, and what is given now."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from lt_lightning.config.quoting import quoted
from lt_lightning.errors import SettingError
from lt_lightning.experiment.job_folders import NAME_KEY, SUBDIR
from lt_lightning.experiment.resume.compare import (
    RESUME,
    SWEEP,
    TRUST,
    describe_before,
    is_free,
    read_yaml,
    without_resume,
)
from lt_lightning.experiment.resume.earlier import earlier_defaults, recorded_configs
from lt_lightning.experiment.resume.trust import find_untrusted
from lt_lightning.runs.reading import read_object, suggest_run
from lt_lightning.storage.atomic import write_whole


def resumed_arguments(arguments: Sequence[str]) -> list[str]:
    """Return the command line of the run, or sweep, that `resume=FOLDER` names; what is given now takes precedence.

    Args:
        arguments: a command line without the program's name; without `resume=` it stays as it is.

    Raises:
        SettingError: if the folder is no run and no sweep, its command cannot be read, or the command asks for what a
            record may not ask for without `trust=true`; see `trust`.
    """
    given = [_unquoted(match[1]) for argument in arguments if (match := RESUME.fullmatch(argument))]
    rest = [argument for argument in arguments if not RESUME.fullmatch(argument)]
    if not given:
        return rest
    if len(given) > 1 or given[0] in ("", "null"):
        raise SettingError("resume: give one run directory, outputs/<experiment>/<date>_<time>, or one sweep's folder")
    folder = Path(given[0])
    if "${" in given[0]:
        raise SettingError(f"resume: {folder}: no folder may be called so, ${{ stands for a setting; rename it")
    if not folder.is_dir():
        raise SettingError(
            f"resume: {folder}: no such folder; give a run directory, outputs/<experiment>/<date>_<time>"
        )
    now = _overrides(rest)
    flags = [argument for argument in rest if argument not in now]
    is_sweep = any((folder / name).is_file() for name in (SWEEP, "multirun.yaml"))
    if not is_sweep and {"-m", "--multirun"} & set(flags):
        raise SettingError(f"resume: {folder} is one run; leave out -m, or give the folder of a sweep")
    before = without_resume(_swept(folder) if is_sweep else _commanded(folder))
    runs = [path.parent for path in folder.glob("*/run.json")] if is_sweep else [folder]
    before = [*earlier_defaults(before, recorded_configs(runs, describe_before)), *before]
    rest, now, trusted = _read_trust(rest, now)
    if not trusted:
        _check_trust(folder, before, {_key(argument) for argument in now})
    if is_sweep:
        _check_jobs(folder, before, now)
    said = {_key(argument): argument for argument in now}
    place = ["hydra.mode=MULTIRUN", f"hydra.sweep.dir={quoted(str(folder))}"]
    if not is_sweep:
        place = ["hydra.mode=RUN", f"hydra.run.dir={quoted(str(folder))}"]
    # In their places, as the order of what is swept over is the order of the jobs; and together, behind the flags.
    merged = dict.fromkeys([*(said.get(_key(argument), argument) for argument in before), *now])
    return [
        *flags,
        *merged,
        *place,
        "hydra.output_subdir=null",  # what Hydra wrote there stays as it was
        f"resume={quoted(str(folder))}",
    ]


def write_sweep(folder: Path, task: Sequence[str], hydra: Sequence[str]) -> None:
    """Put on record what started a sweep; Hydra's own record is written again whenever the sweep goes on.

    Raises:
        OSError: if it cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    record = {"task": without_resume(task), "hydra": list(hydra)}
    write_whole(folder / SWEEP, json.dumps(record, indent=2) + "\n")


def _read_trust(words: Sequence[str], overrides: Sequence[str]) -> tuple[list[str], list[str], bool]:
    """Return the words and the overrides without `trust=`, and its value."""
    given = [match[1].lower() for one in overrides if (match := TRUST.fullmatch(one))]
    if not set(given) <= {"true", "false"}:
        raise SettingError(f"trust: {given[-1]!r} is neither true nor false; give one of them")
    kept = [[one for one in some if not TRUST.fullmatch(one)] for some in (words, overrides)]
    return kept[0], kept[1], given[-1:] == ["true"]


def _check_trust(folder: Path, recorded: Sequence[str], typed: set[str]) -> None:
    """Refuse what a record asks for if it could run code and the command of today does not give it."""
    untrusted = find_untrusted([argument for argument in recorded if _key(argument) not in typed])
    if untrusted:
        raise SettingError(
            f"resume: {folder} was started with {' and '.join(map(shlex.quote, untrusted))}; a folder may come from "
            "elsewhere, so objects and settings of Hydra count only if they are given again: repeat them, or add "
            "trust=true if you know where the folder comes from"
        )


def _commanded(run: Path) -> list[str]:
    """The overrides that started a run."""
    if not (run / "run.json").exists() and not (run / ".hydra" / "overrides.yaml").exists():
        raise SettingError(f"resume: {run} is no run directory, it has no run.json; {suggest_run(run)}")
    return list(describe_before(run)[0].command or ())


def _swept(folder: Path) -> list[str]:
    """The overrides that started a sweep, without those that say where it lies."""
    path = folder / SWEEP
    if path.exists():
        overrides = read_object(path)
    else:
        path = folder / "multirun.yaml"
        recorded = read_yaml(path)
        hydra = recorded.get("hydra") if isinstance(recorded, Mapping) else None
        overrides = hydra.get("overrides") if isinstance(hydra, Mapping) else None
    swept = overrides.get("task") if isinstance(overrides, Mapping) else None
    if overrides is None or not isinstance(swept, list):
        raise SettingError(f"{path}: does not say what command started the sweep; restore it from a copy")
    ours = ("hydra.mode", "hydra.sweep.dir", "hydra.output_subdir")
    of_hydra = [str(argument) for argument in overrides.get("hydra") or [] if str(argument) != SUBDIR]
    kept = [argument for argument in of_hydra if _key(argument) not in ours]
    # Hydra's own record has the folders' name as `job_folders` changed it.
    names = [f"hydra.sweep.subdir={argument.partition('=')[2]}" for argument in kept if _key(argument) == NAME_KEY]
    kept = [argument for argument in kept if not (names and _key(argument) in (NAME_KEY, "hydra.sweep.subdir"))]
    return [*map(str, swept), *kept, *names]


def _overrides(arguments: Sequence[str]) -> list[str]:
    """The settings on a command line, without flags such as `--config-dir FOLDER`."""
    from hydra._internal.utils import get_args_parser

    return get_args_parser().parse_args(list(arguments)).overrides


def _unquoted(text: str) -> str:
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"" else text


def _check_jobs(sweep: Path, before: Sequence[str], now: Sequence[str]) -> None:
    """Refuse what would change the jobs of a sweep. Of one run it is seen later whether a setting differs."""
    then = {_key(argument): argument for argument in before}
    for argument in now:
        key = _key(argument)
        if argument in before:
            continue
        if not is_free(key):
            raise SettingError(
                f"{key}: the sweep {sweep} goes on with the settings that it began with; leave it out, or start "
                "another sweep"
            )
        if _is_swept(argument) or _is_swept(then.get(key, "")):
            raise SettingError(
                f"{key}: the sweep {sweep} goes on with the jobs that it began with; give a value that is the same in "
                "all of them, or start another sweep"
            )


def _is_swept(argument: str) -> bool:
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    try:
        return bool(argument) and OverridesParser.create().parse_override(argument).is_sweep_override()
    except HydraException:
        return False  # Hydra refuses it in a moment


def _key(argument: str) -> str:
    return re.split("[=@]", argument.lstrip("+~"), maxsplit=1)[0]
