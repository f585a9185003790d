"""Show how far the copies and the points are: on a terminal with a bar, in a log a line per round."""

from __future__ import annotations

import time

from rich.console import Console

from lt_lightning.experiment.progress import Screen, make_bar
from lt_lightning.report.facts import duration
from lt_lightning.runtime.terminal import escape


class ConnectDisplay:
    """Show the work of `connect`.

    Args:
        seconds: how long all of it takes by the estimate, the length of the bar.
        console: the terminal by default.
    """

    def __init__(self, seconds: float, console: Console | None = None) -> None:
        self.console = console or Screen(highlight=False)
        self._progress = make_bar(self.console)
        self._seconds = max(seconds, 1e-9)
        self._task = self._progress.add_task("", total=self._seconds, left="")
        self._done = 0.0
        self._size, self._label = 0.0, ""
        self._began = time.monotonic()

    def __enter__(self) -> ConnectDisplay:
        self._progress.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._progress.stop()

    def begin(self, label: str, seconds: float) -> None:
        """Begin a piece of work that takes so long by the estimate."""
        self._label, self._size = label, seconds
        self._show(label, self._done)

    def end(self) -> None:
        """End the piece of work."""
        self._done += self._size
        self._size = 0.0
        self._show(self._label, self._done)

    def show_progress(self, round: int, epoch: int, done: float) -> None:
        """Show that a share of the copy that trains is done."""
        self._show(f"{self._label} · epoch {epoch}", self._done + done * self._size)

    def show_point(self, number: int, points: int) -> None:
        """Show that so many points of a line are measured."""
        self._show(f"{self._label} · point {number} of {points}", self._done + self._size * number / points)

    def say(self, text: str) -> None:
        """Print lines, above the bar."""
        self.console.print(escape(text, keep="\n"), soft_wrap=True, markup=False, highlight=False)

    def _show(self, label: str, completed: float) -> None:
        spent = time.monotonic() - self._began
        share = min(completed / self._seconds, 1.0)
        left = f"{duration(spent * (1 - share) / share)} left" if share > 0.02 else ""
        self._progress.update(self._task, completed=min(completed, self._seconds), description=label, left=left)
