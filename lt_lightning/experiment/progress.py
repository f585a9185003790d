"""Show the rounds while they run: a table that grows by a row per round and, on a terminal, a progress bar."""

from __future__ import annotations

import errno
import logging
import os
import time
from collections.abc import Sequence
from typing import Any, Protocol

import pytorch_lightning as pl
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from lt_lightning.callbacks.hooks import only_its_own_hooks
from lt_lightning.runs.branch import Plan
from lt_lightning.runs.columns import Column
from lt_lightning.runs.formatting import name_rounds
from lt_lightning.runs.metrics import ACCURACY, Metric
from lt_lightning.runs.records import LayerRecord, Record
from lt_lightning.runs.terminal import (
    fitting_columns,
    parameter_table,
    round_columns,
    round_header,
    round_line,
    round_row,
)
from lt_lightning.runtime.signals import stop_if_asked
from lt_lightning.runtime.terminal import escape

log = logging.getLogger(__name__)

REFRESH_SECONDS = 0.2


class Screen(Console):
    """A console that raises when its reader closes the pipe; Rich would end the program silently."""

    def on_broken_pipe(self) -> None:
        """Raise a BrokenPipeError."""
        raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))


class FitDisplay(Protocol):
    """Shows how far a fit is, and prints lines."""

    def show_progress(self, round: int, epoch: int, done: float) -> None:
        """Show that a share `done`, in [0, 1], of a round is over; `epoch` counts from 1."""
        ...

    def say(self, text: str) -> None:
        """Print and log lines."""
        ...


def make_bar(console: Console) -> Progress:
    """Return a progress bar, hidden unless the console is a terminal; its tasks have the field `left`."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=None),
        TextColumn("{task.percentage:>3.0f} %"),
        TextColumn("{task.fields[left]}"),
        console=console,
        refresh_per_second=1 / REFRESH_SECONDS,
        transient=True,
        disable=not console.is_terminal,
        expand=True,
    )


class NotebookLine:
    """A line below a notebook's cell that is replaced as a run goes on."""

    def __init__(self) -> None:
        from IPython.display import display

        self._handle: Any = display({"text/plain": ""}, raw=True, display_id=True)

    def show(self, text: str) -> None:
        """Replace the line."""
        self._handle.update({"text/plain": text}, raw=True)


class RoundsDisplay:
    """Show the rounds of a run: on a terminal and in a notebook a bar and a table, elsewhere one line per round.

    Args:
        title: describes the run.
        rounds: the number of the last round.
        epochs: the maximum number of epochs per round.
        console: the terminal by default; a quiet one for a process that should be silent.
        metric: judges the rounds.
        plan: the numbers of the rounds; None for 0, 1, 2, ….
    """

    def __init__(
        self,
        title: str,
        rounds: int,
        epochs: int,
        console: Console | None = None,
        *,
        metric: Metric = ACCURACY,
        plan: Plan | None = None,
    ) -> None:
        self.console = console or Screen(highlight=False)
        self._metric = metric
        self._title, self._rounds, self._epochs = title, rounds, epochs
        self._plan = plan or Plan()
        self._numbers = self._plan.until(rounds)
        self._progress = make_bar(self.console)
        self._has_table = self.console.is_terminal or self.console.is_jupyter
        self._notebook: NotebookLine | None = None
        self._task = self._progress.add_task(self._label(self._numbers[0], 0), total=float(len(self._numbers)), left="")
        self._durations: list[float] = []
        self._began = time.monotonic()
        self._columns: tuple[Column, ...] = ()

    @property
    def _width(self) -> int | None:
        """Return the width of the terminal in columns; None for a pipe or a file."""
        return self.console.width if self.console.is_terminal else None

    def __enter__(self) -> RoundsDisplay:
        self._print(self._title, wrap=self.console.is_terminal)
        if self._has_table:
            self._print_rows()
        if self.console.is_jupyter and not self.console.quiet:
            self._notebook = NotebookLine()
        self._progress.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._progress.stop()
        if self._notebook is not None:
            self._notebook.show("")

    def show_earlier(self, records: Sequence[Record]) -> None:
        """Show the rounds from before an interruption; the log has them already."""
        if not records:
            return
        if self._has_table:
            self._print_rows(*records)
        else:
            named = name_rounds([record.round for record in records])
            self._print(f"rounds {named} are done" if len(records) > 1 else f"round {named} is done")
        self.show_progress(records[-1].round, records[-1].epochs, 1.0)

    def begin_round(self) -> None:
        """Start the clock of a round."""
        self._began = time.monotonic()

    def show_progress(self, round: int, epoch: int, done: float) -> None:
        """Move the bar to an epoch (from 1) of a round, of which a share in [0, 1] is done."""
        place = self._numbers.index(round)
        label, left = self._label(round, epoch), self._left(place, done)
        self._progress.update(self._task, completed=place + done, description=label, left=left)
        if self._notebook is not None:
            share = (place + done) / len(self._numbers)
            self._notebook.show(" · ".join(filter(None, (label, f"{share:.0%}", left))))

    def show_round(self, record: Record) -> None:
        """Add a round's row to the table and to the log."""
        self._durations.append(time.monotonic() - self._began)
        self.show_progress(record.round, record.epochs, 1.0)
        line = round_line(record, self._rounds, self._metric)
        log.info(line)
        if self._has_table:
            self._print_rows(record)
        else:
            self._print(line)

    def show_parameters(self, layers: Sequence[LayerRecord]) -> None:
        """Print how much of each parameter is alive."""
        self._print("\n" + parameter_table(layers, self._width))

    def say(self, text: str) -> None:
        """Print lines, on a terminal above the bar, and log them; control characters are printed as escapes."""
        for line in text.split("\n"):
            log.info(escape(line))
            self._print(escape(line))

    def _print_rows(self, *records: Record) -> None:
        """Print rows of the table of rounds, with headings at its beginning and when the terminal's width changes."""
        columns = fitting_columns(self._width, self._metric)
        if columns != self._columns:
            self._columns = columns
            absent = [column.heading for column in round_columns(self._metric) if column not in columns]
            if absent:
                self._print(f"\nresults.csv also has {', '.join(absent)}", wrap=True)
            self._print(f"\n{round_header(columns)}")
        for record in records:
            self._print(round_row(record, columns))

    def _print(self, text: str, *, wrap: bool = False) -> None:
        self.console.print(escape(text, keep="\n"), soft_wrap=not wrap, markup=False, highlight=False)

    def _label(self, round: int, epoch: int) -> str:
        title = f"round {round} of {self._rounds}" if self._plan.chosen is None else self._plan.title(round)
        return f"{title} · epoch {epoch} of {self._epochs}"

    def _left(self, place: int, done: float) -> str:
        """Estimate the time left for the whole experiment from the rounds so far."""
        spent = time.monotonic() - self._began
        if not self._durations and done < 0.02:
            return ""
        a_round = sum(self._durations) / len(self._durations) if self._durations else spent / done
        left = a_round * (len(self._numbers) - 1 - place) + max(0.0, a_round * (1 - done))
        minutes, seconds = divmod(int(left), 60)
        return f"{minutes // 60}:{minutes % 60:02}:{seconds:02} left"


@only_its_own_hooks
class ProgressCallback(pl.Callback):
    """Show the progress of a round's fit."""

    def __init__(self, display: FitDisplay, round: int) -> None:
        self._display = display
        self._round = round
        self._shown = 0.0

    def on_train_batch_end(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Move the bar if it is time, and stop if a signal has arrived."""
        stop_if_asked()
        now = time.monotonic()
        if now - self._shown >= REFRESH_SECONDS:
            self._shown = now
            self._show(trainer, (batch_idx + 1) / trainer.num_training_batches)

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Move the bar to the end of the epoch."""
        self._show(trainer, 1.0)

    def _show(self, trainer: pl.Trainer, of_epoch: float) -> None:
        epochs = trainer.max_epochs or 1
        self._display.show_progress(
            self._round, trainer.current_epoch + 1, min(1.0, (trainer.current_epoch + of_epoch) / epochs)
        )
