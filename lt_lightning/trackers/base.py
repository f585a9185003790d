"""Define the interface of a tracker, the facts about a run that it is opened with, and the values of a round."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, Generic, TypeVar

from pytorch_lightning.loggers import Logger

from lt_lightning.runs.records import LayerRecord, Record

Values = Mapping[str, float]
Own = TypeVar("Own", bound=Logger)
"""The class of a tracker's Lightning logger."""

ROUND = "ticket/round"
"""The number of a round among its values."""

_UNIT = 10_000
"""Steps of a whole density, where a tracker's only other axis is of whole numbers: 115 is 1.15 %."""

_NOT_MEASURED = frozenset({"round", "logged"})


class TrackerError(Exception):
    """A tracker cannot be opened; the message is the fault and the remedy."""


@dataclass(frozen=True)
class RunFacts:
    """The facts about a run that trackers are opened with.

    Attributes:
        run: the run directory.
        experiment: the name of the experiment.
        title: the name of the run for people; of a sweep's job with its number.
        job: the folders from that of the sweep to that of its job; empty outside of a sweep.
        project: the project that the user asks for, or the experiment's name.
        group: the group that the user asks for, else the name of the sweep; None outside of one.
        tags: words to find the run by.
        offline: whether nothing may be sent; None where a tracker's own setting decides.
        sweep: the folder of the sweep that the run is a job of.
        settings: the hyperparameters by their full names.
        judged: the value of a round that counts, such as `ticket/test_acc`.
        known: what the tracker recorded when the run was open before; empty for a new run, and for a new tracker.
    """

    run: Path
    experiment: str
    title: str
    job: tuple[str, ...]
    project: str
    group: str | None
    tags: tuple[str, ...]
    offline: bool | None
    sweep: Path | None
    settings: Mapping[str, Any]
    judged: str
    known: Mapping[str, Any]

    def named(self, given: str | None) -> str:
        """Return the name that a user gives runs in one tracker, of a sweep's job with its number; else the title."""
        return self.title if given is None else "-".join((given, *self.job))


@dataclass(frozen=True)
class RoundValues:
    """The values of a round that is over.

    Attributes:
        round: its number.
        step: the optimizer steps of the run up to its end.
        ticket: the values of its ticket, such as `ticket/test_acc`, with `ticket/density` and `ticket/round`.
        layers: the density of each parameter, as `layers/NAME`.
    """

    round: int
    step: int
    ticket: Values
    layers: Values

    @property
    def row(self) -> dict[str, float]:
        """Return all values."""
        return {**self.ticket, **self.layers}

    @property
    def axes(self) -> tuple[tuple[int, Values], tuple[int, Values]]:
        """Return the values with their places on a tracker's axis of whole numbers.

        All values are at the round. The measured ones are also, as `by_density/NAME`, at the density in hundredths of a
        per cent.
        """
        measured = ("ticket/test_", "ticket/valid_", "ticket/train_")
        curve = {
            name.replace("ticket/", "by_density/"): value
            for name, value in self.ticket.items()
            if name.startswith(measured)
        }
        return (self.round, self.row), (round(_UNIT * self.ticket["ticket/density"]), curve)


def round_values(record: Record, layers: Sequence[LayerRecord], step: int) -> RoundValues:
    """Return the values of a round from its records; values that were not measured are left out."""
    measured = {**{key: value for key, value in vars(record).items() if key not in _NOT_MEASURED}, **record.logged}
    numbers = {key: value for key, value in measured.items() if value is not None and not math.isnan(value)}
    ticket = {ROUND: record.round, "ticket/density": record.density}
    return RoundValues(
        record.round,
        step,
        {**ticket, **{f"ticket/{key}": value for key, value in numbers.items()}},
        {f"layers/{one.parameter}": one.density for one in layers},
    )


@dataclass(frozen=True)
class SentFile:
    """A file of the run that trackers with a store of files get; `folder` is its folder there, empty for none."""

    path: Path
    folder: str = ""


def find_folder(facts: RunFacts, name: str, given: str | None) -> tuple[Path, bool]:
    """Return the folder for a tracker's files, and whether an earlier process of the run wrote files there.

    Args:
        facts: those of the run; `known` may hold the `folder` of before, which may have moved with the run.
        name: the folder's name in the run directory.
        given: the folder of the settings, in which each run gets one of its own; None for the run directory.

    Raises:
        OSError: the folder cannot be created.
    """
    before = None if facts.known.get("folder") is None else Path(facts.known["folder"])
    if given is None:
        return facts.run / name, before is not None and (facts.run / name).is_dir()
    base, title = Path(given) / facts.experiment, facts.title.replace("/", "-")
    if before is not None and (same := base / before.name).is_dir() and (same == before or not before.exists()):
        return same, True
    folders = (base / (title if number == 1 else f"{title}-{number}") for number in count(1))
    return next(folder for folder in folders if _is_created(folder)), False


def _is_created(folder: Path) -> bool:
    """Create a folder, and return whether it was missing."""
    try:
        folder.mkdir(parents=True)
    except FileExistsError:  # of another run
        return False
    return True


class Tracker(ABC, Generic[Own]):
    """Logs one run to one place.

    Its methods may raise anything; `Tracking` calls them on rank 0 alone and reports failures.

    Attributes:
        title: its name for people.
        logger: the Lightning logger that Trainers get; set by `open`.
        goes_on: whether `open` found the run that an earlier process logged to.
        keeps_marks: whether it cannot take points back, so that those logged before an interruption are left out.
        is_by_row: whether values that are logged together stay together; otherwise each has a curve of its own.
    """

    title: str
    logger: Own
    goes_on: bool = False
    keeps_marks: bool = True
    is_by_row: bool = True

    @abstractmethod
    def open(self, facts: RunFacts) -> Mapping[str, Any]:
        """Begin or go on with the run there, and return plain values by which it can be found again.

        A run that is not at the place of today's settings begins there anew.

        Raises:
            TrackerError: the tracker cannot be reached.
        """

    @property
    @abstractmethod
    def place(self) -> str:
        """Return where people find the run: a path, or an address."""

    def logged(self) -> Mapping[str, int] | None:
        """Return the last step of each value that is there, and of `ticket/round` the last round; None if unknown."""
        return None

    def log_settings(self, settings: Mapping[str, Any]) -> None:
        """Log the hyperparameters."""
        self.logger.log_hyperparams(dict(settings))

    def rewind(self, step: int, rounds: int) -> None:
        """Take back points at this optimizer step of the run and later, and those of rounds from this number on."""

    @abstractmethod
    def log_round(self, values: RoundValues) -> None:
        """Log the values of a round."""

    def add_files(self, files: Sequence[SentFile], folder: Path) -> None:
        """Store files of the run directory `folder`; a tracker without a store of files does nothing."""

    @abstractmethod
    def close(self, status: str) -> None:
        """End the run there: `finished`, `stopped` by a signal and to be resumed, or `failed`."""
