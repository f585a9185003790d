"""Log one run to all trackers: open them before round 0, follow its rounds and fits, and end them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
from pytorch_lightning.loggers import Logger
from pytorch_lightning.utilities.seed import isolate_rng

from lt_lightning.callbacks.hooks import only_its_own_hooks
from lt_lightning.errors import SettingError
from lt_lightning.storage.lock import STATE
from lt_lightning.trackers.base import RoundValues, RunFacts, SentFile, Tracker, TrackerError
from lt_lightning.trackers.guard import FILES, Guarded
from lt_lightning.trackers.marks import Marks

log = logging.getLogger(__name__)


class Tracking:
    """The open trackers of a run.

    Args:
        run: the run directory.

    Attributes:
        loggers: the Lightning loggers for the Trainers of all rounds.
    """

    def __init__(self, run: Path) -> None:
        self._run = run
        self._guarded: list[Guarded] = []
        self._round = 0
        self._first_step = 0
        self._last_step = 0
        self._density: Callable[[], float] = lambda: 1.0
        self._is_fitting = False
        self._earlier: Sequence[RoundValues] | None = None
        self._goes_on = False

    @property
    def loggers(self) -> list[Logger]:
        """Return the Lightning loggers of the trackers."""
        return [one.tracker.logger for one in self._guarded]

    @property
    def places(self) -> list[str]:
        """Return a line per tracker that says where its run is."""
        return [f"{one.tracker.title}: {one.tracker.place}" for one in self._guarded]

    def open(self, name: str, tracker: Tracker[Any], facts: RunFacts) -> Mapping[str, Any]:
        """Open a tracker under the name of its setting, and return the values by which its run can be found again.

        Raises:
            SettingError: it cannot be opened.
        """
        try:
            with isolate_rng():
                found = tracker.open(facts)
        except (TrackerError, OSError) as error:
            raise SettingError(f"{name}: {error}") from error
        path = self._run / STATE / f"logged_{name.replace('.', '_')}.json" if tracker.keeps_marks else None
        marks = Marks(path, fresh=not tracker.goes_on)
        self._goes_on = self._goes_on or tracker.goes_on
        if tracker.goes_on and (there := tracker.logged()) is not None:
            marks.replace(there)
        if facts.known and not tracker.goes_on:
            said = "%s: the run of before is not there; a new one gets all rounds, and the steps from now on: %s"
            log.warning(said, name, tracker.place)
        logger = tracker.logger
        guarded = Guarded(name, tracker, marks, logger.log_metrics, logger.log_hyperparams, logger.save)
        self._guarded.append(guarded)
        # Of the instance, not of the class: modules find the logger that they know, with its `experiment`.
        logger.log_metrics = partial(self._relay, guarded)  # pyright: ignore[reportAttributeAccessIssue]
        logger.log_hyperparams = guarded.log_hyperparams  # pyright: ignore[reportAttributeAccessIssue]
        logger.save = guarded.save
        logger.finalize = lambda status: None  # Trainers end a logger with each fit
        return found

    def begin(self, settings: Mapping[str, Any], earlier: Iterable[RoundValues]) -> None:
        """Log the hyperparameters, and of a resumed run the rounds that were not logged before it was interrupted."""
        self._earlier = list(earlier)
        for one in self._guarded:
            one.call(partial(one.tracker.log_settings, settings), "hyperparameters")
            for values in self._earlier:
                one.log_round(values)

    def follow_round(self, number: int, first_step: int, density: Callable[[], float]) -> list[pl.Callback]:
        """Prepare for a round's fit, and return the callbacks that its Trainer needs.

        Args:
            number: the round.
            first_step: the optimizer steps of the rounds before it.
            density: returns the share of entries alive.
        """
        self._round, self._first_step, self._density = number, first_step, density
        return [_FollowFit(self)] if self._guarded else []

    def end_round(self, values: RoundValues) -> None:
        """Log a round's values."""
        for one in self._guarded:
            one.log_round(values)

    def add_files(self, files: Sequence[SentFile]) -> None:
        """Store files."""
        for one in self._guarded:
            one.call(partial(one.tracker.add_files, files, self._run), FILES)

    def close(self, status: str) -> list[str]:
        """End the run in all trackers, and return the names of those that have all that they take.

        Args:
            status: `finished`, `stopped` or `failed`.
        """
        done = [one.name for one in self._guarded if one.close(status)]
        self._guarded = []
        return done

    def start_fit(self, steps: int) -> None:
        """Relay what is logged from now on; a resumed fit has made `steps` optimizer steps already."""
        self._is_fitting = True
        if self._earlier is not None:  # the first fit of this process
            first, rounds = self._first_step + steps, len(self._earlier)
            if rounds or steps or self._goes_on:
                for one in self._guarded:
                    one.call_once(partial(one.tracker.rewind, first, self._round), "the removal of earlier points")
            self._earlier = None

    def end_fit(self) -> None:
        """Stop relaying: later evaluations are measured for the records, and logged as the round ends."""
        self._is_fitting = False
        for one in self._guarded:
            one.save()

    def _relay(self, guarded: Guarded, metrics: Mapping[str, Any], step: int | None = None, *_: Any) -> None:
        """Log values with the round and the density, at a step of the whole run."""
        if not self._is_fitting:
            return
        self._last_step = self._last_step if step is None else self._first_step + step
        values = {key: value for key, value in metrics.items() if key != "epoch"}
        place = {
            "round": self._round,
            "density": self._density(),
            **({"epoch": metrics["epoch"]} if "epoch" in metrics else {}),
        }
        guarded.log(values, place, self._last_step)


@only_its_own_hooks
class _FollowFit(pl.Callback):
    """Let the trackers know when a fit trains. Stands first, so that no other callback logs before."""

    def __init__(self, tracking: Tracking) -> None:
        self._tracking = tracking

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Begin to relay; a checkpoint has been loaded."""
        self._tracking.start_fit(trainer.global_step)

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Stop relaying."""
        self._tracking.end_fit()
