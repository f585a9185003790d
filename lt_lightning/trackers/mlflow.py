"""Log to MLflow."""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from filelock import FileLock
from mlflow.entities import Metric, Param, RunTag
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID
from pytorch_lightning.loggers import MLFlowLogger

from lt_lightning.config.trackers import MlflowSettings
from lt_lightning.errors import first_line
from lt_lightning.storage.atomic import write_whole
from lt_lightning.storage.lock import STATE
from lt_lightning.trackers.base import RoundValues, RunFacts, SentFile, Tracker, TrackerError
from lt_lightning.trackers.reach import require_answer

_LONGEST = 6_000
"""Characters of a parameter's value; MLflow refuses longer ones."""
_MOST = 100
"""Parameters that MLflow takes at once."""
_STATUS = {"finished": "FINISHED", "stopped": "KILLED", "failed": "FAILED"}


class MlflowTracker(Tracker[MLFlowLogger]):
    """Logs to a run of MLflow; the jobs of a sweep have a parent run.

    MLflow's only axis is a whole number: `ticket/…` and `layers/…` have the round as step, `by_density/…` the density
    in hundredths of a per cent.
    """

    title = MlflowSettings.title
    is_by_row = False

    def __init__(self, settings: MlflowSettings) -> None:
        self._settings = settings
        self._uri = settings.tracking_uri or ""
        self._run = ""
        self._parent: str | None = None

    def open(self, facts: RunFacts) -> Mapping[str, Any]:
        """Begin the run, or go on with the recorded one.

        Raises:
            TrackerError: the server does not answer, or refuses.
        """
        # Its client would try for minutes, while the run waits.
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "20")
        for name in ("mlflow", "alembic"):
            logging.getLogger(name).setLevel(logging.WARNING)  # a line for each table of a new database
        require_answer(self._uri, "start the server, or give another logger.mlflow.tracking_uri")
        try:
            if self._uri.startswith("sqlite:///"):
                Path(self._uri.removeprefix("sqlite:///")).parent.mkdir(parents=True, exist_ok=True)
            self._client = MlflowClient(self._uri)
            return self._open(facts)
        except (MlflowException, OSError) as error:
            raise TrackerError(f"{self._uri} cannot be used ({first_line(error)}); correct tracking_uri") from error

    def _open(self, facts: RunFacts) -> Mapping[str, Any]:
        name = self._settings.experiment_name or facts.project
        if known := facts.known.get("run_id"):
            self._run, self._parent = known, facts.known.get("parent")
            self._client.update_run(self._run, status="RUNNING")
            experiment = self._client.get_run(self._run).info.experiment_id
        else:
            experiment = self._experiment(name)
            self._parent = None if facts.sweep is None else self._find_parent(facts, facts.sweep, experiment)
            given: Mapping[str, Any] = self._settings.tags or {}
            tags = {**dict.fromkeys(facts.tags, "true"), **{key: str(value) for key, value in given.items()}}
            if self._parent is not None:
                tags[MLFLOW_PARENT_RUN_ID] = self._parent
            title = self._settings.run_name or facts.title
            self._run = self._client.create_run(experiment, tags=tags, run_name=title).info.run_id
        if self._parent is not None:
            self._client.update_run(self._parent, status="RUNNING")
        self.logger = MLFlowLogger(name, tracking_uri=self._uri, run_id=self._run)
        return {"run_id": self._run, "experiment_id": experiment, "parent": self._parent, "tracking_uri": self._uri}

    def _experiment(self, name: str) -> str:
        """Return the id of an experiment, created if it is new; other jobs may create it at the same time."""
        found = self._client.get_experiment_by_name(name)
        if found is None:
            try:
                return self._client.create_experiment(name, self._artifacts())
            except MlflowException:
                found = self._client.get_experiment_by_name(name)
                if found is None:
                    raise
        if found.lifecycle_stage == "deleted":
            raise MlflowException(f"the experiment {name} is deleted there; restore it, or choose logger.project")
        return found.experiment_id

    def _artifacts(self) -> str | None:
        """Return where a new experiment keeps files: of a SQLite file beside it, else as the server says."""
        given = self._settings.artifact_location
        if given is None and self._uri.startswith("sqlite:///"):
            return (Path(self._uri.removeprefix("sqlite:///")).parent / "mlflow_artifacts").absolute().as_uri()
        return given

    def _find_parent(self, facts: RunFacts, sweep: Path, experiment: str) -> str:
        """Return the id of the sweep's run, created by the job that comes first."""
        (sweep / STATE).mkdir(exist_ok=True)
        record = sweep / STATE / "mlflow.json"
        with FileLock(sweep / STATE / "mlflow.lock"):
            if record.exists():
                known = json.loads(record.read_text(encoding="utf-8"))
                if known.get("tracking_uri") == self._uri and known.get("experiment_id") == experiment:
                    return known["run_id"]
            made = self._client.create_run(experiment, run_name=facts.group, tags={"lt_lightning.sweep": str(sweep)})
            known = {"run_id": made.info.run_id, "experiment_id": experiment, "tracking_uri": self._uri}
            write_whole(record, json.dumps(known) + "\n")
            return made.info.run_id

    @property
    def place(self) -> str:
        """Return the address of the store, and the run's id."""
        return f"{self._uri}, run {self._run}"

    def log_settings(self, settings: Mapping[str, Any]) -> None:
        """Log the hyperparameters that are not logged yet: MLflow refuses other values."""
        known = self._client.get_run(self._run).data.params
        params = [Param(key, str(value)[:_LONGEST]) for key, value in settings.items() if key not in known]
        for first in range(0, len(params), _MOST):
            self._client.log_batch(self._run, params=params[first : first + _MOST])

    def log_round(self, values: RoundValues) -> None:
        """Log a round's values against the round, and the measured ones against the density."""
        now = int(time.time() * 1000)
        metrics = [Metric(key, value, now, step) for step, of_axis in values.axes for key, value in of_axis.items()]
        for first in range(0, len(metrics), 1000):
            self._client.log_batch(self._run, metrics=metrics[first : first + 1000])

    def add_files(self, files: Sequence[SentFile], folder: Path) -> None:
        """Store the files as artifacts."""
        for one in files:
            self._client.log_artifact(self._run, str(one.path), one.folder or None)

    def close(self, status: str) -> None:
        """End the run; the sweep's run ends with its last job."""
        self._client.set_terminated(self._run, _STATUS[status])
        if self._parent is not None:
            self._client.log_batch(self._parent, tags=[RunTag("lt_lightning.last_job", self._run)])
            self._client.set_terminated(self._parent, "FINISHED")
