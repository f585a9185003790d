"""What an evaluation leaves behind: `evaluation.json`, `evaluation.html` and its figures, each whole or not at all."""

import json
from dataclasses import replace
from pathlib import Path

from lt_lightning.evaluate.evaluation import Evaluated, as_json
from lt_lightning.evaluate.page import render_evaluation
from lt_lightning.evaluate.reliability import reliability_figure
from lt_lightning.report.figures.confusion import Panel, confusion_figure
from lt_lightning.report.pages import Picture
from lt_lightning.report.run import about_confusion, save_picture
from lt_lightning.runs.confusion import MOST_CLASSES
from lt_lightning.runs.formatting import percent
from lt_lightning.runs.tasks import OF_TEXTS
from lt_lightning.storage.atomic import write_whole, writing_to

_ABOUT_RELIABILITY = (
    "Rows by the probability of the class that they are taken for. A bar is the share of its bin's rows that is right, "
    "the mark their mean confidence, and the line between them how far off it is: marks above their bars are those of "
    "a ticket that is too sure of itself. Weighted by rows, which stand below, the lines make the calibration error."
)

_WORDS = replace(OF_TEXTS, tested="rows")  # of whatever part they are


def write_evaluation(evaluated: Evaluated, folder: Path) -> Path:
    """Write an evaluation into a folder, and give the path of its page.

    Args:
        evaluated: what there is to say.
        folder: is made if it is not there; what an evaluation left there before is replaced.

    Raises:
        WriteError: the folder cannot be written to.
    """
    page = folder / "evaluation.html"
    with writing_to(folder):
        (folder / "figures").mkdir(parents=True, exist_ok=True)
        said = json.dumps(as_json(evaluated), indent=2, ensure_ascii=False, allow_nan=False)
        # JSON can hold half a character, which no file can.
        write_whole(folder / "evaluation.json", said.encode(errors="backslashreplace") + b"\n")
        write_whole(page, render_evaluation(evaluated, _draw(evaluated, folder / "figures")))
    return page


def _draw(evaluated: Evaluated, folder: Path) -> list[Picture]:
    subtitle = f"{evaluated.ticket} · {evaluated.rows}"
    pictures = []
    if len(evaluated.names) <= MOST_CLASSES:
        title = "What is taken for what"
        classes = dict(enumerate(evaluated.names))
        panel = Panel(f"{percent(evaluated.density)} alive", evaluated.counts)
        figure = confusion_figure([panel], title, subtitle, classes)
        shows = f"{title}: {subtitle}"
        pictures.append(save_picture(figure, folder / "confusion", shows, about_confusion(_WORDS)))
    title = "How sure, and how often right"
    figure = reliability_figure(evaluated.evaluation.bins, title, subtitle)
    pictures.append(save_picture(figure, folder / "reliability", f"{title}: {subtitle}", _ABOUT_RELIABILITY))
    return pictures
