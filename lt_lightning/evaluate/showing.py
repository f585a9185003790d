"""Show the words behind a ticket's answers on the page of an evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from markupsafe import Markup

from lt_lightning.evaluate.evaluation import LONGEST, Evaluated
from lt_lightning.evaluate.reasons import READ_AGAIN, Reasons
from lt_lightning.report.facts import visible
from lt_lightning.tickets.explaining import LEAVE_ONE_OUT, Explanation
from lt_lightning.tickets.reasons import inert, marked, signed, speaking

_ADDED = "what the word adds to the score of the class"
_LOST = "how much the score of the class falls without the word"


class ShownReasons(NamedTuple):
    """The words behind a mistake.

    Attributes:
        text: the beginning of the text, its words marked for the class that it was taken for, in HTML.
        cut: the number of characters of the whole text, if only its beginning is here; otherwise 0.
        spoke: the class that it was taken for and its own class, each with the words that spoke for it.
    """

    text: Markup
    cut: int
    spoke: list[tuple[str, str]]


def shown_reasons(evaluated: Evaluated, number: int) -> ShownReasons | None:
    """Return the words behind a mistake, by its number; None if they are not known."""
    found = evaluated.reasons and evaluated.reasons.mistakes[number]
    if found is None:
        return None
    mistake = evaluated.evaluation.mistakes[number]
    return ShownReasons(
        Markup(marked(found, mistake.predicted, LONGEST)),
        len(found.text) if len(found.text) > LONGEST else 0,
        [(evaluated.names[place], _spoke(found, place)) for place in (mistake.predicted, mistake.label)],
    )


def _spoke(found: Explanation, place: int) -> str:
    return ", ".join(f"{visible(inert(word))} {signed(share)}" for word, share in speaking(found, place)) or "no word"


def about_reasons(reasons: Reasons | None) -> str:
    """Return how to read the mistakes' words, or why there are none."""
    if reasons is None:
        return "The words of a pre-trained encoder have no shares, so none is marked."
    said = (
        "Underlined words speak for the class that the row was taken for (solid) or against it (dashed). Below stand "
        f"the words that spoke most for that class and for the row's own; a number is "
        f"{_LOST if reasons.method == LEAVE_ONE_OUT else _ADDED}."
    )
    if None not in reasons.mistakes:
        return said
    return f"{said} Texts of more than {READ_AGAIN} words are not marked: each word would take a reading of the text."


def shown_classes(reasons: Reasons | None, names: Sequence[str]) -> list[tuple[str, list[tuple[str, str, str]]]]:
    """Return of each class the words that carry it, each with its sum and its number of texts."""
    if reasons is None or reasons.classes is None:
        return []
    return [
        (name, [(visible(inert(one.word)), signed(one.total, 1), f"{one.texts:,}") for one in words])
        for name, words in zip(names, reasons.classes, strict=True)
    ]


def about_classes(reasons: Reasons | None) -> str:
    """Return how to read the words of the classes, or why there are none."""
    if reasons is None:
        return ""
    if reasons.classes is None:
        return (
            "Words that carry each class are shown of convolutional tickets alone: the score of a recurrent network is "
            "no sum over words."
        )
    return (
        f"The words with the largest sums, over all rows, of {_ADDED}; in brackets the number of texts that have the "
        "word. A word that stands in most texts can have a large sum for several classes."
    )
