"""Going on with a run, or a sweep, where it stopped: what was asked for then, and whether the same is asked for now.

Needs neither torch nor Lightning, so that a refusal, or that there is nothing to do, is said at once.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lt_lightning.errors import SettingError
from lt_lightning.results.facts import look_up
from lt_lightning.results.grouping import flat_settings, show_setting
from lt_lightning.results.rounds import has_records
from lt_lightning.results.runs import read_description

if TYPE_CHECKING:
    from lt_lightning.config import Config
    from lt_lightning.results.rounds import Standing

_RESUME = re.compile(r"\+{0,2}resume=(.*)", re.DOTALL)

# What may change from one part of a run to the next: how long it goes on, where the data lies (whose fingerprint must
# be the same), and what Lightning says of it.
_FREE = frozenset(
    {
        "pruning.rounds", "data.path", "data.num_workers",
        *(
            f"trainer.{key}"
            for key in (
                "logger", "log_every_n_steps", "default_root_dir",
                "enable_progress_bar", "enable_model_summary", "enable_checkpointing",
            )
        ),
    }
)  # fmt: skip


def resumed_arguments(arguments: Sequence[str]) -> list[str]:
    """The command line of the run, or sweep, that `resume=FOLDER` names; what is said now counts instead of what was.

    Args:
        arguments: a command line without the program's name; without `resume=` it stays as it is.

    Raises:
        SettingError: if the folder is no run and no sweep, or its command cannot be read.
    """
    given = [_unquoted(match[1]) for argument in arguments if (match := _RESUME.fullmatch(argument))]
    now = [argument for argument in arguments if not _RESUME.fullmatch(argument)]
    if not given:
        return now
    if len(given) > 1 or given[0] in ("", "null"):
        raise SettingError("resume: give one run directory, outputs/<experiment>/<date>_<time>, or one sweep's folder")
    folder = Path(given[0])
    if not folder.is_dir():
        raise SettingError(
            f"resume: {folder}: no such folder; give a run directory, outputs/<experiment>/<date>_<time>"
        )
    is_sweep = (folder / "multirun.yaml").is_file()
    if not is_sweep and {"-m", "--multirun"} & set(now):
        raise SettingError(f"resume: {folder} is one run; leave out -m, or give the folder of a sweep")
    before = _swept(folder / "multirun.yaml") if is_sweep else _commanded(folder)
    before = [argument for argument in before if not _RESUME.fullmatch(argument)]
    said = {_key(argument) for argument in now}
    place = ["hydra.mode=MULTIRUN", f"hydra.sweep.dir={_quoted(folder)}"]
    if not is_sweep:
        place = ["hydra.mode=RUN", f"hydra.run.dir={_quoted(folder)}"]
    return [
        *(argument for argument in before if _key(argument) not in said),
        *now,
        *place,
        "hydra.output_subdir=null",  # what Hydra wrote there stays as it was
        f"resume={_quoted(folder)}",
    ]


def check_free(run: Path, key: str = "hydra.run.dir", folder: Path | None = None) -> None:
    """See that a directory holds no run yet: one run, one directory, and nothing in it is lost.

    Raises:
        SettingError: if it holds one, naming the setting that says where.
    """
    if (run / "run.json").exists():
        whole = folder or run
        raise SettingError(f"{key}: {run} holds a run already; go on with it by resume={whole}, or give another folder")


def how_to_go_on(folder: Path) -> str:
    """The command that goes on with a run or a sweep."""
    return f"go on with: python -m lt_lightning.train {shlex.quote(f'resume={near(folder)}')}"


def near(folder: Path) -> Path:
    """A path as people would type it here: relative, if it lies below the working directory."""
    whole = folder.absolute()
    return whole.relative_to(Path.cwd()) if whole.is_relative_to(Path.cwd()) else whole


def without_resume(overrides: Sequence[str]) -> list[str]:
    """The overrides that make the run, for the record."""
    return [override for override in overrides if not _RESUME.fullmatch(override)]


def is_begun(run: Path) -> bool:
    """Whether a directory holds the beginning of a run, and not just the note of the command that was to start it."""
    return (run / "run.json").exists() or has_records(run)


def describe_before(run: Path) -> tuple[Mapping[str, Any], str | None]:
    """What `run.json` says, or else `command` and `config` as Hydra noted them when the run began.

    Returns:
        The description, and what is wrong with `run.json`; None if nothing is.

    Raises:
        SettingError: if neither is there.
    """
    try:
        return read_description(run / "run.json"), None
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


def _quoted(folder: Path) -> str:
    """A path as Hydra's grammar takes it, whatever it holds."""
    return "'" + str(folder).replace("\\", "\\\\").replace("'", "\\'") + "'"


def _commanded(run: Path) -> list[str]:
    """The overrides that started a run."""
    if not (run / "run.json").exists() and not (run / ".hydra" / "overrides.yaml").exists():
        raise SettingError(f"resume: {run} is no run directory, it has no run.json; {_instead(run)}")
    command = describe_before(run)[0].get("command")
    if isinstance(command, list) and all(isinstance(argument, str) for argument in command):
        return command
    raise SettingError(f"{run / 'run.json'}: does not say what command started the run; restore it from a copy")


def _swept(path: Path) -> list[str]:
    """The overrides that started a sweep, without those that say where it lies."""
    recorded = _read_yaml(path)
    overrides = look_up(recorded, "hydra.overrides") if isinstance(recorded, Mapping) else None
    if not isinstance(overrides, Mapping) or not isinstance(overrides.get("task"), list):
        raise SettingError(f"{path}: does not say what command started the sweep; restore it from a copy")
    ours = ("hydra.mode", "hydra.sweep.dir", "hydra.output_subdir")
    of_hydra = [argument for argument in overrides.get("hydra") or [] if _key(str(argument)) not in ours]
    return [str(argument) for argument in (*overrides["task"], *of_hydra)]


def _read_yaml(path: Path, *, resolve: bool = False) -> Any:
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException
    from yaml import YAMLError

    try:
        return OmegaConf.to_container(OmegaConf.load(path), resolve=resolve)
    except (OSError, ValueError, YAMLError, OmegaConfBaseException) as error:
        raise SettingError(f"{path}: cannot be read ({str(error).splitlines()[0]}); restore it from a copy") from None


def _instead(folder: Path) -> str:
    first = min((path.parent for path in folder.glob("*/run.json")), default=None)
    return f"give one of the runs in it, e.g. {first}" if first else "give outputs/<experiment>/<date>_<time>"
