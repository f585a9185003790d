"""Log to Trackio: SQLite files on this machine, a Space of the Hugging Face Hub, or a server."""

from __future__ import annotations

import contextlib
import io
import os
from argparse import Namespace
from collections.abc import Mapping
from typing import Any

from pytorch_lightning.loggers import Logger
from pytorch_lightning.utilities import rank_zero_only

from lt_lightning.config.trackers import TrackioSettings
from lt_lightning.errors import first_line
from lt_lightning.trackers.base import RoundValues, RunFacts, Tracker, TrackerError
from lt_lightning.trackers.marks import last_steps
from lt_lightning.trackers.reach import require_answer


class TrackioLogger(Logger):
    """A Lightning logger of a run of Trackio."""

    def __init__(self, run: Any) -> None:
        super().__init__()
        self.experiment = run

    @property
    def name(self) -> str:
        """Return the project."""
        return self.experiment.project

    @property
    def version(self) -> str:
        """Return the run's name."""
        return self.experiment.name

    @rank_zero_only
    def log_hyperparams(self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any) -> None:
        """Do nothing: the settings are given as the run begins."""

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Log values at a step."""
        self.experiment.log(dict(metrics), step=step)


class TrackioTracker(Tracker[TrackioLogger]):
    """Logs to a run of Trackio; a sweep is a group. `ticket/density` can be chosen as an axis on its page."""

    title = TrackioSettings.title

    def __init__(self, settings: TrackioSettings) -> None:
        self._settings = settings
        self._where = ""

    def open(self, facts: RunFacts) -> Mapping[str, Any]:
        """Begin the run, or go on with the one of the recorded name.

        Raises:
            TrackerError: the Space or the server cannot be reached, or Trackio refuses.
        """
        given = self._settings
        if given.save_dir:
            os.environ["TRACKIO_DIR"] = given.save_dir  # Trackio reads it as it is imported
        import trackio  # prints and opens files as it begins

        if given.server_url:
            require_answer(given.server_url, "start the server, or leave logger.trackio.server_url out")
        if given.space_id:
            hub = os.environ.get("HF_ENDPOINT", "https://huggingface.co")
            require_answer(hub, "check the network, or leave logger.trackio.space_id out")
        project = given.project or facts.project
        self.goes_on = self._is_there(facts.known, project)
        name = facts.known["name"] if self.goes_on else facts.named(given.name)
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                run = trackio.init(
                    project=project,
                    name=name,
                    group=given.group or facts.group,
                    space_id=given.space_id,
                    server_url=given.server_url,
                    config=dict(facts.settings),
                    resume="allow" if self.goes_on else "never",
                    embed=False,
                    auto_log_cpu=False,
                )
        except Exception as error:  # Trackio raises errors of many libraries
            raise TrackerError(f"the run cannot be opened ({first_line(error)}); correct logger.trackio") from error
        self.logger = TrackioLogger(run)
        self._where = given.space_id or given.server_url or f"project {project}, run {run.name}: trackio show"
        return {"project": project, "name": run.name, "space": given.where if given.is_remote else None}

    def _is_there(self, known: Mapping[str, Any], project: str) -> bool:
        """Return whether a recorded run is in a project of the place of today's settings."""
        if known.get("project") != project or (name := known.get("name")) is None:
            return False
        if self._settings.is_remote:
            return known.get("space") == self._settings.where
        # Not documented, as is what `logged` reads.
        from trackio.sqlite_storage import SQLiteStorage

        return SQLiteStorage.get_latest_run_record_by_name(project, name) is not None

    @property
    def place(self) -> str:
        """Return the Space, the server or the project."""
        return self._where

    def logged(self) -> Mapping[str, int] | None:
        """Return what the database on this machine has: Trackio writes from a queue, which a kill loses."""
        if self._settings.is_remote:
            return None
        # Not documented, as nothing public reads single values; a test kills a run and reads back what it resumed.
        from trackio.sqlite_storage import SQLiteStorage

        return last_steps(SQLiteStorage.get_logs(self.logger.name, self.logger.version), "step")

    def log_settings(self, settings: Mapping[str, Any]) -> None:
        """Do nothing: `open` gave them."""

    def log_round(self, values: RoundValues) -> None:
        """Log a round's values in one row, at the step where the round ended."""
        self.logger.experiment.log(values.row, step=values.step)

    def close(self, status: str) -> None:
        """Write or send what is left."""
        import trackio

        with contextlib.redirect_stdout(io.StringIO()):
            trackio.finish()  # not the run's own method, which Trackio would call again as the program ends
