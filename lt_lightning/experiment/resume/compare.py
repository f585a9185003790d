"""Compare a run's records with the settings of now, to resume it. Imports no torch, so that refusals come at once."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from lt_lightning.config.aliases import typed_names
from lt_lightning.config.choice import values_of
from lt_lightning.config.messages import describe_error
from lt_lightning.errors import ResumableError, SettingError
from lt_lightning.lottery.settings import LotteryError
from lt_lightning.runs.branch import read_branch
from lt_lightning.runs.description import Description
from lt_lightning.runs.earlier import PRUNING
from lt_lightning.runs.formatting import flat_settings, show_setting
from lt_lightning.runs.reading import CHANGED, read_description
from lt_lightning.runs.rounds import has_records
from lt_lightning.storage.lock import STATE

if TYPE_CHECKING:
    from lt_lightning.config.schema import Config
    from lt_lightning.runs.rounds import Standing

SWEEP = "sweep.json"
"""The record of the command that started a sweep, in the sweep's folder."""

AUTO = "auto"
"""The value of `resume` by which a run starts, or goes on if its directory holds it already."""

RESUME = re.compile(r"\+{0,2}resume=(.*)", re.DOTALL)
TRUST = re.compile(r"\+{0,2}trust=(.*)", re.DOTALL)

# Settings that may change when a run resumes: the number of rounds, the place of data and vectors (their fingerprints
# must agree), logging and profiling, and where jobs of a sweep run.
_FREE = frozenset(
    {
        "pruning.rounds", "data.path", "data.delimiter", "data.hub_config", "data.test_fraction", "embedding.path",
        "model.path", "data.num_workers", "tickets.keep", "metric", "metric_mode", "trainer.logger",
        "objective", "objective_within", "objective_reference", "report", "hydra.sweeper.n_trials",
        "trainer.log_every_n_steps", "trainer.default_root_dir", "trainer.enable_progress_bar",
        "trainer.enable_model_summary", "trainer.enable_checkpointing", "trainer.profiler", "trainer.detect_anomaly",
        "logger", "hydra/launcher", "hydra.launcher", "hydra.sweeper.n_jobs", "hydra.sweeper.max_batch_size",
    }
)  # fmt: skip

_TICKET = "pruning.ticket"

EARLIER: dict[str, Any] = {
    "model.kernel": "reference",
    "optimizer.kernel": "reference",
    "optimizer.no_decay": [],
    "scheduler.name": "none",
    **PRUNING,
}
"""The values of settings that did not exist yet when a run was recorded."""


def check_free(run: Path, key: str = "hydra.run.dir", folder: Path | None = None) -> None:
    """Raise a `SettingError` that names the setting `key` if a directory holds a run already.

    Args:
        run: the directory.
        key: the setting that names it.
        folder: the folder to resume, if it is not `run`.
    """
    if is_begun(run):
        whole = folder or run
        raise SettingError(f"{key}: {run} holds a run already; continue it with resume={whole}, or give another folder")


def check_new_sweep(folder: Path) -> None:
    """Raise a `SettingError` if a folder holds a sweep or a run already."""
    for run in sorted(folder.glob("*/run.json")):
        check_free(run.parent, "hydra.sweep.dir", folder)
    if is_sweep(folder):
        raise SettingError(
            f"hydra.sweep.dir: {folder} holds a sweep already; continue it with resume={folder}, or give another folder"
        )


def is_sweep(folder: Path) -> bool:
    """Return whether a folder holds a sweep; sweeps of older versions have Hydra's record alone."""
    return any((folder / name).exists() for name in (SWEEP, "multirun.yaml"))


def describe_stop(error: SettingError | LotteryError, run: Path, start: Path | None = None) -> str:
    """Return an error in one line, with the command that resumes the run if that can help; `start` as for `near`."""
    message = describe_error(error)
    if isinstance(error, ResumableError) and is_begun(run):
        message = f"{message}; {how_to_go_on(run, start)}"
    return message


def how_to_go_on(folder: Path, start: Path | None = None) -> str:
    """Return the command that resumes a run or a sweep; arguments as for `near`."""
    return f"resume with: python -m lt_lightning.train {shlex.quote(f'resume={near(folder, start)}')}"


def how_to_draw(run: Path) -> str:
    """Return that the report of a run is not drawn, and the command that draws it; for `report=false`."""
    return f"not drawn; draw it with: python -m lt_lightning.report {shlex.quote(str(near(run)))}"


def near(folder: Path, start: Path | None = None) -> Path:
    """Return a path as users type it: relative if it lies below the folder that they are in.

    Args:
        folder: the path.
        start: the user's folder; None for the working directory, which `hydra.job.chdir=true` changes.
    """
    try:
        here = start or Path.cwd()
    except FileNotFoundError:  # removed since the run started
        return folder
    whole = here / folder
    return whole.relative_to(here) if whole.is_relative_to(here) else whole


def without_resume(overrides: Sequence[str]) -> list[str]:
    """Return the overrides without `resume=` and `trust=`."""
    return [one for one in overrides if not RESUME.fullmatch(one) and not TRUST.fullmatch(one)]


def is_begun(run: Path) -> bool:
    """Return whether a run has begun in a directory; Hydra's notes of its command do not count."""
    traces = ("run.json", "results.csv", f"{STATE}/round_*", "tickets/round_*")
    return any(True for trace in traces for _ in run.glob(trace))


def describe_before(run: Path) -> tuple[Description, str | None]:
    """Read `run.json`, or if it is damaged `command` and `config` from Hydra's notes.

    Returns:
        The description, and the damage of `run.json`, or None.

    Raises:
        SettingError: neither can be read.
    """
    try:
        description = read_description(run / "run.json")
        if not description.is_as_written:
            raise SettingError(f"{run / 'run.json'}: {CHANGED}; restore it from a copy")
        if description.command is not None and description.config.values is not None:
            return description, None
        raise SettingError(f"{run / 'run.json'}: does not say what command started the run; restore it from a copy")
    except SettingError as error:
        notes = run / ".hydra"
        if not (notes / "overrides.yaml").is_file() or not (notes / "config.yaml").is_file():
            raise
        command = read_yaml(notes / "overrides.yaml")
        if not isinstance(command, list):
            raise
        config = read_yaml(notes / "config.yaml", resolve=True)
        damage = f"{str(error).rpartition(';')[0]}; it is written anew"
        return Description.from_json({"command": command, "config": config}), damage


def count_rounds(run: Path, config: Config) -> int:
    """Return how many rounds a run has when it is over; raise SettingError if a branch's record is damaged."""
    branch = None if config.branch.of is None else read_branch(run)
    return config.pruning.rounds + 1 if branch is None else len(branch.rounds)


def is_complete(run: Path, config: Config, standing: Standing) -> bool:
    """Return whether all rounds are run, all files are sound, and the report, if it is asked for, is drawn."""
    finished = describe_before(run)[0].finished
    is_drawn = not config.report or (run / "report.html").exists()
    whole = not standing.damages and not standing.stale and is_drawn
    return bool(finished) and whole and len(standing.rounds) == count_rounds(run, config)


def check_same(run: Path, config: Config, fingerprints: Mapping[str, str], standing: Standing) -> None:
    """Check that a run can resume under these settings and with this data.

    Args:
        run: the run directory.
        config: the settings now.
        fingerprints: those of the corpus now.
        standing: the rounds on disk.

    Raises:
        SettingError: names every setting that differs.
    """
    description, _ = describe_before(run)
    now = flat_settings(json.loads(json.dumps(values_of(config))))
    # Each round records the settings that made it: another start may have overwritten `run.json`.
    made_by = [one.settings or {} for one in standing.rounds]
    known = [description.config.values, *(one["config"] for one in made_by if one.get("config") is not None)]
    differences = list(dict.fromkeys(line for before in known for line in _differences(before, now)))
    if differences:
        raise SettingError(
            f"resume: {run}: {'; '.join(differences)}: resume with the recorded settings, or start another run"
        )
    for then in [description.corpus.fingerprint, *(one.get("fingerprint") for one in made_by)]:
        if then is None or then == dict(fingerprints):
            continue
        changed = [part for part, mark in fingerprints.items() if not isinstance(then, dict) or then.get(part) != mark]
        raise SettingError(
            f"resume: {run}: the corpus is not the one that the run began with ({', '.join(changed) or 'a part'} "
            "differs); bring its data back, or start another run"
        )
    if len(standing.rounds) > count_rounds(run, config):
        raise SettingError(
            f"pruning.rounds: {config.pruning.rounds} is less than the {len(standing.rounds) - 1} rounds that {run} "
            "has already; give at least as many"
        )
    if not has_records(run) and (run / "results.csv").exists():
        raise SettingError(
            f"resume: {run}: has rounds in results.csv, but no record of them in its folder state; restore that "
            "folder from a copy, or start another run"
        )


def _differences(before: Any, now: Mapping[str, Any]) -> list[str]:
    """Return a line for each setting that differs and matters.

    Args:
        before: the recorded settings, nested.
        now: the settings of now by their full names.
    """
    then = {key: value for key, value in EARLIER.items() if now.get(key) is not None} | flat_settings(before)
    if None not in (then.get(_TICKET), now[_TICKET]):
        # It may have moved: in round 0 its seal must agree, see `restore`; afterwards it is not read.
        then[_TICKET] = now[_TICKET]
    return [
        f"{typed_names(key)} was {show_setting(then.get(key))}, not {show_setting(now.get(key))}"
        for key in dict.fromkeys([*now, *then])
        if not _is_same(key, then.get(key), now.get(key)) and not is_free(key, now)
    ]


def _is_same(key: str, then: Any, now: Any) -> bool:
    """Return whether two values of a setting mean the same, such as `trainer.devices=[0]` and `[1]`: one device each.

    >>> _is_same("trainer.devices", [1], "0,"), _is_same("trainer.devices", 1, 2), _is_same("seed", 1, True)
    (True, False, True)
    """
    if then == now:
        return True
    if key == "trainer.accelerator":
        return {then, now} == {"cuda", "gpu"}
    counts = (_count_devices(then), _count_devices(now))
    # `auto` and -1 depend on the machine: `restore` compares the numbers of processes.
    return key == "trainer.devices" and (None in counts or counts[0] == counts[1])


def _count_devices(value: Any) -> int | None:
    """Return the number of devices that a value of `trainer.devices` names; None if the machine decides."""
    if isinstance(value, str) and "," in value:
        return len([one for one in value.split(",") if one.strip()])
    if isinstance(value, list):
        return len(value)
    number = int(value) if isinstance(value, str) and value.isdecimal() else value
    return number if isinstance(number, int) and number >= 0 else None


def is_free(key: str, settings: Mapping[str, Any] = MappingProxyType({})) -> bool:
    """Return whether a setting may change when a run resumes.

    Args:
        key: its full name.
        settings: all settings; what a class of the user's own takes as `path` says nothing about encoders.
    """
    if key == "model.path" and "model._target_" in settings:
        return False
    # A logger may be an object, whose settings lie below it.
    return key in ("resume", "trust") or any(key == free or key.startswith(f"{free}.") for free in _FREE)


def read_yaml(path: Path, *, resolve: bool = False) -> Any:
    """Return the content of a YAML file as plain values; raise a `SettingError` if it cannot be read."""
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException
    from yaml import YAMLError

    try:
        return OmegaConf.to_container(OmegaConf.load(path), resolve=resolve)
    except (OSError, ValueError, YAMLError, OmegaConfBaseException) as error:
        raise SettingError(f"{path}: cannot be read ({str(error).splitlines()[0]}); restore it from a copy") from None
