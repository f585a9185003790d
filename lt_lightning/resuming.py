"""Going on with a run, or a sweep, where it stopped: what was asked for then, and whether the same is asked for now.

Needs neither torch nor Lightning, so that a refusal, or that there is nothing to do, is said at once.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lt_lightning.earlier import earlier_defaults
from lt_lightning.errors import SettingError
from lt_lightning.job_folders import NAME_KEY, SUBDIR
from lt_lightning.quoting import quoted
from lt_lightning.results.facts import look_up
from lt_lightning.results.files import write_whole
from lt_lightning.results.grouping import flat_settings, show_setting
from lt_lightning.results.holding import STATE
from lt_lightning.results.rounds import has_records
from lt_lightning.results.runs import read_description, suggest_run

if TYPE_CHECKING:
    from lt_lightning.config import Config
    from lt_lightning.results.rounds import Standing

SWEEP = "sweep.json"
"""The record of what started a sweep, in the sweep's folder."""

_RESUME = re.compile(r"\+{0,2}resume=(.*)", re.DOTALL)

# What may change from one part of a run to the next: how long it goes on, where data and vectors lie (their
# fingerprints must be the same), and what Lightning says of it.
_FREE = frozenset(
    {
        "pruning.rounds", "data.path", "data.delimiter", "data.hub_config", "data.test_fraction", "embedding.path",
        "data.num_workers",
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

_ONCE = {"model.kernel": "reference", "optimizer.kernel": "reference"}
"""What runs did that are older than a setting."""


def resumed_arguments(arguments: Sequence[str]) -> list[str]:
    """The command line of the run, or sweep, that `resume=FOLDER` names; what is said now counts instead of what was.

    Args:
        arguments: a command line without the program's name; without `resume=` it stays as it is.

    Raises:
        SettingError: if the folder is no run and no sweep, or its command cannot be read.
    """
    given = [_unquoted(match[1]) for argument in arguments if (match := _RESUME.fullmatch(argument))]
    rest = [argument for argument in arguments if not _RESUME.fullmatch(argument)]
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
    before = [
        *earlier_defaults(before, _configs(folder.glob("*/run.json") if is_sweep else [folder / "run.json"])),
        *before,
    ]
    for argument in now if is_sweep else ():
        # Of one run it is seen whether a setting differs; of a sweep some jobs may not have begun.
        if argument not in before and not _is_free(_key(argument)):
            raise SettingError(
                f"{_key(argument)}: the sweep {folder} goes on with the settings that it began with; leave it out, or "
                "start another sweep"
            )
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
    here = start or Path.cwd()
    whole = here / folder
    return whole.relative_to(here) if whole.is_relative_to(here) else whole


def without_resume(overrides: Sequence[str]) -> list[str]:
    """The overrides that make the run, for the record."""
    return [override for override in overrides if not _RESUME.fullmatch(override)]


def is_begun(run: Path) -> bool:
    """Whether a directory holds the beginning of a run, and not just the note of the command that was to start it."""
    traces = ("run.json", "results.csv", f"{STATE}/round_*", "tickets/round_*")
    return any(True for trace in traces for _ in run.glob(trace))


def describe_before(run: Path) -> tuple[Mapping[str, Any], str | None]:
    """What `run.json` says, or else `command` and `config` as Hydra noted them when the run began.

    Returns:
        The description, and what is wrong with `run.json`; None if nothing is.

    Raises:
        SettingError: if neither is there.
    """
    try:
        description = read_description(run / "run.json")
        if isinstance(description.get("command"), list) and isinstance(description.get("config"), Mapping):
            return description, None
        raise SettingError(f"{run / 'run.json'}: does not say what command started the run; restore it from a copy")
    except SettingError as error:
        if not (run / ".hydra" / "overrides.yaml").is_file() or not (run / ".hydra" / "config.yaml").is_file():
            raise
        damage = str(error).rpartition(";")[0]
        command = _read_yaml(run / ".hydra" / "overrides.yaml")
        if not isinstance(command, list):
            raise
        config = _read_yaml(run / ".hydra" / "config.yaml", resolve=True)
        return {"command": command, "config": config}, f"{damage}; it is written anew"


def is_complete(run: Path, config: Config, standing: Standing) -> bool:
    """Whether nothing is left to do: all rounds are played, all files sound, and the report is drawn."""
    finished = look_up(describe_before(run)[0], "finished")
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
    before, now = (
        flat_settings(settings) for settings in (look_up(description, "config"), json.loads(json.dumps(asdict(config))))
    )
    before = {**{key: value for key, value in _ONCE.items() if now.get(key) is not None}, **before}
    if None not in (before.get(_TICKET), now[_TICKET]):
        # It may have moved: in round 0 its seal must be the same, see `continuing`; afterwards nobody reads it.
        before[_TICKET] = now[_TICKET]
    differences = [
        f"{key} was {show_setting(before.get(key))}, not {show_setting(now.get(key))}"
        for key in dict.fromkeys([*now, *before])
        if before.get(key) != now.get(key) and not _is_free(key)
    ]
    if differences:
        raise SettingError(
            f"resume: {run}: {'; '.join(differences)}: go on with the settings of then, or start another run"
        )
    then = look_up(description, "corpus.fingerprint")
    if then != dict(fingerprints) and "corpus" in description:
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


def _is_free(key: str) -> bool:
    # A logger may be an object, whose settings lie below it.
    return key == "resume" or any(key == free or key.startswith(f"{free}.") for free in _FREE)


def _key(argument: str) -> str:
    return re.split("[=@]", argument.lstrip("+~"), maxsplit=1)[0]


def _unquoted(text: str) -> str:
    return text[1:-1] if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"" else text


def _commanded(run: Path) -> list[str]:
    """The overrides that started a run."""
    if not (run / "run.json").exists() and not (run / ".hydra" / "overrides.yaml").exists():
        raise SettingError(f"resume: {run} is no run directory, it has no run.json; {suggest_run(run)}")
    return [str(argument) for argument in describe_before(run)[0]["command"]]


def _configs(descriptions: Iterable[Path]) -> list[Mapping[str, Any]]:
    """Return the recorded configurations of runs, as far as they can be read."""
    configs = []
    for path in descriptions:
        try:
            config = look_up(describe_before(path.parent)[0], "config")
        except SettingError:
            continue
        configs += [config] if isinstance(config, Mapping) else []
    return configs


def _swept(folder: Path) -> list[str]:
    """The overrides that started a sweep, without those that say where it lies."""
    path = folder / SWEEP
    if path.exists():
        overrides = read_description(path)
    else:
        path = folder / "multirun.yaml"
        recorded = _read_yaml(path)
        overrides = look_up(recorded, "hydra.overrides") if isinstance(recorded, Mapping) else None
    if not isinstance(overrides, Mapping) or not isinstance(overrides.get("task"), list):
        raise SettingError(f"{path}: does not say what command started the sweep; restore it from a copy")
    ours = ("hydra.mode", "hydra.sweep.dir", "hydra.output_subdir")
    of_hydra = [str(argument) for argument in overrides.get("hydra") or [] if str(argument) != SUBDIR]
    kept = [argument for argument in of_hydra if _key(argument) not in ours]
    # Hydra's own record has the folders' name as `job_folders` changed it.
    names = [f"hydra.sweep.subdir={argument.partition('=')[2]}" for argument in kept if _key(argument) == NAME_KEY]
    kept = [argument for argument in kept if not (names and _key(argument) in (NAME_KEY, "hydra.sweep.subdir"))]
    return [*map(str, overrides["task"]), *kept, *names]


def _overrides(arguments: Sequence[str]) -> list[str]:
    """The settings on a command line, without flags such as `--config-dir FOLDER`."""
    from hydra._internal.utils import get_args_parser

    return get_args_parser().parse_args(list(arguments)).overrides


def _read_yaml(path: Path, *, resolve: bool = False) -> Any:
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException
    from yaml import YAMLError

    try:
        return OmegaConf.to_container(OmegaConf.load(path), resolve=resolve)
    except (OSError, ValueError, YAMLError, OmegaConfBaseException) as error:
        raise SettingError(f"{path}: cannot be read ({str(error).splitlines()[0]}); restore it from a copy") from None
