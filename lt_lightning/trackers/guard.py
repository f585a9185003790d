"""Call one tracker so that it cannot stop the run, change its random numbers, or get a point twice."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from pytorch_lightning.utilities.seed import isolate_rng

from lt_lightning.errors import first_line
from lt_lightning.trackers.base import ROUND, RoundValues, Tracker
from lt_lightning.trackers.failures import is_refusal
from lt_lightning.trackers.marks import Marks

log = logging.getLogger(__name__)

_MOST = 100_000
"""Calls that are kept for a tracker that fails."""
_PAUSE = 60.0
"""Seconds between tries at least."""
_SHARE = 10
"""The pause is so many times longer than the last try: a client may wait for its server each time."""
_TRIES = 5
"""Tries of a call while other calls succeed."""
_IN_A_ROW = 3
"""Failures in a row that end a try."""
_NAMED = 5
"""Values, or calls, that a warning names."""
FILES = "files of the run"
"""The name of the files in a warning; a tracker that lacks them is sent them again when the run is resumed."""


@dataclass(eq=False)
class _Call:
    """A call of a tracker.

    Attributes:
        action: makes the call.
        subject: names its values in a warning.
        failures: the number of tries in which it failed while others succeeded.
    """

    action: Callable[[], object]
    subject: str
    failures: int = 0


class Guarded:
    """A tracker whose failures are warnings.

    A call that fails as its connection does is kept, and tried again at most once a minute and as the run ends. A call
    that the tracker refuses is dropped, as is one that keeps failing while others succeed.

    Args:
        name: the setting that chooses the tracker.
        tracker: an open tracker.
        marks: the points that it has.
        log_step: its Lightning logger's own `log_metrics`.
        log_settings: its Lightning logger's own `log_hyperparams`.
        save: its Lightning logger's own `save`.
    """

    def __init__(
        self,
        name: str,
        tracker: Tracker[Any],
        marks: Marks,
        log_step: Callable[..., object],
        log_settings: Callable[..., object],
        save: Callable[[], object],
    ) -> None:
        self.name = name
        self.tracker = tracker
        self._marks = marks
        self._log_step = log_step
        self._log_settings = log_settings
        self._save = save
        self._settings: set[str] = set()
        self._waiting: list[_Call] = []
        self._dropped: list[str] = []
        self._lost = 0
        self._next_try = 0.0
        self._has_warned = False

    def log(self, values: Mapping[str, Any], place: Mapping[str, Any], step: int) -> None:
        """Log values of the training at a step of the run, with the `place` that it is at: round, density and epoch."""
        if new := self._marks.new(values, step):
            row = {**new, **(place if self.tracker.is_by_row else self._marks.new(place, step))}
            subject = f"{_name_some(new)} at step {step}"
            self.call(lambda: self._log_step(row, step), subject, lambda: self._mark(row, step))

    def log_hyperparams(self, *given: Any, **named: Any) -> None:
        """Log hyperparameters, once: a Trainer logs those of its module as each fit begins."""
        known = repr((given, named))
        if known not in self._settings:
            self._settings.add(known)
            self.call(lambda: self._log_settings(*given, **named), "hyperparameters")

    def save(self) -> None:
        """Let the logger write its values, unless it fails already."""
        if not self._waiting:
            self.call(self._save, "values that it had not written")

    def log_round(self, values: RoundValues) -> None:
        """Log the values of a round."""
        mark = {ROUND: values.round}
        if self._marks.new(mark, values.round):
            done = lambda: self._mark(mark, values.round)  # noqa: E731
            self.call(lambda: self.tracker.log_round(values), f"the values of round {values.round}", done)

    def call(self, action: Callable[[], object], subject: str, after: Callable[[], object] = lambda: None) -> None:
        """Run an action on the tracker, and `after` if it succeeds; `subject` names the values for a warning."""

        def both() -> None:
            action()
            after()

        if len(self._waiting) == _MOST:
            self._lost += 1
        else:
            self._waiting.append(_Call(both, subject))
        if len(self._waiting) == 1 or time.monotonic() >= self._next_try:
            self.retry()

    def call_once(self, action: Callable[[], object], subject: str) -> None:
        """Run an action before those that are waiting; it is not tried again."""
        if (error := self._run(action)) is not None:
            self._drop(subject, error)

    def retry(self) -> None:
        """Make the calls that are waiting, in their order; those that failed while others succeeded come last.

        After two failures in a row the latest call is next: it shows whether the tracker or single calls are at fault.
        Stop if it fails, too.
        """
        calls, self._waiting = sorted(self._waiting, key=lambda one: one.failures), []
        rest, done, failed = deque(calls), set[_Call](), list[tuple[_Call, Exception]]()
        started, in_a_row, has_worked = time.monotonic(), 0, False
        try:
            while rest and in_a_row < _IN_A_ROW:
                one = rest.pop() if in_a_row == _IN_A_ROW - 1 else rest.popleft()
                error = self._run(one.action)
                if error is None:
                    in_a_row, has_worked = 0, True
                    done.add(one)
                elif is_refusal(error):
                    done.add(one)
                    self._drop(one.subject, error)
                else:
                    in_a_row += 1
                    failed.append((one, error))
                    self._warn_of_outage(error)
            for one, error in failed if has_worked else ():
                one.failures += 1
                if one.failures == _TRIES:
                    done.add(one)
                    self._drop(one.subject, error)
        finally:  # a signal may stop a call
            self._waiting = [*(one for one in calls if one not in done), *self._waiting]
        now = time.monotonic()
        self._next_try = now + max(_PAUSE, _SHARE * (now - started))
        if len(calls) > 1 and not self._waiting:
            log.info("%s works again", self.tracker.title)

    def close(self, status: str) -> bool:
        """End the run there, and return whether the tracker has the files, and all else but what it refused."""
        self.retry()
        title, error = self.tracker.title, self._run(lambda: self.tracker.close(status))
        if error is not None:
            log.warning("logger: %s cannot end the run (%s)", title, first_line(error))
        if lost := len(self._waiting) + self._lost:
            said = "%s: %d calls were not logged (%s); the run directory has all results"
            log.warning(said, title, lost, _name_some([one.subject for one in self._waiting] or ["the latest"]))
        if len(self._dropped) > 1:
            said = "%s: %d calls were refused: %s; the run directory has all results"
            log.warning(said, title, len(self._dropped), _name_some(self._dropped))
        return error is None and not lost and FILES not in self._dropped

    def _run(self, action: Callable[[], object]) -> Exception | None:
        """Run an action, and return its error: a tracker may raise anything, and the run goes on."""
        try:
            with isolate_rng():
                action()
        except Exception as error:
            return error
        return None

    def _drop(self, subject: str, error: Exception) -> None:
        """Note a call that is not made, and warn of the first."""
        self._dropped.append(subject)
        if len(self._dropped) == 1:
            said = "logger: %s refuses %s (%s); the run goes on without, and its directory has all results"
            log.warning(said, self.tracker.title, subject, first_line(error))

    def _warn_of_outage(self, error: Exception) -> None:
        """Warn of the first call that is tried again."""
        if not self._has_warned:
            said = "logger: %s does not take the run's values (%s); the run goes on, and tries again"
            log.warning(said, self.tracker.title, first_line(error))
        self._has_warned = True

    def _mark(self, values: Mapping[str, Any], step: int) -> None:
        with suppress(OSError):  # a full disk stops the run where it writes its results
            self._marks.set(values, step)


def _name_some(names: Iterable[str]) -> str:
    """Return the first of some names.

    >>> _name_some("abcdefg")
    'a, b, c, d, e, …'
    """
    first = list(names)
    return ", ".join([*first[:_NAMED], *(["…"] if len(first) > _NAMED else [])])
