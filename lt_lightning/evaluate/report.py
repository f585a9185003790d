"""Write an evaluation as files: `evaluation.json`, a page that needs no script and no network, and its figures."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from markupsafe import Markup
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from lt_lightning.evaluate.coverage import CAPTION, coverage_figure
from lt_lightning.evaluate.evaluation import Evaluated, about_temperature, about_threshold, agreement, as_json
from lt_lightning.evaluate.showing import about_classes, about_reasons, shown_classes, shown_reasons
from lt_lightning.report import facts
from lt_lightning.report.examples import letters
from lt_lightning.report.figures.confusion import Panel, confusion_figure
from lt_lightning.report.figures.style import BLUE, INK, QUIET, VERMILLION, styled, titled_figure
from lt_lightning.report.pages import Picture, render
from lt_lightning.report.run import about_confusion, save_picture
from lt_lightning.runs.confusion import MOST_CLASSES, too_many
from lt_lightning.runs.formatting import loss, percent
from lt_lightning.runs.tasks import OF_TEXTS
from lt_lightning.storage.atomic import write_whole, writing_to
from lt_lightning.tickets.scores import BINS, Bin
from lt_lightning.tickets.web import words_style

_ABOUT_RELIABILITY = (
    "Rows by the probability of the class that they are taken for. A bar is the share of its bin's rows that is right, "
    "the mark their mean confidence, and the line between them the difference: marks above their bars show that the "
    "ticket is too confident. Weighted by the rows, shown below, the lines add up to the calibration error."
)
_LETTERS = 300  # of a text


def write_evaluation(evaluated: Evaluated, folder: Path) -> Path:
    """Write an evaluation into a folder, replacing an earlier one, and return the path of its page.

    Raises:
        WriteError: the folder cannot be written.
    """
    page = folder / "evaluation.html"
    with writing_to(folder):
        (folder / "figures").mkdir(parents=True, exist_ok=True)
        content = json.dumps(as_json(evaluated), indent=2, ensure_ascii=False, allow_nan=False)
        # JSON can hold lone surrogates, UTF-8 cannot.
        write_whole(folder / "evaluation.json", content.encode(errors="backslashreplace") + b"\n")
        write_whole(page, render_evaluation(evaluated, _draw(evaluated, folder / "figures")))
    return page


def _draw(evaluated: Evaluated, folder: Path) -> list[Picture]:
    subtitle = f"{evaluated.ticket} · {evaluated.rows}"
    pictures = []
    if len(evaluated.names) <= MOST_CLASSES:
        title = "What is taken for what"
        panel = Panel(f"{percent(evaluated.density)} alive", evaluated.counts)
        figure = confusion_figure([panel], title, subtitle, dict(enumerate(evaluated.names)))
        caption = about_confusion(replace(OF_TEXTS, tested="rows"))  # of any part
        pictures.append(save_picture(figure, folder / "confusion", f"{title}: {subtitle}", caption))
    title = "How sure, and how often right"
    figure = reliability_figure(evaluated.evaluation.bins, title, subtitle)
    pictures.append(save_picture(figure, folder / "reliability", f"{title}: {subtitle}", _ABOUT_RELIABILITY))
    title = "How right, if unsure answers are left out"
    figure = coverage_figure(evaluated.evaluation, title, subtitle, evaluated.threshold)
    pictures.append(save_picture(figure, folder / "coverage", f"{title}: {subtitle}", CAPTION))
    return pictures


def render_evaluation(evaluated: Evaluated, pictures: Sequence[Picture]) -> str:
    """Return an evaluation as one HTML document, the same text for the same evaluation and pictures."""
    about, found, names = evaluated.about, evaluated.evaluation, evaluated.names
    say = facts.say
    left_out = f" · {evaluated.dropped:,} rows without text or label left out" if evaluated.dropped else ""
    counted = sum(score.rows + score.taken > 0 for score in found.classes)
    return render(
        "evaluation.html.j2",
        name=say(evaluated.rows),
        lede=(
            f"A ticket trained on {say(about.get('corpus'))}, in round {say(about.get('round'))} of "
            f"{say(about.get('experiment'))}, with {percent(evaluated.density)} of its weights alive, takes "
            f"{found.right:,} of {found.rows:,} rows for what they are."
        ),
        note=f"{say(evaluated.ticket)} on {say(evaluated.source)}{left_out}",
        tiles=[
            ("Accuracy", percent(found.accuracy), f"{found.right:,} of {found.rows:,} rows"),
            ("Macro F1", percent(found.macro_f1), f"mean over {counted:,} classes"),
            ("Log loss", loss(found.log_loss), "mean of −ln p of a row's own class"),
            ("Calibration error", percent(found.calibration_error), f"confidence against accuracy, in {BINS} bins"),
        ],
        agreement=" ".join(
            filter(None, (agreement(evaluated), about_temperature(evaluated), about_threshold(evaluated)))
        ),
        pictures=pictures,
        classes=[
            (name, f"{score.rows:,}", f"{score.taken:,}", *map(_rate, (score.precision, score.recall, score.f1)))
            for name, score in zip(names, found.classes, strict=True)
        ],
        too_many=too_many(len(names), "classes"),
        mistakes=[
            (
                (f"{number:,}", percent(one.confidence)),
                (names[one.label], names[one.predicted]),
                letters(_beginning(text)),
                shown_reasons(evaluated, place),
            )
            for place, (one, number, text) in enumerate(
                zip(found.mistakes, evaluated.numbers, evaluated.texts, strict=True)
            )
        ],
        style=Markup(words_style()),
        about_reasons=about_reasons(evaluated.reasons),
        class_words=shown_classes(evaluated.reasons, names),
        about_classes=about_classes(evaluated.reasons),
        facts={
            "Ticket": [
                ("File", say(evaluated.ticket)),
                *((key.title(), say(about.get(key))) for key in ("experiment", "run", "round", "seed")),
                ("Alive", f"{facts.count(about.get('alive'))} of {facts.count(about.get('total'))} weights"),
                ("Values", say(about.get("values"))),
            ],
            "Rows": [
                ("Data", say(evaluated.data)),
                ("Part", say(evaluated.split)),
                ("Source", say(evaluated.source)),
                ("Rows", f"{found.rows:,}"),
                ("Left out", f"{evaluated.dropped:,}"),
                ("Fingerprint", say(evaluated.fingerprint)),
            ],
        },
    )


def _rate(value: float) -> str:
    return percent(value).replace("-", facts.DASH)


def _beginning(text: str) -> str:
    """Return the beginning of a text in one paragraph."""
    line = " ".join(text[: 4 * _LETTERS].split())
    return line if len(line) <= _LETTERS and len(text) <= 4 * _LETTERS else f"{line[: _LETTERS - 1]}…"


def reliability_figure(bins: Sequence[Bin], title: str, subtitle: str = "") -> Figure:
    """Draw accuracy against confidence, bin by bin from low to high confidence, and below it the share of rows.

    See: Guo et al. 2017, https://arxiv.org/abs/1706.04599.
    """
    filled = [bin for bin in bins if bin.rows]
    rows = sum(bin.rows for bin in bins)
    with styled():
        figure = titled_figure(7.4, 5.6, title, subtitle)
        above, below = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
        above.bar(
            [100 * bin.low for bin in filled], [100 * bin.accuracy for bin in filled],
            [100 * (bin.high - bin.low) for bin in filled], align="edge", color=BLUE, edgecolor="white",
            linewidth=0.8, label="accuracy",
        )  # fmt: skip
        above.plot([0, 100], [0, 100], color=QUIET, linestyle="--", linewidth=1.1, label="as sure as right")
        for number, bin in enumerate(filled):
            above.plot(
                [100 * bin.confidence] * 2, [100 * bin.accuracy, 100 * bin.confidence], color=VERMILLION,
                linewidth=1.6, marker="_", markevery=[1], markersize=9, markeredgewidth=1.6,
                label="" if number else "mean confidence, and how far off it is",
            )  # fmt: skip
        above.set_ylim(0, 102)
        above.set_ylabel("accuracy (%)")
        above.legend(loc="upper left", fontsize=8.5)
        below.bar(
            [100 * bin.low for bin in bins], [100 * bin.rows / rows for bin in bins],
            [100 * (bin.high - bin.low) for bin in bins], align="edge", color=INK, alpha=0.55, edgecolor="white",
            linewidth=0.8,
        )  # fmt: skip
        below.set_xlim(0, 100)
        below.set_ylabel("rows (%)")
        below.set_xlabel("confidence: probability of the class that a row is taken for (%)")
        for axes in (above, below):
            axes.grid(visible=False, axis="x")
            axes.yaxis.set_major_formatter(PercentFormatter(decimals=0, symbol=""))
    return figure
