"""Log to TensorBoard's event files: one folder per run."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers import TensorBoardLogger

from lt_lightning.config.trackers import TensorBoardSettings
from lt_lightning.trackers.base import RoundValues, RunFacts, SentFile, Tracker, find_folder


class TensorBoardTracker(Tracker[TensorBoardLogger]):
    """Logs to event files in the run directory, or in a folder of the run's name elsewhere.

    TensorBoard's only axis is the step. `ticket/…` and `layers/…` have the round as step, `by_density/…` the density in
    hundredths of a per cent.
    """

    title = TensorBoardSettings.title
    keeps_marks = False
    is_by_row = False

    def __init__(self, settings: TensorBoardSettings) -> None:
        self._settings = settings
        self._judged = ""
        self._logged: dict[int, RoundValues] = {}

    def open(self, facts: RunFacts) -> Mapping[str, Any]:
        """Begin another event file in the run's folder."""
        folder, self.goes_on = find_folder(facts, "tensorboard", self._settings.save_dir)
        self.logger = TensorBoardLogger(
            folder, name="", version="", default_hp_metric=False, flush_secs=self._settings.flush_secs
        )
        self._judged = facts.judged
        _ = self.logger.experiment  # creates the file
        return {"folder": str(folder)}

    @property
    def place(self) -> str:
        """Return the folder."""
        return os.path.normpath(self.logger.log_dir)

    def log_settings(self, settings: Mapping[str, Any]) -> None:
        """Log the hyperparameters beside the value that judges the run."""
        from torch.utils.tensorboard.summary import hparams

        plain = {key: one if isinstance(one, bool | int | float | str) else str(one) for key, one in settings.items()}
        for summary in hparams(plain, {self._judged: math.nan}):
            self.logger.experiment._get_file_writer().add_summary(summary)  # as SummaryWriter.add_hparams does

    def rewind(self, step: int, rounds: int) -> None:
        """Let readers drop all points from a step on, as `SummaryWriter(purge_step=…)` does for a new writer.

        A reader drops the points of all tags: those of rounds are logged again.
        """
        from tensorboard.compat.proto.event_pb2 import Event, SessionLog  # pyright: ignore[reportAttributeAccessIssue]

        writer = self.logger.experiment._get_file_writer()
        writer.add_event(Event(step=step, session_log=SessionLog(status=SessionLog.START)))
        for values in [one for one in self._logged.values() if one.round < rounds]:
            self._write(values, least=step)

    def log_round(self, values: RoundValues) -> None:
        """Log a round's values unless an earlier process did."""
        known = values.round in self._logged or values.round in self._earlier()
        self._logged[values.round] = values
        if not known:
            self._write(values, least=-1)
            self.logger.experiment.flush()

    def _earlier(self) -> set[int]:
        """Return the rounds that are in the folder's files already."""
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

        if not hasattr(self, "_found"):
            self.logger.experiment.flush()
            events = EventAccumulator(self.place, size_guidance={"scalars": 0})
            events.Reload()
            tag = "ticket/density"
            self._found = {one.step for one in events.Scalars(tag)} if tag in events.Tags()["scalars"] else set()
        return self._found

    def _write(self, values: RoundValues, least: int) -> None:
        """Write the values of a round at steps from `least` on."""
        for step, of_axis in values.axes:
            for name, value in of_axis.items() if step >= least else ():
                self.logger.experiment.add_scalar(name, value, step)

    def add_files(self, files: Sequence[SentFile], folder: Path) -> None:
        """Show the figures as images, and the table of rounds as text."""
        from matplotlib.image import imread

        writer = self.logger.experiment
        for path in sorted((folder / "figures").glob("*.png")):
            writer.add_image(f"figures/{path.stem}", imread(path)[..., :3], dataformats="HWC")
        lines = (folder / "results.csv").read_text(encoding="utf-8").splitlines()
        rows = ["|" + "|".join(line.split(",")) + "|" for line in lines]
        writer.add_text("results", "\n".join([rows[0], "|---" * len(lines[0].split(",")) + "|", *rows[1:]]))

    def close(self, status: str) -> None:
        """Write what is left and close the file."""
        self.logger.experiment.close()
