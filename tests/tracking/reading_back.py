"""Read back what trackers have stored, by their own readers."""

from __future__ import annotations

import csv
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

from lt_lightning.trackers.wandb_file import read_records

Points = dict[str, list[tuple[int, float]]]
"""Step and value of each point, by the value's name."""


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def read_events(folder: Path) -> Any:
    """TensorBoard's own accumulator of a folder."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder), size_guidance={"scalars": 0, "images": 0, "tensors": 0})
    events.Reload()
    return events


def scalars(folder: Path) -> Points:
    events = read_events(folder)
    return {tag: [(one.step, one.value) for one in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


def read_wandb(folder: Path) -> dict[str, Any]:
    """The records of offline runs below a folder, in the order of the files."""
    found: dict[str, Any] = {"history": [], "config": {}, "metrics": [], "files": [], "runs": [], "exit": []}
    for path in sorted(folder.rglob("run-*.wandb")):
        for record in read_records(path):
            kind = record.WhichOneof("record_type")
            if kind == "history":
                row = {one.key or "/".join(one.nested_key): json.loads(one.value_json) for one in record.history.item}
                found["history"].append(row)
            elif kind == "run":
                found["runs"].append(record.run)
                found["config"] |= {one.key: json.loads(one.value_json) for one in record.run.config.update}
            elif kind == "config":
                items = record.config.update
                found["config"] |= {one.key or "/".join(one.nested_key): json.loads(one.value_json) for one in items}
            elif kind == "metric":
                found["metrics"].append(record.metric)
            elif kind == "request" and record.request.WhichOneof("request_type") == "log_artifact":
                found["files"] += [one.path for one in record.request.log_artifact.artifact.manifest.contents]
            elif kind == "artifact":
                found["files"] += [one.path for one in record.artifact.manifest.contents]
            elif kind == "exit":
                found["exit"].append(record.exit.exit_code)
    return found


def wandb_points(history: list[dict[str, Any]], axis: str = "trainer/global_step") -> Points:
    points: Points = defaultdict(list)
    for row in history:
        for key, value in row.items():
            if key != axis and not key.startswith("_") and axis in row:
                points[key].append((row[axis], value))
    return dict(points)


def mlflow_points(uri: str, run_id: str) -> Points:
    from mlflow.tracking import MlflowClient

    client = MlflowClient(uri)
    keys = client.get_run(run_id).data.metrics
    return {key: [(one.step, one.value) for one in client.get_metric_history(run_id, key)] for key in keys}


def trackio_points(folder: Path, project: str) -> list[dict[str, Any]]:
    """The rows of a project's SQLite file in the order of their steps: `step`, and the logged values."""
    import sqlite3

    with sqlite3.connect(folder / f"{project}.db") as database:
        rows = database.execute("select step, metrics from metrics order by id").fetchall()
    return [{"step": step, **json.loads(values)} for step, values in rows]
