"""Draw the report of a run: its figures as PNG and SVG, and the page that shows them."""

from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from lt_lightning.errors import SettingError
from lt_lightning.report import facts
from lt_lightning.report.figures.axes import spread
from lt_lightning.report.figures.confusion import Panel, confusion_figure
from lt_lightning.report.figures.own import OwnFigure, load_figures
from lt_lightning.report.figures.run import layers_figure, learning_figure, metric_figure
from lt_lightning.report.figures.style import on_paper, save, save_figure
from lt_lightning.report.latex import run_latex
from lt_lightning.report.pages import Picture
from lt_lightning.report.run_page import render_page, shown_rounds
from lt_lightning.runs.confusion import MOST_CLASSES, classes_of, count_confusion
from lt_lightning.runs.formatting import name_rounds, percent
from lt_lightning.runs.metrics import Baseline, Metric
from lt_lightning.runs.reading import Run, read_run
from lt_lightning.runs.tasks import Wording
from lt_lightning.runs.winners import smallest_winner
from lt_lightning.storage.atomic import write_whole, writing_to


def draw_report(folder: Path) -> Path:
    """Draw the figures and the page of a run into its directory, each file whole or not at all; return the page's path.

    Raises:
        SettingError: the folder is no run, has no sound round yet, or cannot be written to.
    """
    return draw_run(read_run(folder))


def draw_run(
    run: Run,
    rounds: Sequence[int] | None = None,
    paper: float | None = None,
    is_latex: bool = False,
    functions: Sequence[str] = (),
) -> Path:
    """Draw the report of a run into its directory and return the path of `report.html`.

    Args:
        run: the run.
        rounds: the rounds whose learning curves are drawn; None for some, from the first to the last.
        paper: the width in inches of figures that are also written as PDF; None for no PDF.
        is_latex: whether the table of rounds is also written as `rounds.tex`.
        functions: dotted paths of the user's functions that draw further figures of the run.

    Raises:
        SettingError: the directory cannot be written to, a chosen round has no learning curve, or a function of the
            user's does not draw.
    """
    own = load_figures(functions, {run.metric.figure, "layers", "learning", "confusion"})
    chosen = choose_rounds(rounds, {epoch.round for epoch in run.epochs}) if run.epochs or rounds else []
    page = run.folder / "report.html"
    with writing_to(run.folder):
        (run.folder / "figures").mkdir(exist_ok=True)
        write_whole(page, render_page(run, _draw_figures(run, chosen, own)))
        if paper is not None:
            with on_paper(paper):
                _draw_figures(run, chosen, own, save_for_paper)
        if is_latex:
            write_whole(run.folder / "rounds.tex", run_latex(run))
    return page


def choose_rounds(wanted: Sequence[int] | None, trained: Collection[int], most: int = 5) -> list[int]:
    """Return the rounds whose learning curves are drawn.

    Args:
        wanted: the rounds asked for; None for at most `most`, evenly spread, with the first and the last.
        trained: the rounds that have a learning curve.
        most: the number of rounds that the figure can hold.

    Raises:
        SettingError: a round that was asked for has no learning curve.
    """
    if wanted is None:
        return spread(sorted(trained), most)
    if lacking := [round_ for round_ in wanted if round_ not in trained]:
        there = f"rounds {name_rounds(sorted(trained))}" if trained else "no learning curves"
        raise SettingError(f"--rounds: there is no round {lacking[0]}; there are {there}")
    return list(wanted)


def save_picture(figure: Figure, stem: Path, shows: str, caption: str) -> Picture:
    """Write a figure as PNG and SVG and return it for a page; arguments as for `save_figure` and `Picture`."""
    _, svg = save_figure(figure, stem)
    return Picture(svg.read_text(encoding="utf-8"), shows, caption)


def save_for_paper(figure: Figure, stem: Path, shows: str, caption: str) -> Picture:
    """Write a figure as PDF; arguments as for `save_picture`."""
    save(figure, stem.with_name(f"{stem.name}.pdf"))
    return Picture("", shows, caption)


def _draw_figures(
    run: Run,
    learning: Sequence[int],
    own: Sequence[OwnFigure],
    keep: Callable[[Figure, Path, str, str], Picture] = save_picture,
) -> list[Picture]:
    subtitle, metric, words = facts.subtitle(run.description, run.records), run.metric, run.description.words
    baseline = run.description.shown_baseline

    def draw(name: str, figure_of: Callable[..., Figure], rows: Any, title: str, caption: str, *more: Any) -> Picture:
        figure = figure_of(rows, title, subtitle, *more)
        return keep(figure, run.folder / "figures" / name, f"{title}: {subtitle}", caption)

    title, about = f"{metric.title} against density", _about_metric(run, baseline)
    pictures = [draw(metric.figure, metric_figure, run.compared, title, about, metric, baseline, None, words)]
    if run.layers:
        pictures.append(draw("layers", layers_figure, run.layers, "Density of each parameter (% alive)", ABOUT_LAYERS))
    if run.epochs:
        curves = [epoch for epoch in run.epochs if epoch.round in learning]
        about = _ABOUT_LEARNING.format(valid=words.valid, full=words.full)
        pictures.append(draw("learning", learning_figure, curves, "Learning curves", about, words.valid))
    rounds = shown_rounds(run)
    counts = [count_confusion(run.confusion, round_) for round_ in rounds]
    classes = classes_of(run.description, *counts)
    if rounds and len(classes) <= MOST_CLASSES:
        panels = [
            Panel(f"{title}\n{percent(record.density)} alive", of_round)
            for (round_, title), of_round in zip(rounds.items(), counts, strict=True)
            if (record := run.record(round_)) is not None
        ]
        title, about = "What is taken for what", about_confusion(words)
        pictures.append(draw("confusion", confusion_figure, panels, title, about, classes, words))
    for one in own:
        stem = run.folder / "figures" / one.name
        pictures.append(keep(one.draw(run), stem, f"{one.caption}: {subtitle}", one.caption))
    return pictures


def _about_metric(run: Run, baseline: Baseline | None) -> str:
    metric, winner = run.metric, smallest_winner(run.compared, run.metric)
    words = run.description.words
    trunk = "" if run.description.branch is None else ", as the trunk of this branch measured it"
    caption = (
        f"{metric.title} after each round against the share of weights still alive, on a logarithmic axis: sparser to "
        f"the right. The dashed line is the {metric.short} of the {words.full}, {metric.test.cell(run.full)}{trunk}. "
    )
    if winner is not None:
        caption += (
            f"The ring marks the {words.winner}, chosen by {metric.valid.name}: round {winner.round}, with "
            f"{percent(winner.density)} of the weights and {metric.test.cell(winner)} {metric.name}."
        )
    else:
        caption += "Nothing is pruned." if facts.prunes_nothing(run.description) else "No ticket wins so far."
    return caption if baseline is None else f"{caption} {about_baseline(baseline, metric)}"


def about_baseline(baseline: Baseline, metric: Metric) -> str:
    """Return a sentence about the dotted line of a figure."""
    value = metric.show_with_unit(baseline.value)
    return f"The dotted line is the score of a simple model, {facts.say(baseline.name)}: {value}."


ABOUT_LAYERS = (
    "Per cent of each parameter's entries alive, round by round, with its number of entries on the right. Colours are "
    "on a logarithmic scale, the darker the denser. If every parameter is pruned on its own, the rows differ by "
    "rounding alone, which shows in the smallest parameters."
)
_ABOUT_LEARNING = "Loss and {valid} on the validation part after each epoch of some rounds; round 0 is the {full}."


def about_confusion(words: Wording) -> str:
    """Return how to read a figure of confusions."""
    return (
        f"Of each {words.one}'s {words.tested}, a row of the picture, the share in per cent that was taken for each "
        f"{words.one}, and below it how many they are: right answers lie on the diagonal. On the right the same "
        f"{words.rights}, {words.one} by {words.one}."
    )
