"""Open a run's trackers from its settings, and log its rounds and files to them. Rank 0 alone logs."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from hydra.errors import InstantiationException
from hydra.utils import get_class, instantiate
from omegaconf import OmegaConf
from pytorch_lightning.loggers import Logger
from pytorch_lightning.loggers.logger import DummyLogger

from lt_lightning.config.messages import explain_instantiation
from lt_lightning.config.schema import Config
from lt_lightning.config.trackers import SentTickets
from lt_lightning.errors import SettingError
from lt_lightning.experiment.resume.compare import SWEEP
from lt_lightning.experiment.tracker_record import mark_done, read_trackers, write_trackers
from lt_lightning.experiment.trainer import check_kinds
from lt_lightning.runs.description import Description
from lt_lightning.runs.formatting import flat_settings
from lt_lightning.runs.records import Record
from lt_lightning.runs.rounds import PlayedRound, ticket_path
from lt_lightning.runs.winners import is_winner
from lt_lightning.runtime.signals import interruption
from lt_lightning.trackers.base import RoundValues, RunFacts, SentFile, Tracker, round_values
from lt_lightning.trackers.objects import ObjectTracker
from lt_lightning.trackers.tracking import Tracking

_PAGES = ("report.html", "results.csv", "layers.csv", "epochs.csv", "run.json")


def open_tracking(
    config: Config, run: Path, description: Description, played: Sequence[PlayedRound], *, is_writer: bool
) -> Tracking:
    """Open the trackers of a run, and log its settings and the rounds that are over.

    Args:
        config: the settings.
        run: the run directory.
        description: that of the run.
        played: the rounds of a resumed run that are over.
        is_writer: whether this process logs; the others open nothing.

    Raises:
        SettingError: a tracker cannot be opened; what the others wrote for a new run is removed.
    """
    tracking = Tracking(run)
    makers = dict(_makers(config, run)) if is_writer else {}
    if not makers:
        return tracking
    settings, there = hyperparameters(description), set(run.iterdir())
    known = read_trackers(run) if description.resumed else {}
    places = config.logger.places(Path.cwd())
    try:
        for name, make in makers.items():
            found = tracking.open(name, make(), _facts(config, run, settings, description, known.get(name, {})))
            known[name] = {**found, "where": places.get(name)}
    except BaseException:
        tracking.close("failed")
        for path in set(run.iterdir()) - there:
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        raise
    write_trackers(run, known)
    tracking.begin(settings, [values_of_round(played[: place + 1]) for place in range(len(played))])
    return tracking


@contextmanager
def closed_on_error(tracking: Tracking) -> Iterator[None]:
    """End the run in the trackers as stopped or failed if the block raises."""
    try:
        yield
    except BaseException as error:
        tracking.close("stopped" if interruption(error) is not None else "failed")
        raise


def loggers_of(config: Config, run: Path, tracking: Tracking, *, is_writer: bool) -> list[Logger]:
    """Return the Lightning loggers for the Trainers; callbacks of all ranks ask whether there is one."""
    if is_writer:
        return tracking.loggers
    named: list[Logger] = [DummyLogger() for _ in config.logger.chosen()]
    return [*named, *(make() for make, _, _ in _objects(config, run).values())]


def steps_before(played: Sequence[PlayedRound]) -> int:
    """Return the optimizer steps of these rounds; runs of 0.4 have not recorded them."""
    return sum(one.record.steps or 0 for one in played)


def values_of_round(played: Sequence[PlayedRound]) -> RoundValues:
    """Return the values of the last of these rounds."""
    return round_values(played[-1].record, played[-1].layers, steps_before(played))


def finish_tracking(
    tracking: Tracking, config: Config, run: Path, compared: Sequence[Record], description: Description
) -> None:
    """Send the report, the tables and the tickets that `logger.tickets` asks for, and end the run in the trackers.

    Args:
        tracking: the trackers.
        config: the settings.
        run: the run directory.
        compared: the records of the rounds, behind that of the full network.
        description: that of the run.
    """
    metric, keep = description.metric_for(compared), config.logger.tickets
    chosen = {
        SentTickets.none: lambda record: False,
        SentTickets.all: lambda record: True,
        SentTickets.winners: lambda record: is_winner(record, compared[0], metric),
    }[keep]
    tickets = dict.fromkeys(ticket_path(run, one.round) for one in compared if chosen(one))
    files = [
        *(SentFile(run / name) for name in _PAGES if name != "run.json" or not holds_secrets(description)),
        *(SentFile(path, "figures") for path in sorted((run / "figures").glob("*.png")) if config.report),
        *(SentFile(path, "tickets") for path in tickets),
    ]
    tracking.add_files([one for one in files if one.path.exists()])
    if done := tracking.close("finished"):
        mark_done(run, done)


def _makers(config: Config, run: Path) -> Iterator[tuple[str, Callable[[], Tracker[Any]]]]:
    """Yield a factory for each tracker, behind the setting that chooses it."""
    for name, settings in config.logger.relative_to(Path.cwd()).chosen():
        yield f"logger.{name}", partial(_make, settings)
    for name, (make, target, given) in _objects(config, run).items():
        yield name, partial(ObjectTracker, make, target, given)


def _make(settings: Any) -> Tracker[Any]:
    module, _, name = settings.target.rpartition(".")
    return getattr(import_module(module), name)(settings)


def _objects(config: Config, run: Path) -> dict[str, tuple[Callable[..., Logger], type, Mapping[str, Any]]]:
    """Return a factory for each Lightning logger of `trainer.logger`, its class and its arguments."""
    given = config.trainer.logger
    if given is True:
        kind = "TensorBoardLogger" if find_spec("tensorboard") else "CSVLogger"
        folder = config.trainer.default_root_dir or str(run)
        given = {"_target_": f"pytorch_lightning.loggers.{kind}", "save_dir": folder}
    if isinstance(given, Mapping):
        return {"trainer.logger": _object(given, "trainer")}
    return {f"trainer.logger[{place}]": _object(one, "trainer", place) for place, one in enumerate(given or ())}


def _object(
    given: Mapping[str, Any], group: str, place: int | None = None
) -> tuple[Callable[..., Logger], type, Mapping[str, Any]]:
    def make(**more: Any) -> Logger:
        described = {**given, **more}
        content = {"logger": described if place is None else [{}] * place + [described]}
        try:
            made = instantiate(OmegaConf.create(content), _convert_="all")["logger"]
        except InstantiationException as error:
            raise SettingError(explain_instantiation(error, group)) from error
        check_kinds("logger", made if place is None else made[place:], Logger)
        return made if place is None else made[place]

    try:
        target = get_class(given["_target_"])
    except Exception:  # `make` raises with the reason; a function has no arguments to ask for
        target = Logger
    return make, target if issubclass(target, Logger) else Logger, given


def _facts(
    config: Config, run: Path, settings: Mapping[str, Any], description: Description, known: Mapping[str, Any]
) -> RunFacts:
    whole = run.absolute()
    sweep = next((folder for folder in list(whole.parents)[:4] if (folder / SWEEP).is_file()), None)
    shared = config.logger
    job = () if sweep is None else whole.relative_to(sweep).parts
    title = run.name if sweep is None else sweep.name
    return RunFacts(
        run=run,
        experiment=config.name.replace("/", "-"),
        title="-".join((shared.name or title, *job)),
        job=job,
        project=shared.project or config.name.replace("/", "-"),
        group=shared.group or (None if sweep is None else sweep.name),
        tags=(*shared.tags, *([f"debug-{config.debug_mode}"] if config.debug_mode else [])),
        offline=shared.offline,
        sweep=sweep,
        settings=settings,
        judged=f"ticket/{config.metric or f'test_{description.metric_for().key}'}",
        known=known,
    )


_SECRET = re.compile(r"(?i)api_?key|token$|password|passwd|secret|credential")
"""The names of settings whose values no tracker gets."""


def _is_secret(key: str) -> bool:
    return _SECRET.search(key.rpartition(".")[2]) is not None


def hyperparameters(description: Description) -> dict[str, Any]:
    """Return the settings by their full names, without those of trackers, and the network and corpus of the run."""
    settings = flat_settings(description.config.values)
    kept = {
        key: one
        for key, one in settings.items()
        if key.partition(".")[0] != "logger" and one is not None and not _is_secret(key)
    }
    found = {"network": description.network, "parameters": description.parameters, "corpus": description.corpus.name}
    return {**kept, **{f"run.{key}": one for key, one in found.items() if one is not None}}


def holds_secrets(description: Description) -> bool:
    """Return whether the settings hold a value that no tracker gets, or the account of an address."""
    settings = flat_settings(description.config.values).items()
    return any(one is not None and (_is_secret(key) or re.search(r"://[^/@\s]+@", str(one))) for key, one in settings)
