"""Load the figures that users add to a report: functions of their own, by dotted path."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from matplotlib.figure import Figure

from lt_lightning.errors import SettingError
from lt_lightning.lottery.functions import load_function
from lt_lightning.lottery.settings import LotteryError
from lt_lightning.report.figures.style import styled
from lt_lightning.runs.reading import Run


@dataclass(frozen=True)
class OwnFigure:
    """A figure that a function of the user's draws.

    Attributes:
        path: the dotted path of the function.
        function: takes a `Run` and returns a matplotlib Figure.
    """

    path: str
    function: Callable[[Run], Figure]

    @property
    def name(self) -> str:
        """Return the function's name, which the files of the figure have."""
        return self.path.rpartition(".")[2]

    @property
    def caption(self) -> str:
        """Return the first paragraph of the function's docstring, or its name."""
        return " ".join((inspect.getdoc(self.function) or self.name).split("\n\n")[0].split())

    def draw(self, run: Run) -> Figure:
        """Return the figure, drawn in this project's style; raise SettingError if the function fails."""
        try:
            with styled():
                figure = self.function(run)
        except Exception as error:  # a user's function may raise anything
            reason = " ".join(f"{type(error).__name__}: {error}".split())
            raise SettingError(f"--figure: {self.path} failed ({reason}); correct it, or leave it out") from error
        if not isinstance(figure, Figure):
            raise SettingError(
                f"--figure: {self.path} returned a {type(figure).__name__}; return a matplotlib.figure.Figure"
            )
        return figure


def load_figures(paths: Sequence[str], taken: Collection[str]) -> list[OwnFigure]:
    """Return the figures that dotted paths name.

    Args:
        paths: the dotted paths.
        taken: the names of the report's figures.

    Raises:
        SettingError: if a path cannot be imported, leads to no function, or its name is another figure's.
    """
    try:
        figures = [OwnFigure(path, load_function("--figure", path, {})) for path in paths]
    except LotteryError as error:
        raise SettingError(str(error)) from error
    names = [figure.name for figure in figures]
    for figure in figures:
        if figure.name in taken or names.count(figure.name) > 1:
            raise SettingError(
                f"--figure: {figure.path} would replace another figure {figure.name}; rename the function"
            )
    return figures
