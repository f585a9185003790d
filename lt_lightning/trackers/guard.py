"""Call one tracker so that it cannot stop the run, change its random numbers, or get a point twice."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from pytorch_lightning.utilities.seed import isolate_rng

from lt_lightning.errors import first_line
from lt_lightning.trackers.base import ROUND, RoundValues, Tracker
from lt_lightning.trackers.marks import Marks

log = logging.getLogger(__name__)

_MOST = 100_000
"""Calls that are kept for a tracker that fails."""
_PAUSE = 60.0
"""Seconds between tries; a client may wait for its server each time."""


class Guarded:
    """A tracker whose failures are one warning.

    What it could not take is kept, and tried again at most once a minute and as the run ends.

    Args:
        tracker: an open tracker.
        marks: the points that it has.
        log_step: its Lightning logger's own `log_metrics`.
        log_settings: its Lightning logger's own `log_hyperparams`.
        save: its Lightning logger's own `save`.
    """

    def __init__(
        self,
        tracker: Tracker[Any],
        marks: Marks,
        log_step: Callable[..., object],
        log_settings: Callable[..., object],
        save: Callable[[], object],
    ) -> None:
        self.tracker = tracker
        self._marks = marks
        self._log_step = log_step
        self._log_settings = log_settings
        self._save = save
        self._settings: set[str] = set()
        self._missed: list[Callable[[], object]] = []
        self._lost = 0
        self._tried = 0.0

    def log(self, values: Mapping[str, Any], place: Mapping[str, Any], step: int) -> None:
        """Log values of the training at a step of the run, with the `place` that it is at: round, density and epoch."""
        if new := self._marks.new(values, step):
            row = {**new, **(place if self.tracker.is_by_row else self._marks.new(place, step))}
            self.call(lambda: self._log_step(row, step), lambda: self._mark(row, step))

    def log_hyperparams(self, *given: Any, **named: Any) -> None:
        """Log hyperparameters, once: a Trainer logs those of its module as each fit begins."""
        known = repr((given, named))
        if known not in self._settings:
            self._settings.add(known)
            self.call(lambda: self._log_settings(*given, **named))

    def save(self) -> None:
        """Let the logger write what it has, unless it fails already."""
        if not self._missed:
            self._try(self._save)

    def log_round(self, values: RoundValues) -> None:
        """Log the values of a round."""
        mark = {ROUND: values.round}
        if self._marks.new(mark, values.round):
            self.call(lambda: self.tracker.log_round(values), lambda: self._mark(mark, values.round))

    def call(self, action: Callable[[], object], after: Callable[[], object] = lambda: None) -> None:
        """Run an action on the tracker, and `after` if it succeeded."""

        def both() -> None:
            action()
            after()

        if self._missed:
            self._keep(both)
            if time.monotonic() - self._tried > _PAUSE:
                self.retry()
            return
        self._try(both)

    def retry(self) -> None:
        """Try again what failed; stop at the first failure."""
        missed, self._missed = self._missed, []
        for place, one in enumerate(missed):
            if not self._try(one):
                self._missed += missed[place + 1 :]
                return
        if missed:
            log.info("%s works again", self.tracker.title)

    def close(self, status: str) -> None:
        """End the run there; warn of what it did not get."""
        self.retry()
        with isolate_rng():
            try:
                self.tracker.close(status)
            except Exception as error:
                self._warn(error)
        if lost := len(self._missed) + self._lost:
            log.warning("%s: %d calls were not logged; the run directory has all results", self.tracker.title, lost)

    def _try(self, action: Callable[[], object]) -> bool:
        try:
            with isolate_rng():
                action()
        except Exception as error:  # a tracker may raise anything, and the run goes on
            if not self._tried:
                self._warn(error)
            self._tried = time.monotonic()
            self._keep(action)
            return False
        return True

    def _keep(self, action: Callable[[], object]) -> None:
        if len(self._missed) < _MOST:
            self._missed.append(action)
        else:
            self._lost += 1

    def _warn(self, error: BaseException) -> None:
        log.warning(
            "logger: %s does not take the run's values (%s); the run goes on, and tries again",
            self.tracker.title,
            first_line(error),
        )

    def _mark(self, values: Mapping[str, Any], step: int) -> None:
        with suppress(OSError):  # a full disk stops the run where it writes its results
            self._marks.set(values, step)
