"""Complete the command line of a branch: its trunk's recorded one, changed by what is given now. Imports no torch."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lt_lightning.config.typed_paths import typed_path
from lt_lightning.errors import SettingError
from lt_lightning.experiment.resume.command import (
    earlier_defaults,
    names_folder,
    override_key,
    read_trust,
    require_trusted,
    settings_among,
)
from lt_lightning.experiment.resume.compare import describe_before, without_resume
from lt_lightning.experiment.resume.trust import NO_SWEEP
from lt_lightning.lottery.settings import SCHEDULED
from lt_lightning.runs.branch import UNREAD_BY_BRANCHES
from lt_lightning.runs.reading import is_run, suggest_run

_OF = re.compile(r"\+{0,2}branch\.of=(.*)", re.DOTALL)
_OWN_DEFAULTS = ("optimizer", "scheduler")
"""The groups whose choices have settings of their own, none of which another choice takes over."""
_GIVE_RUN = "give a run directory, outputs/<experiment>/<date>_<time>"


def branched_arguments(arguments: Sequence[str]) -> list[str]:
    """Return the command line of the branch that `branch.of=RUN` asks for; what is given now takes precedence.

    Settings of Hydra on the trunk's record do not count: a branch has a folder of its own. Another optimizer, or
    another scheduler, begins with its own defaults.

    Args:
        arguments: a command line without the program's name; returned as it is without `branch.of=`, and if it resumes
            a run, whose recorded command is complete.

    Raises:
        SettingError: the folder is no run, its command cannot be read, or the command holds settings that need
            `trust=true`; see `resume.trust`.
    """
    given = [match[1] for argument in arguments if (match := _OF.fullmatch(argument))]
    if not given or given[-1] in ("", "null") or names_folder(arguments):
        return list(arguments)
    now = settings_among(arguments)
    flags = [argument for argument in arguments if argument not in now]
    trunk = find_trunk(given[-1])
    now, trusted = read_trust(now)
    before = describe_before(trunk)[0]
    config = before.config.values or {}
    recorded = without_resume(before.command or ())
    typed = {override_key(argument): argument for argument in now}
    pruning = config.get("pruning")
    masks = typed.get("pruning.mask", str(pruning.get("mask") if isinstance(pruning, Mapping) else None))
    inverts = "invert" in masks.partition("=")[2].split(",") or masks == "invert"
    for key in UNREAD_BY_BRANCHES if inverts else (*UNREAD_BY_BRANCHES, "criterion"):
        if f"pruning.{key}" in typed:
            raise SettingError(f"pruning.{key}: a branch prunes nothing, and does not read it; leave it out")
    if "pruning.rounds" in typed:
        raise SettingError("pruning.rounds: a branch has the rounds of its trunk; choose among them by branch.rounds")
    left = {"hydra", *(group for group in _OWN_DEFAULTS if _is_other(group, typed, config))}
    kept = [
        argument
        for argument in [*earlier_defaults(recorded, [config]), *recorded]
        if (key := override_key(argument)) in typed or re.split("[./]", key)[0] not in left or key in _OWN_DEFAULTS
    ]
    if not trusted:
        require_trusted("branch.of", trunk, kept, typed)
    kept += [f"{key}={value}" for key, value in _resets(config).items() if key not in typed]
    merged = dict.fromkeys([*(typed.get(override_key(argument), argument) for argument in kept), *now])
    is_sweep = bool({"-m", "--multirun"} & {*flags})
    # The trunk may have been a job of a sweep that its experiment defines. An experiment that is given now counts.
    mode = NO_SWEEP if is_sweep else "hydra.mode=RUN"
    return [*flags, *merged, *([] if {override_key(mode), "experiment"} & typed.keys() else [mode])]


def find_trunk(typed: str) -> Path:
    """Return the folder of the run that `branch.of` names.

    Raises:
        SettingError: it is no run directory.
    """
    trunk = typed_path(re.sub(r"^(['\"])(.*)\1$", r"\2", typed, flags=re.DOTALL))
    if not trunk.is_dir() and "," in typed:
        raise SettingError(f"branch.of: {typed}: give one run; of several, start a branch each")
    if not trunk.is_dir():
        raise SettingError(f"branch.of: {trunk}: no such folder; {_GIVE_RUN}")
    if not is_run(trunk):
        raise SettingError(f"branch.of: {trunk} is no run directory, it has no run.json; {suggest_run(trunk)}")
    return trunk


def _is_other(group: str, typed: Mapping[str, str], config: Mapping[str, Any]) -> bool:
    """Return whether another choice of a group is given than the one in a recorded configuration."""
    before = config.get(group)
    name = before.get("name") if isinstance(before, Mapping) else None
    return group in typed and typed[group].partition("=")[2] != name


def _resets(config: Mapping[str, Any]) -> dict[str, str]:
    """Return settings by which a branch does not prune and start as its trunk did."""
    pruning = config.get("pruning")
    pruning = pruning if isinstance(pruning, Mapping) else {}
    resets = {} if pruning.get("ticket") is None else {"pruning.ticket": "null"}
    if pruning.get("schedule") in (None, "rounds"):
        return resets
    given = [key for key in SCHEDULED if pruning.get(key) is not None]
    return {**resets, "pruning.schedule": "rounds", **{f"pruning.{key}": "null" for key in given}}
