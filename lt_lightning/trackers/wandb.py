"""Log to Weights & Biases."""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import wandb
from pytorch_lightning.loggers import WandbLogger

from lt_lightning.config.trackers import WandbSettings
from lt_lightning.errors import first_line
from lt_lightning.trackers.base import RoundValues, RunFacts, SentFile, Tracker, TrackerError
from lt_lightning.trackers.marks import last_steps
from lt_lightning.trackers.reach import require_answer
from lt_lightning.trackers.wandb_file import read_history

_STEP = "trainer/global_step"
"""The axis that Lightning's logger for W&B has."""
_OFFLINE = "or keep the run on this machine by logger.offline=true"


class WandbTracker(Tracker[WandbLogger]):
    """Logs to a run of W&B; a sweep is a group.

    `ticket/…` has the density as its axis, `layers/…` the round, all else the optimizer steps of the run. Offline, a
    resumed run writes another file under the same id: `wandb sync --append`.
    """

    title = WandbSettings.title

    def __init__(self, settings: WandbSettings) -> None:
        self._settings = settings
        self._run: Any = None

    def open(self, facts: RunFacts) -> Mapping[str, Any]:
        """Begin the run, or go on with the one of the recorded id.

        Raises:
            TrackerError: there is no key, or the server does not answer or does not accept it.
        """
        given = self._settings
        mode = self._mode(facts)
        leave_other_service()
        if mode in ("online", "shared"):
            self._require_server()
        asked = given.project or (None if facts.project != facts.experiment else os.environ.get("WANDB_PROJECT"))
        project = asked or facts.project
        known = facts.known.get("id") if _is_there(facts.known, given.entity, project) else None
        identity = facts.named(given.id) if given.id else known or secrets.token_hex(4)
        self.goes_on = identity == known
        folder = Path(given.save_dir) if given.save_dir else facts.run
        folder.mkdir(parents=True, exist_ok=True)
        self._folders = {folder / "wandb", Path(facts.known.get("folder", folder / "wandb"))}
        try:
            self._run = wandb.init(
                project=project,
                entity=given.entity,
                name=facts.named(given.name),
                group=given.group or facts.group,
                job_type=given.job_type,
                tags=[*facts.tags, *given.tags],
                notes=given.notes,
                id=identity,
                resume="allow" if mode != "offline" else None,  # offline there is nothing to look up
                mode=mode,  # pyright: ignore[reportArgumentType]
                dir=str(folder),
                reinit="create_new",  # the run of another program in this process, such as a notebook's, stays open
                settings=wandb.Settings(console="off", silent=True, init_timeout=given.timeout),
            )
        except Exception as error:  # wandb has no common base of its errors
            raise TrackerError(
                f"the run cannot be opened ({first_line(error)}); check WANDB_API_KEY, the entity and the project, "
                f"{_OFFLINE}"
            ) from error
        self._run.define_metric(_STEP)
        self._run.define_metric("*", step_metric=_STEP, step_sync=True)
        for group, axis in (("ticket/*", "ticket/density"), ("layers/*", "ticket/round")):
            self._run.define_metric(axis, hidden=True)
            self._run.define_metric(group, step_metric=axis, step_sync=False)
        self.logger = WandbLogger(experiment=self._run, save_dir=str(folder), project=project)
        there = str((folder / "wandb").absolute())
        return {"id": self._run.id, "project": project, "entity": given.entity, "folder": there}

    def _mode(self, facts: RunFacts) -> str:
        if self._settings.mode is not None:
            return self._settings.mode
        offline = self._settings.offline if self._settings.offline is not None else facts.offline
        if offline is None:
            return {"dryrun": "offline"}.get(mode := os.environ.get("WANDB_MODE", "online"), mode)
        return "offline" if offline else "online"

    def _require_server(self) -> None:
        if not wandb.setup().settings.api_key and not wandb.login(prompt=False, verify=False):
            raise TrackerError(f"there is no API key; run `wandb login`, set WANDB_API_KEY, {_OFFLINE}")
        require_answer(wandb.setup().settings.base_url, f"check the network and WANDB_BASE_URL, {_OFFLINE}")

    @property
    def place(self) -> str:
        """Return the address of the run, or the folder of an offline one."""
        if not self._run.offline:
            return self._run.url or self._run.id
        folder = Path(self._run.settings.sync_dir)
        return f"{folder} (send it by: wandb sync --append {folder})"

    def logged(self) -> Mapping[str, int]:
        """Return what the server has, or offline the earlier files: W&B writes behind, and a kill loses some of it."""
        rows = [dict(self._run.summary)]
        if self._run.offline:
            own, places = Path(self._run.settings.sync_dir), {one.resolve() for one in self._folders}
            earlier = (path for one in places for path in one.glob(f"*/run-{self._run.id}.wandb"))
            earlier = (path for path in earlier if path.parent != own.resolve())
            rows = [row for path in earlier for row in read_history(path)]
        return last_steps(rows, _STEP)

    def log_round(self, values: RoundValues) -> None:
        """Log a round's values in one row, and the last of them as the run's summary."""
        self._run.log({**values.row, _STEP: values.step})

    def add_files(self, files: Sequence[SentFile], folder: Path) -> None:
        """Store the files as one artifact."""
        artifact = wandb.Artifact(f"run-{self._run.id}", type="lottery")
        for one in files:
            artifact.add_file(str(one.path), name="/".join(filter(None, (one.folder, one.path.name))))
        self._run.log_artifact(artifact)

    def close(self, status: str) -> None:
        """Send what is left; a run that was stopped goes on when it is resumed."""
        self._run.finish(exit_code=0 if status == "finished" else 1)


def _is_there(known: Mapping[str, Any], entity: str | None, project: str) -> bool:
    """Return whether a recorded run is in the project of today's settings."""
    return known.get("project") == project and known.get("entity") == entity


def leave_other_service() -> None:
    """Let W&B start a service in this process rather than use that of the program that started this one.

    A service takes a run that was killed for one in use. The variable holds the id of the process that set it.
    """
    if not re.match(rf"\d+-{os.getpid()}-", os.environ.get("WANDB_SERVICE", "")):
        os.environ.pop("WANDB_SERVICE", None)
