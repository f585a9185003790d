"""Log to MLflow."""

from __future__ import annotations

import json
import logging
import os
import time
from argparse import Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from filelock import FileLock
from mlflow.entities import Metric, Param, RunTag
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID
from pytorch_lightning.loggers import MLFlowLogger
from pytorch_lightning.utilities import rank_zero_only

from lt_lightning.config.trackers import MlflowSettings, without_account
from lt_lightning.errors import first_line
from lt_lightning.storage.atomic import write_whole
from lt_lightning.storage.lock import STATE
from lt_lightning.trackers.base import RoundValues, RunFacts, SentFile, Tracker, TrackerError
from lt_lightning.trackers.mlflow_names import mlflow_name
from lt_lightning.trackers.reach import require_answer

_LONGEST = 6_000
"""Characters of a parameter's value; MLflow refuses longer ones."""
_MOST = 100
"""Parameters that MLflow takes at once."""
_MOST_VALUES = 1_000
"""Values that MLflow takes at once."""
_STATUS = {"finished": "FINISHED", "stopped": "KILLED", "failed": "FAILED"}


class MlflowLogger(MLFlowLogger):
    """Lightning's logger for MLflow that translates names; Lightning's removes characters, so that names collide."""

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Log values at a step."""
        _log(self.experiment, self.run_id or "", metrics, step or 0)

    @rank_zero_only
    def log_hyperparams(self, params: dict[str, Any] | Namespace) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Log hyperparameters."""
        named = vars(params) if isinstance(params, Namespace) else params
        super().log_hyperparams({mlflow_name(str(key)): value for key, value in named.items()})


class MlflowTracker(Tracker[MLFlowLogger]):
    """Logs to a run of MLflow; the jobs of a sweep have a parent run.

    MLflow's only axis is a whole number: `ticket/…` and `layers/…` have the round as step, `by_density/…` the density
    in hundredths of a per cent. `mlflow_name` translates names that MLflow refuses.
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
            raise TrackerError(f"{self._shown} cannot be used ({first_line(error)}); correct tracking_uri") from error

    def _open(self, facts: RunFacts) -> Mapping[str, Any]:
        name = self._settings.experiment_name or facts.project
        known, parent = facts.known.get("run_id"), facts.known.get("parent")
        self.goes_on = facts.known.get("experiment") == name and self._is_there(known)
        if known is not None and self.goes_on:
            self._run, self._parent = known, parent if self._is_there(parent) else None
            self._client.update_run(self._run, status="RUNNING")
            experiment = self._client.get_run(self._run).info.experiment_id
        else:
            experiment = self._experiment(name)
            self._parent = None if facts.sweep is None else self._find_parent(facts, facts.sweep, experiment)
            given: Mapping[str, Any] = self._settings.tags or {}
            tags = {**dict.fromkeys(facts.tags, "true"), **{str(key): str(value) for key, value in given.items()}}
            tags = {mlflow_name(key): value for key, value in tags.items()}
            if self._parent is not None:
                tags[MLFLOW_PARENT_RUN_ID] = self._parent
            title = facts.named(self._settings.run_name)
            self._run = self._client.create_run(experiment, tags=tags, run_name=title).info.run_id
        if self._parent is not None:
            self._client.update_run(self._parent, status="RUNNING")
        self.logger = MlflowLogger(name, tracking_uri=self._uri, run_id=self._run)
        return {"run_id": self._run, "experiment": name, "parent": self._parent}

    def _is_there(self, run_id: str | None) -> bool:
        """Return whether the store has a run that is not deleted; a damaged record has no id."""
        if run_id is None:
            return False
        try:
            return self._client.get_run(run_id).info.lifecycle_stage == "active"
        except MlflowException as error:
            if error.get_http_status_code() in (400, 404):
                return False
            raise

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
                is_same = known.get("tracking_uri") == self._shown and known.get("experiment_id") == experiment
                if is_same and self._is_there(known.get("run_id")):
                    return known["run_id"]
            made = self._client.create_run(experiment, run_name=facts.group, tags={"lt_lightning.sweep": str(sweep)})
            known = {"run_id": made.info.run_id, "experiment_id": experiment, "tracking_uri": self._shown}
            write_whole(record, json.dumps(known) + "\n")
            return made.info.run_id

    @property
    def place(self) -> str:
        """Return the address of the store, and the run's id."""
        return f"{self._shown}, run {self._run}"

    @property
    def _shown(self) -> str:
        """Return the address of the store without the account."""
        return without_account(self._uri)

    def log_settings(self, settings: Mapping[str, Any]) -> None:
        """Log the hyperparameters that are not logged yet: MLflow refuses other values."""
        known = self._client.get_run(self._run).data.params
        named = {mlflow_name(key): str(value)[:_LONGEST] for key, value in settings.items()}
        params = [Param(key, value) for key, value in named.items() if key not in known]
        for first in range(0, len(params), _MOST):
            self._client.log_batch(self._run, params=params[first : first + _MOST])

    def log_round(self, values: RoundValues) -> None:
        """Log a round's values against the round, and the measured ones against the density."""
        for step, of_axis in values.axes:
            _log(self._client, self._run, of_axis, step)

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


def _log(client: MlflowClient, run: str, values: Mapping[str, float], step: int) -> None:
    """Log values at a step."""
    now = int(time.time() * 1000)
    metrics = [Metric(mlflow_name(key), float(value), now, step) for key, value in values.items()]
    for first in range(0, len(metrics), _MOST_VALUES):
        client.log_batch(run, metrics=metrics[first : first + _MOST_VALUES])
