"""Show how far a sweep is: a line for each job that ends, and what to do at its end."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lt_lightning.errors import ResumableError, SettingError
from lt_lightning.experiment.resume.compare import how_to_go_on, is_begun
from lt_lightning.runs.reading import read_run
from lt_lightning.runs.winners import best_ticket, smallest_winner
from lt_lightning.runtime.terminal import write

if TYPE_CHECKING:
    from hydra.core.utils import JobReturn

log = logging.getLogger(__name__)


class SweepProgress:
    """The jobs of a sweep that have ended.

    Args:
        folder: the sweep's folder, as users type it.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._total: int | None = None
        self._names: dict[int, str] = {}
        self._ended = 0
        self._failed = 0
        self._has_runs = False

    def expect(self, overrides: Mapping[int, Sequence[str]], total: int | None, given: Collection[str] = ()) -> None:
        """Take note of a batch of jobs.

        Args:
            overrides: those of each job, by its number.
            total: the number of all jobs, if known.
            given: the overrides of the sweep's command. One that a job has as it stands there is no setting of its own.
        """
        self._total = total
        shared = {*given, *(set.intersection(*map(set, overrides.values())) if len(overrides) > 1 else ())}
        for number, one in overrides.items():
            own = [text for text in one if text not in shared and not text.startswith("hydra.")]
            self._names[number] = " ".join(own) or "no settings of its own"

    def tell(self, line: str) -> None:
        """Print a line."""
        write(line)

    def announce(self, number: int) -> None:
        """Print that a job begins."""
        write("", f"begin job {number + 1}{self._of()}: {self._names[number]}")

    def show(self, number: int, folder: Path, result: JobReturn) -> None:
        """Print the line of a job that has ended."""
        self._ended += 1
        error = _error_of(result)
        self._failed += error is not None
        self._has_runs = self._has_runs or is_begun(folder)
        outcome = describe_run(folder) if error is None else f"failed: {_in_one_line(error)}"
        write(f"job {self._ended}{self._of()}: {self._names[number]}: {folder}: {outcome}")

    def end(self) -> None:
        """Print what to do with the sweep, which has ended."""
        if self._failed and self._has_runs:
            several = f"{self._failed} of {self._ended} jobs failed"
            write(f"{several}; {how_to_go_on(self.folder)}")
        if self._has_runs:
            write(f"compare the jobs with: python -m lt_lightning.report {self.folder}")

    def _of(self) -> str:
        return "" if self._total is None else f" of {self._total}"


_sweeps: list[SweepProgress] = []


def current_sweep(folder: Path) -> SweepProgress:
    """Return the progress of the sweep that this process runs, whose end is still to be told."""
    if not (_sweeps and _sweeps[-1].folder == folder):
        _sweeps.append(SweepProgress(folder))
    return _sweeps[-1]


def ending_sweep(main: Callable[[], None]) -> Callable[[], None]:
    """Return a function that runs `main` and prints the end of its sweep, unless a signal stopped it."""

    def run() -> None:
        try:
            main()
        except Exception:
            _end()
            raise
        _end()

    return run


def _end() -> None:
    while _sweeps:
        _sweeps.pop().end()


def describe_run(folder: Path) -> str:
    """Return the result of a run in a few words: its smallest winning ticket, or how good its best one is."""
    try:
        run = read_run(folder)
    except SettingError as error:
        return str(error)
    compared, metric = run.compared, run.metric
    shown, words = smallest_winner(compared, metric), run.description.task.words.winner
    if shown is None:
        shown, words = best_ticket(run.records, metric) or run.records[-1], run.description.task.words.loser
    if shown.round == 0:
        words = run.description.task.words.full
    density = "" if shown.round == 0 else f" round {shown.round}, {100 * shown.density:.3g} % alive,"
    return f"{words}:{density} {metric.name} {metric.show_with_unit(metric.read(shown))}"


def _error_of(result: JobReturn) -> BaseException | None:
    from hydra.core.utils import JobStatus

    # Reading `return_value` would raise the error, and print the overrides once more.
    return result._return_value if result.status is JobStatus.FAILED else None


def _in_one_line(error: BaseException) -> str:
    """Return an error's own line; of a traceback the last one."""
    if isinstance(error, (SettingError, ResumableError)):
        return str(error)
    lines = [line for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    return lines[-1] if len(lines) > 1 else f"{type(error).__name__}: {lines[0]}"
