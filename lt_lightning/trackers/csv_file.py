"""Log to one CSV file: a row per logged step, and a row per round."""

from __future__ import annotations

import csv
import io
from argparse import Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pytorch_lightning.loggers import Logger
from pytorch_lightning.utilities import rank_zero_only

from lt_lightning.config.trackers import CsvSettings
from lt_lightning.storage.atomic import write_whole
from lt_lightning.trackers.base import ROUND, RoundValues, RunFacts, Tracker, find_folder

FILE = "metrics.csv"


class CsvLogger(Logger):
    """A Lightning logger whose values of one step are one row, written as they come.

    Lightning's own deletes the file of an earlier process.

    Attributes:
        rows: the rows.
        is_stale: whether to write the whole file next, as rows before the last may not be there as they are here.
    """

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.path = folder / FILE
        self.rows: list[dict[str, float]] = []
        self._names: list[str] = []
        self.is_stale = False
        self._settled, self._end = 0, 0  # rows that change no more, and where the first of the others begins

    @property
    def name(self) -> str:
        """Return the name of the file."""
        return FILE

    @property
    def version(self) -> str:
        """Return an empty text: there is one version."""
        return ""

    @property
    def save_dir(self) -> str:
        """Return the folder."""
        return str(self.path.parent)

    @property
    def log_dir(self) -> str:
        """Return the folder."""
        return self.save_dir

    @rank_zero_only
    def log_hyperparams(self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any) -> None:
        """Do nothing: `run.json` has them."""

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Add values to the row of a step."""
        if self.rows and self.rows[-1]["step"] == step and ROUND not in self.rows[-1]:
            self.rows[-1].update(metrics)
        else:
            self.rows.append({"step": step or 0, **metrics})

    @rank_zero_only
    def save(self) -> None:
        """Write what is new: the file anew if there are new columns, else its last rows."""
        names = list(dict.fromkeys([*self._names, *(name for row in self.rows[self._settled :] for name in row)]))
        if names != self._names or self.is_stale or not self.path.exists():
            self._names, self.is_stale = names, True
            self._write_all()
        elif self.rows[self._settled :]:
            with self.path.open("r+b") as file:
                file.truncate(self._end)
                file.seek(self._end)
                *settled, last = (self._text([row]).encode() for row in self.rows[self._settled :])
                file.write(b"".join([*settled, last]))
            self._end += sum(map(len, settled))
            self._settled = len(self.rows) - 1

    def _write_all(self) -> None:
        """Write the file, whole or not at all."""
        text = ",".join(self._names) + "\n" + self._text(self.rows[:-1])
        self.path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(self.path, text, self._text(self.rows[-1:]))
        self._end, self._settled = len(text.encode()), max(0, len(self.rows) - 1)
        self.is_stale = False

    def _text(self, rows: Sequence[Mapping[str, float]]) -> str:
        text = io.StringIO()
        csv.DictWriter(text, self._names, lineterminator="\n").writerows(rows)
        return text.getvalue()

    def load(self) -> None:
        """Read the rows of an earlier process."""
        if self.path.exists():
            with self.path.open(encoding="utf-8", newline="") as file:
                rows = csv.DictReader(file)
                self.rows = [{name: _number(text) for name, text in row.items() if text} for row in rows]
            self._names = list(dict.fromkeys(name for row in self.rows for name in row))
            self.is_stale = True  # where its last row begins is not known


def _number(text: str) -> float:
    """Return the number that a text stands for, so that it is written the same again.

    >>> _number("42"), _number("1.0")
    (42, 1.0)
    """
    return int(text) if text.removeprefix("-").isdecimal() else float(text)


class CsvTracker(Tracker[CsvLogger]):
    """Logs to a CSV file in the run directory, or in a folder of the run's name elsewhere."""

    title = CsvSettings.title
    keeps_marks = False

    def __init__(self, settings: CsvSettings) -> None:
        self._settings = settings

    def open(self, facts: RunFacts) -> Mapping[str, Any]:
        """Read the rows of a resumed run."""
        folder, self.goes_on = find_folder(facts, "csv", self._settings.save_dir)
        self.logger = CsvLogger(folder)
        if self.goes_on:
            self.logger.load()
        return {"folder": str(folder)}

    @property
    def place(self) -> str:
        """Return the path of the file."""
        return str(self.logger.path)

    def rewind(self, step: int, rounds: int) -> None:
        """Remove rows that are logged again."""

        def stays(row: Mapping[str, float]) -> bool:
            return row[ROUND] < rounds if ROUND in row else row["step"] < step

        self.logger.rows = [row for row in self.logger.rows if stays(row)]
        self.logger.is_stale = True
        self.logger.save()

    def log_round(self, values: RoundValues) -> None:
        """Add a row and write the file."""
        if any(row.get(ROUND) == values.round for row in self.logger.rows):
            return
        self.logger.rows.append({"step": values.step, "round": values.round, **values.row})
        self.logger.save()

    def close(self, status: str) -> None:
        """Write the file."""
        self.logger.save()
