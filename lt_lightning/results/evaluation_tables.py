"""An evaluation as plain text. Only what a terminal shows in its place: no control characters, whatever texts hold."""

from __future__ import annotations

from collections.abc import Sequence

from lt_lightning.results.evaluated import Evaluated, agreement
from lt_lightning.results.tables import loss, percent

_NAME, _TEXT = 16, 60  # letters that are shown
_MATRIX = 8  # up to so many classes, a confusion fits into a line


def evaluation_text(evaluated: Evaluated) -> str:
    """The rates, the classes, what is taken for what (of few classes) and the most confident mistakes.

    Returns:
        Lines without a line end at the last.
    """
    found = evaluated.evaluation
    dropped = f", {evaluated.dropped:,} without text or label left out" if evaluated.dropped else ""
    names = [_short(name, _NAME) for name in evaluated.names]
    parts = [f"{_short(evaluated.ticket)} on {_short(evaluated.rows)}: {found.rows:,} rows{dropped}"]
    rates = [
        ("accuracy", percent(found.accuracy)),
        ("macro F1", percent(found.macro_f1)),
        ("log loss", loss(found.log_loss)),
        ("calibration error", percent(found.calibration_error)),
    ]
    parts.append(_table(rates, texts=1))
    if said := agreement(evaluated):
        parts.append(said)
    scores = [
        (name, f"{score.rows:,}", percent(score.precision), percent(score.recall), percent(score.f1))
        for name, score in zip(names, found.classes, strict=True)
    ]
    parts.append(_table([("class", "rows", "precision", "recall", "F1"), *scores], texts=1, rule=True))
    if len(names) <= _MATRIX:
        rows = [(name, *(f"{count:,}" for count in row)) for name, row in zip(names, found.confusion, strict=True)]
        parts.append(_table([("taken for", *names), *rows], texts=1, rule=True))
    if found.mistakes:
        mistakes = [
            (f"{number:,}", percent(one.confidence), names[one.label], names[one.predicted], _short(text, _TEXT))
            for one, number, text in zip(found.mistakes, evaluated.numbers, evaluated.texts, strict=True)
        ]
        head = ("row", "confidence", "class", "taken for", "text")
        parts.append("most confident mistakes\n" + _table([head, *mistakes], numbers=2, rule=True))
    return "\n\n".join(parts)


def _table(rows: Sequence[Sequence[str]], *, texts: int = 0, numbers: int = 0, rule: bool = False) -> str:
    """Rows with their cells below each other.

    Args:
        rows: as many cells in each.
        texts: so many columns at the left are words, all others numbers; or else
        numbers: so many columns at the left are numbers, all others words.
        rule: whether the first row holds headings.
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        words = range(texts) if texts else range(numbers, len(row))
        cells = [
            cell.ljust(width) if place in words else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    if rule:
        lines.insert(1, "-" * max(map(len, lines)))
    return "\n".join(lines)


def _short(text: str, length: int = 100) -> str:
    """The beginning of a text, in one line and without what has no ink."""
    seen = " ".join("".join(letter if letter.isprintable() else " " for letter in text[: 4 * length]).split())
    return seen if len(seen) <= length and len(text) <= 4 * length else f"{seen[: length - 1]}…"
