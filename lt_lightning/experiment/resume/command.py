"""Complete the command line of a run, or a sweep, that resumes: the recorded one, and the one given now."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import MappingProxyType
from typing import Any

from lt_lightning.config.aliases import typed_names
from lt_lightning.config.quoting import quoted
from lt_lightning.errors import SettingError
from lt_lightning.experiment.folders import NAME_KEY, SUBDIR
from lt_lightning.experiment.resume.compare import (
    AUTO,
    RESUME,
    SWEEP,
    TRUST,
    describe_before,
    is_free,
    is_sweep,
    read_yaml,
    without_resume,
)
from lt_lightning.experiment.resume.trust import find_untrusted
from lt_lightning.runs.formatting import flat_settings, show_setting
from lt_lightning.runs.reading import read_object, suggest_run
from lt_lightning.storage.atomic import write_whole

_REPLACED = MappingProxyType({"hydra/launcher": "hydra.launcher.", "logger": "logger."})
"""The groups whose choice may change when a run resumes, and the beginning of their settings' names."""

_OF_FOLDER = ("hydra.mode", "hydra.sweep.dir", "hydra.output_subdir")
"""The settings of Hydra that say where a sweep lies."""


def resumed_arguments(arguments: Sequence[str]) -> list[str]:
    """Return the command line of the run, or sweep, that `resume=FOLDER` names; what is given now takes precedence.

    Args:
        arguments: a command line without the program's name; returned as it is without `resume=`, and with
            `resume=auto` or `resume=null`.

    Raises:
        SettingError: the folder is no run and no sweep, its command cannot be read, or the command holds settings that
            need `trust=true`; see `trust`.
    """
    if not names_folder(arguments):
        return list(arguments)
    given = [match[1] for argument in arguments if (match := RESUME.fullmatch(argument))]
    rest = [argument for argument in arguments if not RESUME.fullmatch(argument)]
    named = _unquoted(given[0])
    if len(given) > 1 or not named:
        raise SettingError("resume: give one run directory, outputs/<experiment>/<date>_<time>, or one sweep's folder")
    folder = Path(named)
    if "${" in named:
        raise SettingError(f"resume: {folder}: no folder may be called so, ${{ stands for a setting; rename it")
    if not folder.is_dir():
        raise SettingError(
            f"resume: {folder}: no such folder; give a run directory, outputs/<experiment>/<date>_<time>"
        )
    now = settings_among(rest)
    flags = [argument for argument in rest if argument not in now]
    swept = is_sweep(folder)
    if not swept and {"-m", "--multirun"} & set(flags):
        raise SettingError(f"resume: {folder} is one run; leave out -m, or give the folder of a sweep")
    before = without_resume(_sweep_command(folder) if swept else _run_command(folder))
    configs = []
    for run in [path.parent for path in folder.glob("*/run.json")] if swept else [folder]:
        with suppress(SettingError):
            configs.append(describe_before(run)[0].config.values)
    before = [*earlier_defaults(before, [config for config in configs if config is not None]), *before]
    now, trusted = read_trust(now)
    before = _without_replaced(before, now)
    if not trusted:
        require_trusted("resume", folder, before, {override_key(argument) for argument in now})
    if swept:
        _check_jobs(folder, before, now)
    by_key = {override_key(argument): argument for argument in now}
    mode, place = ("MULTIRUN", "hydra.sweep.dir") if swept else ("RUN", "hydra.run.dir")
    # In their places, as the order of swept settings is the order of the jobs; and together, behind the flags.
    merged = dict.fromkeys([*(by_key.get(override_key(argument), argument) for argument in before), *now])
    return [
        *flags,
        *merged,
        f"hydra.mode={mode}",
        f"{place}={quoted(str(folder))}",
        "hydra.output_subdir=null",  # Hydra's notes stay as they were
        f"resume={quoted(str(folder))}",
    ]


def names_folder(arguments: Sequence[str]) -> bool:
    """Return whether a command line has `resume=FOLDER`, and not `resume=auto` or `resume=null`."""
    given = [match[1] for argument in arguments if (match := RESUME.fullmatch(argument))]
    return any(_unquoted(one) not in (AUTO, "null") for one in given)


def _unquoted(value: str) -> str:
    return re.sub(r"^(['\"])(.*)\1$", r"\2", value, flags=re.DOTALL)


def _without_replaced(before: Sequence[str], now: Sequence[str]) -> list[str]:
    """Return the recorded overrides without the settings of a launcher or logger that another one replaces now."""
    kept = list(before)
    for group, settings in _REPLACED.items():
        chosen = [argument for argument in now if override_key(argument) == group]
        if chosen and chosen[-1] not in before:
            kept = [argument for argument in kept if not override_key(argument).startswith(settings)]
    return kept


def write_sweep(folder: Path, task: Sequence[str], hydra: Sequence[str]) -> None:
    """Record the command that started a sweep; Hydra overwrites its own record when the sweep resumes."""
    folder.mkdir(parents=True, exist_ok=True)
    record = {"task": without_resume(task), "hydra": list(hydra)}
    write_whole(folder / SWEEP, json.dumps(record, indent=2) + "\n")


def read_trust(overrides: Sequence[str]) -> tuple[list[str], bool]:
    """Return the overrides without `trust=`, and its value."""
    given = [match[1].lower() for one in overrides if (match := TRUST.fullmatch(one))]
    if not set(given) <= {"true", "false"}:
        raise SettingError(f"trust: {given[-1]!r} is neither true nor false; give one of them")
    return [one for one in overrides if not TRUST.fullmatch(one)], given[-1:] == ["true"]


def require_trusted(setting: str, folder: Path, recorded: Sequence[str], typed: Collection[str]) -> None:
    """Raise for recorded settings that could run code, unless today's command gives them.

    Args:
        setting: the setting that names the folder, for the message.
        folder: the run, or the sweep.
        recorded: the overrides on its record.
        typed: the settings that are given now.
    """
    untrusted = find_untrusted([argument for argument in recorded if override_key(argument) not in typed])
    if untrusted:
        raise SettingError(
            f"{setting}: {folder} was started with {' and '.join(map(shlex.quote, untrusted))}; a folder may come from "
            "elsewhere, so objects and settings of Hydra count only if they are given again: repeat them, or add "
            "trust=true if you know where the folder comes from"
        )


def _run_command(run: Path) -> list[str]:
    """Return the overrides that started a run."""
    if not (run / "run.json").exists() and not (run / ".hydra" / "overrides.yaml").exists():
        raise SettingError(f"resume: {run} is no run directory, it has no run.json; {suggest_run(run)}")
    return list(describe_before(run)[0].command or ())


def _sweep_command(folder: Path) -> list[str]:
    """Return the overrides that started a sweep, without those of its folder."""
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
    of_hydra = [str(argument) for argument in overrides.get("hydra") or [] if str(argument) != SUBDIR]
    kept = [argument for argument in of_hydra if override_key(argument) not in _OF_FOLDER]
    # Hydra's own record has the folders' name as `folders` changed it.
    names = [
        f"hydra.sweep.subdir={argument.partition('=')[2]}" for argument in kept if override_key(argument) == NAME_KEY
    ]
    kept = [argument for argument in kept if not (names and override_key(argument) in (NAME_KEY, "hydra.sweep.subdir"))]
    return [*map(str, swept), *kept, *names]


def settings_among(arguments: Sequence[str]) -> list[str]:
    """Return the settings on a command line, without flags such as `--config-dir FOLDER`."""
    from hydra._internal.utils import get_args_parser

    return get_args_parser().parse_args(list(arguments)).overrides


def check_same_sweep(sweep: Path, task: Sequence[str], hydra: Sequence[str]) -> None:
    """Raise unless a sweep's recorded command starts the jobs that today's command starts.

    Args:
        sweep: the sweep's folder.
        task: today's overrides of the configuration.
        hydra: today's overrides of Hydra's settings; those that change no job do not count.

    Raises:
        SettingError: names every setting that differs.
    """

    def settings(arguments: Sequence[str]) -> dict[str, str]:
        typed = {override_key(one): one for one in without_resume(arguments)}
        return {key: one for key, one in typed.items() if not re.match("hydra[./](?!sweeper)", key)}

    then, now = settings(_sweep_command(sweep)), settings([*task, *hydra])
    differences = [
        f"{typed_names(key)} was {_value(then.get(key))}, not {_value(now.get(key))}"
        for key in dict.fromkeys([*now, *then])
        if then.get(key) != now.get(key)
        and (not is_free(key) or _is_swept(then.get(key, "")) or _is_swept(now.get(key, "")))
    ]
    orders = [[key for key, one in some.items() if _is_swept(one)] for some in (then, now)]
    if not differences and orders[0] != orders[1]:
        differences = [f"the swept settings were {', '.join(orders[0])}, in this order"]
    if differences:
        raise SettingError(
            f"resume: {sweep} holds another sweep: {'; '.join(differences)}: give its settings, or another folder"
        )


def _value(argument: str | None) -> str:
    return "not given" if argument is None else argument.partition("=")[2]


def _check_jobs(sweep: Path, before: Sequence[str], now: Sequence[str]) -> None:
    """Raise for settings that would change the jobs of a sweep; `check_same` compares those of one run later."""
    then = {override_key(argument): argument for argument in before}
    for argument in now:
        key = override_key(argument)
        if argument in before:
            continue
        if not is_free(key):
            raise SettingError(
                f"{typed_names(key)}: the sweep {sweep} resumes with the settings that it began with; leave it out, or "
                "start another sweep"
            )
        if _is_swept(argument) or _is_swept(then.get(key, "")):
            raise SettingError(
                f"{typed_names(key)}: the sweep {sweep} resumes with the jobs that it began with; give a value that is "
                "the same in all of them, or start another sweep"
            )


def _is_swept(argument: str) -> bool:
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    try:
        return bool(argument) and OverridesParser.create().parse_override(argument).is_sweep_override()
    except HydraException:
        return False  # Hydra refuses it later


def override_key(argument: str) -> str:
    """Return the setting that an override changes."""
    return re.split("[=@]", argument.lstrip("+~"), maxsplit=1)[0]


def earlier_defaults(command: Sequence[str], configs: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the overrides that give a recorded command the defaults of its version.

    Before there was `data.test_fraction`, `data=files` came with `model=multi_cnn` and `embedding.std=1.0`. Before
    there was `data.group_column`, the validation part of built-in corpora was drawn row by row.

    Args:
        command: the overrides that started a run or a sweep.
        configs: the configuration of the run, or of each job of the sweep that has begun.
    """
    settings = [flat_settings(config) for config in configs]
    given = {argument.lstrip("+").partition("=")[0] for argument in command}
    missing = []
    if settings and all(_is_split_by_rows(one) for one in settings) and "data.group_column" not in given:
        missing.append("data.group_column=null")
    is_older = bool(settings) and not any("data.test_fraction" in one for one in settings)
    reads_files = "data=files" in command or any(one.get("data.name") == "files" for one in settings)
    if not (is_older and reads_files):
        return missing
    if "model" not in given and all(one.get("model.name") == "multi_cnn" for one in settings):
        missing.append("model=multi_cnn")
    stds = [one.get("embedding.std") for one in settings]
    same = all(isinstance(std, (int, float)) and std == stds[0] for std in stds)  # a record may hold anything
    if "embedding.std" not in given and same:
        missing.append(f"embedding.std={show_setting(stds[0])}")
    return missing


def _is_split_by_rows(settings: Mapping[str, Any]) -> bool:
    """Return whether recorded settings are those of a built-in corpus whose groups were not yet kept whole."""
    is_built_in = settings.get("data.name") in ("PyDocs", "PyDocs names") and settings.get("data.path") is None
    return is_built_in and "data.group_column" not in settings
