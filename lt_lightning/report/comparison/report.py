"""Write a comparison: its figures as PNG and SVG, its tables as CSV, and the page that shows both."""

import re
from collections.abc import Collection, Sequence
from datetime import datetime
from pathlib import Path

from pandas import DataFrame

from lt_lightning.errors import SettingError
from lt_lightning.report.comparison.page import render_comparison
from lt_lightning.report.comparison.protocol import protocol_faults
from lt_lightning.report.comparison.study import gather
from lt_lightning.report.comparison.tables import all_tables
from lt_lightning.report.figures.gallery import FIGURES, compose, shared_rounds
from lt_lightning.report.figures.style import on_paper
from lt_lightning.report.latex import compared_latex
from lt_lightning.report.run import choose_rounds, save_for_paper, save_picture
from lt_lightning.runs.reading import is_run
from lt_lightning.runs.table import tabulate_rounds, tabulate_runs
from lt_lightning.storage.atomic import write_whole, writing_to


def draw_comparison(
    folders: Sequence[Path],
    output: Path | None = None,
    rounds: Sequence[int] | None = None,
    paper: float | None = None,
    is_latex: bool = False,
) -> tuple[Path, tuple[str, ...], tuple[str, ...]]:
    """Compare runs without writing into their directories.

    Args:
        folders: run directories, and folders that hold some.
        output: the folder for `report.html`, `figures/`, `comparison/`, and `runs.csv` and `rounds.csv`, which hold all
            runs that can be read, also those of other data. By default, it is the folder of runs that is given, or
            else a new one below `outputs/comparisons/`.
        rounds: the rounds whose learning curves are drawn; None for some, from the first to the last.
        paper: the width in inches of figures that are also written as PDF; None for no PDF.
        is_latex: whether the tables are also written as LaTeX.

    Returns:
        The path of `report.html`, a line for each run or part of a run that was left out, and a line for each fault of
        the comparison's design.

    Raises:
        SettingError: nothing is left to compare, with a line for each reason; a chosen round has no learning curve;
            or the output cannot be written.
    """
    study = gather(folders)
    folder = output or _default(folders)
    if is_run(folder):
        raise SettingError(f"{folder}: is a run directory; give another --output, a comparison has a folder of its own")
    if folder.exists() and not folder.is_dir():
        raise SettingError(f"{folder}: is a file; give --output a folder")
    learning = choose_rounds(rounds, shared_rounds(study), most=4)
    page = folder / "report.html"
    with writing_to(folder):
        for inside in ("figures", "comparison"):
            (folder / inside).mkdir(parents=True, exist_ok=True)
        drawn = list(compose(study, learning))
        pictures = [
            save_picture(figure, folder / "figures" / name, shows, caption) for name, figure, shows, caption in drawn
        ]
        _remove_others(folder / "figures", {name for name, *_ in drawn})
        if paper is not None:
            with on_paper(paper):
                for name, figure, shows, caption in compose(study, learning):
                    save_for_paper(figure, folder / "figures" / name, shows, caption)
        for name, table in all_tables(study, folder).items():
            _write_csv(folder / "comparison" / f"{name}.csv", table)
            if is_latex:
                write_whole(folder / "comparison" / f"{name}.tex", compared_latex(table, study.metric))
        _write_csv(folder / "runs.csv", tabulate_runs(study.read, folder))
        _write_csv(folder / "rounds.csv", tabulate_rounds(study.read, folder))
        write_whole(page, render_comparison(study, pictures, folder))
    return page, study.left_out, tuple(protocol_faults(study))


def _write_csv(path: Path, table: DataFrame) -> None:
    write_whole(path, table.to_csv(index=False, lineterminator="\n"))


def _remove_others(figures: Path, drawn: Collection[str]) -> None:
    """Remove figures of an earlier comparison that this one does not have."""
    for path in figures.iterdir():
        if path.suffix in (".png", ".svg", ".pdf") and path.stem not in drawn and re.fullmatch(FIGURES, path.stem):
            path.unlink()


def _default(folders: Sequence[Path]) -> Path:
    if len(folders) == 1 and not is_run(folders[0]):
        return folders[0]
    return Path("outputs") / "comparisons" / f"{datetime.now():%Y-%m-%d_%H-%M-%S}"
