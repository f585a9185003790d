"""Going on with a run, or a sweep, where it stopped: what was asked for then, and whether the same is asked for now.

Needs neither torch nor Lightning, so that a refusal, or that there is nothing to do, is said at once.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lt_lightning.config.choice import values_of
from lt_lightning.errors import SettingError
from lt_lightning.runs.description import Description
from lt_lightning.runs.formatting import flat_settings, show_setting
from lt_lightning.runs.reading import CHANGED, read_description
from lt_lightning.runs.rounds import has_records
from lt_lightning.storage.lock import STATE

if TYPE_CHECKING:
    from lt_lightning.config.schema import Config
    from lt_lightning.runs.rounds import Standing

SWEEP = "sweep.json"
"""The record of what started a sweep, in the sweep's folder."""

RESUME = re.compile(r"\+{0,2}resume=(.*)", re.DOTALL)
TRUST = re.compile(r"\+{0,2}trust=(.*)", re.DOTALL)

# What may change from one part of a run to the next: how long it goes on, where data and vectors lie (their
# fingerprints must be the same), and what Lightning says of it.
_FREE = frozenset(
    {
        "pruning.rounds", "data.path", "data.delimiter", "data.hub_config", "data.test_fraction", "embedding.path",
        "data.num_workers", "tickets.keep", "metric", "metric_mode",
        *(
            f"trainer.{key}"
            for key in (
                "logger", "log_every_n_steps", "default_root_dir",
                "enable_progress_bar", "enable_model_summary", "enable_checkpointing",
            )
        ),
    }
)  # fmt: skip


_TICKET = "pruning.ticket"

_ONCE = {"model.kernel": "reference", "optimizer.kernel": "reference", "scheduler.name": "none"}
"""What runs did that are older than a setting."""


def check_free(run: Path, key: str = "hydra.run.dir", folder: Path | None = None) -> None:
    """See that a directory holds no run yet: one run, one directory, and nothing in it is lost.

    Raises:
        SettingError: if it holds one, naming the setting that says where.
    """
    if is_begun(run):
        whole = folder or run
        raise SettingError(f"{key}: {run} holds a run already; go on with it by resume={whole}, or give another folder")


def check_new_sweep(folder: Path) -> None:
    """Check that a folder holds no sweep yet, and no run.

    Raises:
        SettingError: if it holds one.
    """
    for run in sorted(folder.glob("*/run.json")):
        check_free(run.parent, "hydra.sweep.dir", folder)
    if any((folder / name).exists() for name in (SWEEP, "multirun.yaml")):
        raise SettingError(
            f"hydra.sweep.dir: {folder} holds a sweep already; go on with it by resume={folder}, or give another folder"
        )


def how_to_go_on(folder: Path, start: Path | None = None) -> str:
    """Return the command that goes on with a run or a sweep; arguments as for `near`."""
    return f"go on with: python -m lt_lightning.train {shlex.quote(f'resume={near(folder, start)}')}"


def near(folder: Path, start: Path | None = None) -> Path:
    """Return a path as people would type it: relative, if it lies below the folder that they are in.

    Args:
        folder: the path.
        start: the folder that they are in; None for the working directory, which `hydra.job.chdir=true` changes.
    """
    try:
        here = start or Path.cwd()
    except FileNotFoundError:  # removed since the run started
        return folder
    whole = here / folder
    return whole.relative_to(here) if whole.is_relative_to(here) else whole


def without_resume(overrides: Sequence[str]) -> list[str]:
    """Return the overrides that make the run, for the record."""
    return [one for one in overrides if not RESUME.fullmatch(one) and not TRUST.fullmatch(one)]


def is_begun(run: Path) -> bool:
    """Whether a directory holds the beginning of a run, and not just the note of the command that was to start it."""
    traces = ("run.json", "results.csv", f"{STATE}/round_*", "tickets/round_*")
    return any(True for trace in traces for _ in run.glob(trace))


def describe_before(run: Path) -> tuple[Description, str | None]:
    """What `run.json` says, or else `command` and `config` as Hydra noted them when the run began.

    Returns:
        The description, and what is wrong with `run.json`; None if nothing is.

    Raises:
        SettingError: if neither is there.
    """
    try:
        description = read_description(run / "run.json")
        if not description.is_as_written:
            raise SettingError(f"{run / 'run.json'}: {CHANGED}; restore it from a copy")
        if description.command is not None and description.config.values is not None:
            return description, None
        raise SettingError(f"{run / 'run.json'}: does not say what command started the run; restore it from a copy")
    except SettingError as error:
        if not (run / ".hydra" / "overrides.yaml").is_file() or not (run / ".hydra" / "config.yaml").is_file():
            raise
        damage = str(error).rpartition(";")[0]
        command = read_yaml(run / ".hydra" / "overrides.yaml")
        if not isinstance(command, list):
            raise
        config = read_yaml(run / ".hydra" / "config.yaml", resolve=True)
        return Description.from_json({"command": command, "config": config}), f"{damage}; it is written anew"


def is_complete(run: Path, config: Config, standing: Standing) -> bool:
    """Whether nothing is left to do: all rounds are played, all files sound, and the report is drawn."""
    finished = describe_before(run)[0].finished
    whole = not standing.damages and not standing.stale and (run / "report.html").exists()
    return bool(finished) and whole and len(standing.rounds) == config.pruning.rounds + 1


def check_same(run: Path, config: Config, fingerprints: Mapping[str, str], standing: Standing) -> None:
    """See that a run can go on under these settings and with this data.

    Args:
        run: the run directory.
        config: the settings now.
        fingerprints: those of the corpus now.
        standing: how far the run has come.

    Raises:
        SettingError: naming everything that matters and is not as it was.
    """
    description, _ = describe_before(run)
    now = flat_settings(json.loads(json.dumps(values_of(config))))
    # Each round has the settings that made it on record: another start may have overwritten `run.json`.
    made_by = [(one.settings or {}).get("config") for one in standing.rounds]
    known = [description.config.values, *(settings for settings in made_by if settings is not None)]
    differences = list(dict.fromkeys(line for before in known for line in _differences(before, now)))
    if differences:
        raise SettingError(
            f"resume: {run}: {'; '.join(differences)}: go on with the settings of then, or start another run"
        )
    marks = [description.corpus.fingerprint, *((one.settings or {}).get("fingerprint") for one in standing.rounds)]
    for then in marks:
        if then is None or then == dict(fingerprints):
            continue
        changed = [part for part, mark in fingerprints.items() if not isinstance(then, dict) or then.get(part) != mark]
        raise SettingError(
            f"resume: {run}: the corpus is not the one of then ({', '.join(changed) or 'a part'} differs); bring the "
            "data of then back, or start another run"
        )
    if len(standing.rounds) > config.pruning.rounds + 1:
        raise SettingError(
            f"pruning.rounds: {config.pruning.rounds} is less than the {len(standing.rounds) - 1} rounds that {run} "
            "has played already; give at least as many"
        )
    if not has_records(run) and (run / "results.csv").exists():
        raise SettingError(
            f"resume: {run}: has rounds in results.csv, but no record of them in its folder state; restore that "
            "folder from a copy, or start another run"
        )


def _differences(before: Any, now: Mapping[str, Any]) -> list[str]:
    """Return a line for each setting that matters and is not as it was.

    Args:
        before: nested settings, as a record has them.
        now: today's by their full names.
    """
    then = {key: value for key, value in _ONCE.items() if now.get(key) is not None} | flat_settings(before)
    if None not in (then.get(_TICKET), now[_TICKET]):
        # It may have moved: in round 0 its seal must be the same, see `continuing`; afterwards it is not read.
        then[_TICKET] = now[_TICKET]
    return [
        f"{key} was {show_setting(then.get(key))}, not {show_setting(now.get(key))}"
        for key in dict.fromkeys([*now, *then])
        if then.get(key) != now.get(key) and not is_free(key)
    ]


def is_free(key: str) -> bool:
    """Return whether a setting may change from one part of a run to the next."""
    # A logger may be an object, whose settings lie below it.
    return key in ("resume", "trust") or any(key == free or key.startswith(f"{free}.") for free in _FREE)


def read_yaml(path: Path, *, resolve: bool = False) -> Any:
    """Return the content of a YAML file as plain values.

    Raises:
        SettingError: if it cannot be read.
    """
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException
    from yaml import YAMLError

    try:
        return OmegaConf.to_container(OmegaConf.load(path), resolve=resolve)
    except (OSError, ValueError, YAMLError, OmegaConfBaseException) as error:
        raise SettingError(f"{path}: cannot be read ({str(error).splitlines()[0]}); restore it from a copy") from None
