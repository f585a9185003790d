"""Evaluate a ticket, compare the result with the run's own, and convert it to JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from lt_lightning.evaluate.reasons import Reasons, find_reasons, word_sums
from lt_lightning.evaluate.request import Request, read_texts
from lt_lightning.report import facts
from lt_lightning.runs.confusion import Counts
from lt_lightning.runs.formatting import loss, percent
from lt_lightning.tickets.reasons import speaking
from lt_lightning.tickets.scores import THRESHOLDS, Evaluation, evaluate
from lt_lightning.tickets.ticket import Ticket

FORMAT = "lt-lightning evaluation 1"
LONGEST = 2000
"""The number of characters of a text that are kept: it may be a book."""

_BATCH = 1000  # texts that are converted to Python strings at a time

_KEPT = (
    "experiment", "run", "corpus", "seed", "round", "sparsity", "alive", "total", "values", "test_acc", "tested_on",
)  # fmt: skip


@dataclass(frozen=True)
class Evaluated:
    """An evaluated ticket."""

    ticket: str  # the name of its file
    about: Mapping[str, Any]  # the ticket's metadata
    class_names: Sequence[str]  # its classes
    data: str  # the name of the rows
    source: str  # where they were read from
    split: str | None  # the part of the corpus; None for a single file
    dropped: int  # the number of rows without text or label
    fingerprint: str  # the fingerprint of rows and labels
    evaluation: Evaluation  # the scores, of probabilities by the ticket's temperature
    raw: Evaluation  # the scores without it
    temperature: float  # 1 if the ticket has none
    threshold: float | None  # the probability below which a row is not answered, if the user chose one
    numbers: Sequence[int]  # for each mistake its row, counted from 1
    texts: Sequence[str]  # for each mistake its text
    reasons: Reasons | None = None  # the words behind the answers; None for the ticket of a pre-trained encoder

    @property
    def rows(self) -> str:
        """Return the name of the rows, e.g. `AG News, test`."""
        return self.data if self.split is None else f"{self.data}, {self.split}"

    @property
    def density(self) -> float:
        """Return the share of the ticket's weights that are alive; NaN if it is not recorded."""
        sparsity = self.about.get("sparsity")
        return 1 - sparsity if isinstance(sparsity, float) else float("nan")

    @property
    def counts(self) -> Counts:
        """Return the number of rows per pair of class and predicted class, without zeros."""
        found = enumerate(self.evaluation.confusion.tolist())
        return {(label, taken): count for label, row in found for taken, count in enumerate(row) if count}

    @property
    def names(self) -> list[str]:
        """Return the classes' names with invisible characters shown."""
        return [facts.visible(facts.say(name)) for name in self.class_names]

    @property
    def _rounded_accuracy(self) -> float | None:
        """Return the accuracy of rounded weights on the whole test split; None if they are not rounded."""
        measured = self.about.get("rounded_test_acc", self.about.get("half_test_acc"))  # the name in version 1
        return measured if isinstance(measured, float) else None

    @property
    def tested_part(self) -> Any:
        """Return which rows of the test split the run measured on, if not all."""
        return None if self._rounded_accuracy is not None else self.about.get("tested_on")

    @property
    def run_accuracy(self) -> float | None:
        """Return the accuracy that the run measured on these rows, or on a part of them; None if on others."""
        content = self.about.get("fingerprint")
        measured = self.about.get("test_acc") if self._rounded_accuracy is None else self._rounded_accuracy
        same = isinstance(content, Mapping) and content.get("test") == self.fingerprint
        return measured if same and isinstance(measured, float) and math.isfinite(measured) else None


def evaluate_ticket(
    ticket: Ticket, name: str, request: Request, mistakes: int = 10, threshold: float | None = None
) -> Evaluated:
    """Compare a ticket's predictions with the labels of texts.

    Args:
        ticket: the ticket.
        name: the name of its file.
        request: the texts.
        mistakes: the number of most confident mistakes to keep.
        threshold: the probability below which a row is not answered.

    Raises:
        SettingError: the texts cannot be read, or have labels that the ticket does not know.
    """
    texts = read_texts(request, ticket.class_names, ticket.packed.about)
    parts, sums = list[np.ndarray](), word_sums(ticket)
    for batch in texts.batches(_BATCH):
        parts.append(ticket.logits(batch))
        if sums is not None:
            sums.add(ticket.ids(batch))
    logits = np.concatenate(parts)
    found = evaluate(logits / ticket.temperature, texts.labels, mistakes)
    rows = [mistake.row for mistake in found.mistakes]
    mistaken = texts.texts(rows)
    return Evaluated(
        ticket=name,
        about=ticket.packed.about,
        class_names=ticket.class_names,
        data=request.name if request.file or request.data.name == "files" else request.data.name,
        source=texts.source,
        split=request.split,
        dropped=texts.dropped,
        fingerprint=texts.fingerprint,
        evaluation=found,
        raw=evaluate(logits, texts.labels, 0),
        temperature=ticket.temperature,
        threshold=threshold,
        numbers=texts.numbers[rows].tolist(),
        texts=mistaken,
        reasons=find_reasons(ticket, mistaken, sums),
    )


def agreement(evaluated: Evaluated) -> str:
    """Compare the accuracy with the run's own in a sentence; empty if the run tested on other rows."""
    measured, found = evaluated.run_accuracy, evaluated.evaluation
    if measured is None:
        return ""
    if evaluated.tested_part:
        return f"The run measured {percent(measured)}, on {facts.say(evaluated.tested_part)} alone."
    # The run kept a share in single precision; from it follows the number of rows.
    apart = found.right - round(measured * found.rows)
    if apart == 0:
        return f"The run tested on these rows, and measured the same: {percent(measured)}."
    return (
        f"The run tested on these rows, and measured {percent(measured)}: here {abs(apart):,} "
        f"row{'s' * (abs(apart) > 1)} {'more' if apart > 0 else 'fewer'} came out right."
    )


def about_temperature(evaluated: Evaluated) -> str:
    """Say what the ticket's temperature changes, in a sentence; empty if it has none."""
    if evaluated.temperature == 1:
        return ""
    raw = evaluated.raw
    return (
        f"Logits are divided by the ticket's temperature, {evaluated.temperature:g}; without it the log loss is "
        f"{loss(raw.log_loss)} and the calibration error {percent(raw.calibration_error)}."
    )


def about_threshold(evaluated: Evaluated) -> str:
    """Say what is answered above the user's threshold, in a sentence; empty if there is none."""
    if evaluated.threshold is None:
        return ""
    one = evaluated.evaluation.answered(evaluated.threshold)
    said = f"With a threshold of {one.threshold:g}, {percent(one.coverage)} of the rows are answered"
    return f"{said}, {percent(one.accuracy)} of them right." if one.answered else f"{said}."


def as_json(evaluated: Evaluated) -> dict[str, Any]:
    """Return the evaluation as plain values; undefined ones, such as the recall of a class without rows, are null."""
    found, names = evaluated.evaluation, list(evaluated.class_names)
    scores = ("rows", "taken", "right", "precision", "recall", "f1")
    return {
        "format": FORMAT,
        "ticket": {"file": evaluated.ticket, **{key: evaluated.about.get(key) for key in _KEPT}},
        "data": {
            "name": evaluated.data,
            "source": evaluated.source,
            "split": evaluated.split,
            "fingerprint": evaluated.fingerprint,
            "tested_by_the_run": evaluated.run_accuracy is not None and not evaluated.tested_part,
            "dropped": evaluated.dropped,
        },
        "rows": found.rows,
        "right": found.right,
        "accuracy": found.accuracy,
        "macro_f1": _defined(found.macro_f1),
        "log_loss": found.log_loss,
        "calibration_error": found.calibration_error,
        "temperature": evaluated.temperature,
        "raw": {"log_loss": evaluated.raw.log_loss, "calibration_error": evaluated.raw.calibration_error},
        "coverage": [
            {key: _defined(value) for key, value in asdict(found.answered(threshold)).items()}
            for threshold in _thresholds(evaluated)
        ],
        "class_names": names,
        "classes": [
            {"name": name, **{key: _defined(getattr(score, key)) for key in scores}}
            for name, score in zip(names, found.classes, strict=True)
        ],
        "confusion": found.confusion.tolist(),
        "reliability": [{key: _defined(value) for key, value in asdict(bin).items()} for bin in found.bins],
        "mistakes": [
            {
                "row": number,
                "label": names[mistake.label],
                "predicted": names[mistake.predicted],
                "confidence": mistake.confidence,
                "text": text[:LONGEST],
                "reasons": _reasons(evaluated, place),
            }
            for place, (mistake, number, text) in enumerate(
                zip(found.mistakes, evaluated.numbers, evaluated.texts, strict=True)
            )
        ],
        "class_words": _class_words(evaluated.reasons),
    }


def _reasons(evaluated: Evaluated, number: int) -> dict[str, Any] | None:
    """Return the words that spoke for the two classes of a mistake."""
    found = evaluated.reasons and evaluated.reasons.mistakes[number]
    if found is None:
        return None
    mistake = evaluated.evaluation.mistakes[number]
    return {
        "method": found.method,
        **{
            key: [{"word": word, "share": share} for word, share in speaking(found, place)]
            for key, place in (("predicted", mistake.predicted), ("label", mistake.label))
        },
    }


def _class_words(reasons: Reasons | None) -> list[list[dict[str, Any]]] | None:
    """Return the words that carry each class, in the order of `class_names`."""
    if reasons is None or reasons.classes is None:
        return None
    return [[{"word": one.word, "sum": one.total, "texts": one.texts} for one in words] for words in reasons.classes]


def _thresholds(evaluated: Evaluated) -> list[float]:
    chosen = list[float]() if evaluated.threshold is None else [evaluated.threshold]
    return sorted({*THRESHOLDS, *chosen})


def _defined(value: float) -> float | None:
    return None if math.isnan(value) else value
