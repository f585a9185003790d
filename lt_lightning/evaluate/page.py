"""An evaluation as a page that stands alone: no script, nothing fetched, whatever texts hold escaped."""

from collections.abc import Sequence
from html import escape

from lt_lightning.evaluate.evaluation import Evaluated, agreement
from lt_lightning.report import facts, frame
from lt_lightning.report.examples import text_html
from lt_lightning.runs.confusion import too_many
from lt_lightning.runs.terminal import loss, percent
from lt_lightning.tickets.scores import BINS

_LETTERS = 300  # of a text
_FOOTER = (
    "Drawn by lt-lightning. All numbers, with more digits, are in evaluation.json beside this page; the figures lie in "
    "the folder figures, as PNG and SVG."
)
_SCORES = (
    "Precision is the share of the rows taken for a class that are of it, recall the share of its rows that were taken "
    "for it, F1 their harmonic mean; – where there is none. Macro F1 is the mean of those that there are."
)
_SURE = "Mistakes to which the highest probability was given; rows are counted from 1 among those with text and label."


def render_evaluation(evaluated: Evaluated, pictures: Sequence[frame.Picture]) -> str:
    """An evaluation as one HTML document: the same text whenever evaluation and pictures are the same."""
    about, found = evaluated.about, evaluated.evaluation
    lede = (
        f"A ticket trained on {facts.say(about.get('corpus'))}, in round {facts.say(about.get('round'))} of "
        f"{facts.say(about.get('experiment'))}, with {percent(evaluated.density)} of its weights alive, takes "
        f"{found.right:,} of {found.rows:,} rows for what they are."
    )
    sections = [
        frame.headlines(_tiles(evaluated), agreement(evaluated)),
        frame.pictures(pictures),
        _classes(evaluated),
        _mistakes(evaluated),
        frame.fact_sheet("What was evaluated", _facts(evaluated)),
    ]
    opening = frame.Opening(facts.say(evaluated.rows), "Evaluation of a ticket", lede, _source(evaluated))
    return frame.document(opening, sections, _FOOTER)


def _source(evaluated: Evaluated) -> str:
    left_out = f" · {evaluated.dropped:,} rows without text or label left out" if evaluated.dropped else ""
    return f"{facts.say(evaluated.ticket)} on {facts.say(evaluated.source)}{left_out}"


def _tiles(evaluated: Evaluated) -> list[tuple[str, str, str]]:
    found = evaluated.evaluation
    counted = sum(score.rows + score.taken > 0 for score in found.classes)
    return [
        ("Accuracy", percent(found.accuracy), f"{found.right:,} of {found.rows:,} rows"),
        ("Macro F1", percent(found.macro_f1), f"mean over {counted:,} classes"),
        ("Log loss", loss(found.log_loss), "mean of −ln p of a row's own class"),
        ("Calibration error", percent(found.calibration_error), f"confidence against accuracy, in {BINS} bins"),
    ]


def _classes(evaluated: Evaluated) -> str:
    rows = []
    for name, score in zip(evaluated.names, evaluated.evaluation.classes, strict=True):
        rates = (percent(rate).replace("-", facts.DASH) for rate in (score.precision, score.recall, score.f1))
        rows.append((name, f"{score.rows:,}", f"{score.taken:,}", *rates))
    table = frame.text_table(("class", "rows", "taken for it", "precision", "recall", "F1"), rows, (0,))
    return f'<h2>Classes</h2>\n{table}\n<p class="note">{_SCORES}{too_many(len(rows), "classes")}</p>'


def _mistakes(evaluated: Evaluated) -> str:
    mistakes, names = evaluated.evaluation.mistakes, evaluated.names
    if not mistakes:
        return ""
    # A text stands below what is said of it: beside it, on a phone, it would be a word wide.
    rows = [
        f'<tr class="lead">{frame.cells((f"{number:,}", percent(one.confidence)))}'
        f"{frame.cells((names[one.label], names[one.predicted]), (0, 1))}</tr>\n"
        f'<tr><td class="text" colspan="4">{text_html(_beginning(text))}</td></tr>'
        for one, number, text in zip(mistakes, evaluated.numbers, evaluated.texts, strict=True)
    ]
    table = frame.table(("row", "confidence", "class", "taken for"), rows, (2, 3))
    return (
        f'<h2>Most confident mistakes</h2>\n<section class="mistakes">\n{table}\n</section>\n'
        f'<p class="note">{escape(_SURE)}</p>'
    )


def _beginning(text: str) -> str:
    """Enough of a text to see what it is about, in one paragraph."""
    line = " ".join(text[: 4 * _LETTERS].split())
    return line if len(line) <= _LETTERS and len(text) <= 4 * _LETTERS else f"{line[: _LETTERS - 1]}…"


def _facts(evaluated: Evaluated) -> dict[str, list[tuple[str, str]]]:
    about = evaluated.about
    alive, total = about.get("alive"), about.get("total")
    return {
        "Ticket": [
            ("File", facts.say(evaluated.ticket)),
            ("Experiment", facts.say(about.get("experiment"))),
            ("Run", facts.say(about.get("run"))),
            ("Round", facts.say(about.get("round"))),
            ("Seed", facts.say(about.get("seed"))),
            ("Alive", f"{facts.count(alive)} of {facts.count(total)} weights"),
            ("Values", facts.say(about.get("values"))),
        ],
        "Rows": [
            ("Data", facts.say(evaluated.data)),
            ("Part", facts.say(evaluated.split)),
            ("Source", facts.say(evaluated.source)),
            ("Rows", f"{evaluated.evaluation.rows:,}"),
            ("Left out", f"{evaluated.dropped:,}"),
            ("Fingerprint", facts.say(evaluated.fingerprint)),
        ],
    }
