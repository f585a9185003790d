"""An evaluation as a page that stands alone: no script, nothing fetched, whatever texts hold escaped."""

from collections.abc import Sequence

from lt_lightning.evaluate.evaluation import Evaluated, agreement
from lt_lightning.report import facts
from lt_lightning.report.examples import Letters, letters
from lt_lightning.report.pages import Picture, render
from lt_lightning.runs.confusion import too_many
from lt_lightning.runs.formatting import loss, percent
from lt_lightning.tickets.scores import BINS

_LETTERS = 300  # of a text


def render_evaluation(evaluated: Evaluated, pictures: Sequence[Picture]) -> str:
    """Return an evaluation as one HTML document: the same text whenever evaluation and pictures are the same."""
    about, found = evaluated.about, evaluated.evaluation
    lede = (
        f"A ticket trained on {facts.say(about.get('corpus'))}, in round {facts.say(about.get('round'))} of "
        f"{facts.say(about.get('experiment'))}, with {percent(evaluated.density)} of its weights alive, takes "
        f"{found.right:,} of {found.rows:,} rows for what they are."
    )
    return render(
        "evaluation.html.j2",
        name=facts.say(evaluated.rows),
        lede=lede,
        note=_source(evaluated),
        tiles=_tiles(evaluated),
        agreement=agreement(evaluated),
        pictures=pictures,
        classes=_classes(evaluated),
        too_many=too_many(len(evaluated.names), "classes"),
        mistakes=_mistakes(evaluated),
        facts=_facts(evaluated),
    )


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


def _classes(evaluated: Evaluated) -> list[tuple[str, ...]]:
    rows = []
    for name, score in zip(evaluated.names, evaluated.evaluation.classes, strict=True):
        rates = (percent(rate).replace("-", facts.DASH) for rate in (score.precision, score.recall, score.f1))
        rows.append((name, f"{score.rows:,}", f"{score.taken:,}", *rates))
    return rows


def _mistakes(evaluated: Evaluated) -> list[tuple[tuple[str, str], tuple[str, str], Letters]]:
    """Return of each mistake its row's number and confidence, its class and the one given, and its text."""
    mistakes, names = evaluated.evaluation.mistakes, evaluated.names
    return [
        (
            (f"{number:,}", percent(one.confidence)),
            (names[one.label], names[one.predicted]),
            letters(_beginning(text)),
        )
        for one, number, text in zip(mistakes, evaluated.numbers, evaluated.texts, strict=True)
    ]


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
