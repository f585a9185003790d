"""Log to Lightning loggers of the user's own: the objects of `trainer.logger`."""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Callable, Mapping
from typing import Any

from pytorch_lightning.loggers import CSVLogger, Logger

from lt_lightning.trackers.base import RoundValues, RunFacts, Tracker

_NAMES = ("run_id", "version")
"""The arguments by which a logger goes on with a run, in the order in which they are tried."""


class ObjectTracker(Tracker[Logger]):
    """Logs to a Lightning logger: one for the whole run, so that its rounds are one version.

    A resumed run goes on in the same version if the logger's class takes one; Lightning's CSVLogger would delete the
    earlier rows, and gets a new version. One of another class, or with other arguments, begins anew.

    Args:
        make: makes the logger with further arguments.
        target: its class.
        given: the arguments that the user gave.
    """

    def __init__(self, make: Callable[..., Logger], target: type, given: Mapping[str, Any]) -> None:
        self._make = make
        self._target = target
        self._given = given
        self.title = target.__name__

    def open(self, facts: RunFacts) -> Mapping[str, Any]:
        """Make the logger."""
        more: dict[str, Any] = {}
        text = json.dumps([self._target.__qualname__, self._given], sort_keys=True, default=str)
        made_by = hashlib.sha256(text.encode()).hexdigest()[:16]  # the arguments may hold a secret
        self.goes_on = facts.known.get("made_by") == made_by
        known = facts.known.get("version") if self.goes_on else None
        takes = inspect.signature(self._target).parameters
        name = next((one for one in _NAMES if one in takes), None)
        if known is not None and name is not None and name not in self._given and self._target is not CSVLogger:
            more[name] = known
        self.logger = self._make(**more)
        self._log, self._finish = self.logger.log_metrics, self.logger.finalize  # before Trainers get others
        version = self.logger.version
        return {"version": version if isinstance(version, int | str) else None, "made_by": made_by}

    @property
    def place(self) -> str:
        """Return the logger's folder."""
        return str(self.logger.log_dir or self.logger.save_dir or self.logger.name)

    def log_round(self, values: RoundValues) -> None:
        """Log a round's values at the step where the round ended: a logger has one axis."""
        self._log(values.row, step=values.step)

    def close(self, status: str) -> None:
        """Finish the logger."""
        self._finish("success" if status == "finished" else "failed")
