"""Format an evaluation for the terminal, without control characters, whatever the texts hold."""

from __future__ import annotations

import io

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.text import Text

from lt_lightning.evaluate.evaluation import Evaluated, about_temperature, about_threshold, agreement
from lt_lightning.runs.formatting import loss, percent
from lt_lightning.runtime.layout import table, table_width

_NAME, _TEXT = 16, 60  # columns of a terminal
_LEAST_TEXT = 20  # with less room beside the numbers, texts are printed below them
_MATRIX = 8  # the most classes whose confusion is shown


def evaluation_text(evaluated: Evaluated, width: int | None = None) -> str:
    """Return rates, classes, the confusion of few classes and the most confident mistakes, in lines.

    Args:
        evaluated: the evaluation.
        width: the columns of the terminal, to which tables are folded; None folds nothing.
    """
    found = evaluated.evaluation
    dropped = f", {evaluated.dropped:,} without text or label left out" if evaluated.dropped else ""
    names = [_short(name, _NAME if width is None or width >= 60 else _NAME // 2) for name in evaluated.names]
    parts = [_wrap(f"{_short(evaluated.ticket)} on {_short(evaluated.rows)}: {found.rows:,} rows{dropped}", width)]
    rates = [
        ("accuracy", percent(found.accuracy)),
        ("macro F1", percent(found.macro_f1)),
        ("log loss", loss(found.log_loss)),
        ("calibration error", percent(found.calibration_error)),
    ]
    parts.append(table(rates, [0], rule=False))
    said = (agreement(evaluated), about_temperature(evaluated), about_threshold(evaluated))
    parts += [_wrap(sentence, width) for sentence in said if sentence]
    scores = [
        (name, f"{score.rows:,}", percent(score.precision), percent(score.recall), percent(score.f1))
        for name, score in zip(names, found.classes, strict=True)
    ]
    parts.append(table([("class", "rows", "precision", "recall", "F1"), *scores], [0], width=width))
    if len(names) <= _MATRIX:
        parts.append(_confusion(evaluated, names, width))
    if found.mistakes:
        parts.append(f"most confident mistakes\n{_mistakes(evaluated, names, width)}")
    return "\n\n".join(parts)


def _confusion(evaluated: Evaluated, names: list[str], width: int | None) -> str:
    """Return the confusion matrix; if names do not fit, columns are headed by numbers."""

    def rows(labels: list[str], headings: list[str]) -> list[tuple[str, ...]]:
        counts = [[f"{count:,}" for count in row] for row in evaluated.evaluation.confusion.tolist()]
        return [("taken for", *headings), *((label, *row) for label, row in zip(labels, counts, strict=True))]

    full = rows(names, names)
    if width is not None and table_width(full) > width:
        full = rows([f"{number} {name}" for number, name in enumerate(names, 1)], [*map(str, range(1, len(names) + 1))])
    return table(full, [0], width=width)


def _mistakes(evaluated: Evaluated, names: list[str], width: int | None) -> str:
    numbers = [
        (f"{number:,}", percent(one.confidence), names[one.label], names[one.predicted])
        for one, number in zip(evaluated.evaluation.mistakes, evaluated.numbers, strict=True)
    ]
    head = ("row", "confidence", "class", "taken for")
    beside = _TEXT if width is None else min(_TEXT, width - table_width([head, *numbers]) - 2)
    if beside >= _LEAST_TEXT:
        texts = [_short(text, beside) for text in evaluated.texts]
        rows = [(*head, "text"), *((*row, text) for row, text in zip(numbers, texts, strict=True))]
        return table(rows, [2, 3, 4])
    heading, rule, *lines = table([head, *numbers], [2, 3]).split("\n")
    below = [_short(text, max(1, min(_TEXT, (width or _TEXT) - 2))) for text in evaluated.texts]
    return "\n".join([heading, rule, *(f"{line}\n  {text}" for line, text in zip(lines, below, strict=True))])


def _short(text: str, length: int = 100) -> str:
    """Return the beginning of a text in one line of at most `length` columns, without invisible characters."""
    seen = " ".join("".join(letter if letter.isprintable() else " " for letter in text[: 4 * length]).split())
    seen = seen if len(text) <= 4 * length else f"{seen}…"
    return seen if cell_len(seen) <= length else f"{set_cell_size(seen, length - 1).rstrip()}…"


def _wrap(text: str, width: int | None) -> str:
    """Return a text in lines of at most `width` columns, broken between words; None breaks nothing."""
    if width is None:
        return text
    lines = Text(text).wrap(Console(file=io.StringIO()), width)
    return "\n".join(line.plain.rstrip() for line in lines)
