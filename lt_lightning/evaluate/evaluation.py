"""A ticket evaluated: on what, by whom, what came of it, and what of that is put into words and JSON."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lt_lightning.report import facts
from lt_lightning.runs.confusion import Counts
from lt_lightning.runs.formatting import percent
from lt_lightning.tickets.scores import Evaluation

FORMAT = "lt-lightning evaluation 1"
LONGEST = 2000
"""So many letters of a text are kept: it may be a book."""


@dataclass(frozen=True)
class Evaluated:
    """What there is to say.

    Attributes:
        ticket: the name of its file.
        about: what the ticket says of itself.
        class_names: its classes.
        data: what people call the rows.
        source: where they were read from.
        split: which part of it; None of a single file.
        dropped: how many rows without text or label were left out.
        fingerprint: what tells the rows, with their labels, from any others.
        evaluation: the numbers.
        numbers: of the row of each mistake, its number as people count.
        texts: the text of each mistake.
    """

    ticket: str
    about: Mapping[str, Any]
    class_names: Sequence[str]
    data: str
    source: str
    split: str | None
    dropped: int
    fingerprint: str
    evaluation: Evaluation
    numbers: Sequence[int]
    texts: Sequence[str]

    @property
    def rows(self) -> str:
        """What the rows are, e.g. `AG News, test`."""
        return self.data if self.split is None else f"{self.data}, {self.split}"

    @property
    def density(self) -> float:
        """The share of the ticket's weights that are alive; NaN where it does not say."""
        sparsity = self.about.get("sparsity")
        return 1 - sparsity if isinstance(sparsity, float) else float("nan")

    @property
    def counts(self) -> Counts:
        """The confusion as pairs of classes and how many rows each has, none that has none."""
        found = enumerate(self.evaluation.confusion.tolist())
        return {(label, taken): count for label, row in found for taken, count in enumerate(row) if count}

    @property
    def names(self) -> list[str]:
        """The classes' names as they can be seen."""
        return [facts.visible(facts.say(name)) for name in self.class_names]


def has_same_rows(evaluated: Evaluated) -> bool:
    """Return whether the rows are those of the run's test split."""
    content = evaluated.about.get("fingerprint")
    return isinstance(content, Mapping) and content.get("test") == evaluated.fingerprint


def _is_halved(evaluated: Evaluated) -> bool:
    """Return whether the weights were rounded, and measured again on the whole test split."""
    return evaluated.about.get("values") == "float16" and isinstance(evaluated.about.get("half_test_acc"), float)


def _measured_by_the_run(evaluated: Evaluated) -> Any:
    return evaluated.about.get("half_test_acc" if _is_halved(evaluated) else "test_acc")


def _tested_part(evaluated: Evaluated) -> Any:
    """Return which rows of the test split the run measured on, if not all."""
    return None if _is_halved(evaluated) else evaluated.about.get("tested_on")


def agreement(evaluated: Evaluated) -> str:
    """How the accuracy compares with the run's own, where the rows are those that it tested on; else nothing."""
    measured, found, part = _measured_by_the_run(evaluated), evaluated.evaluation, _tested_part(evaluated)
    if not has_same_rows(evaluated) or not isinstance(measured, float) or not math.isfinite(measured):
        return ""
    if part:
        return f"The run measured {percent(measured)}, on {facts.say(part)} alone."
    # The run kept a share in single precision; so many rows it was.
    apart = found.right - round(measured * found.rows)
    if apart == 0:
        return f"The run tested on these rows, and measured the same: {percent(measured)}."
    return (
        f"The run tested on these rows, and measured {percent(measured)}: here {abs(apart):,} "
        f"row{'s' * (abs(apart) > 1)} {'more' if apart > 0 else 'fewer'} came out right."
    )


def as_json(evaluated: Evaluated) -> dict[str, Any]:
    """All of it as plain values; what is not defined, such as the recall of a class without rows, is null."""
    found, names = evaluated.evaluation, list(evaluated.class_names)
    return {
        "format": FORMAT,
        "ticket": {"file": evaluated.ticket, **{key: evaluated.about.get(key) for key in _TOLD}},
        "data": {
            "name": evaluated.data,
            "source": evaluated.source,
            "split": evaluated.split,
            "fingerprint": evaluated.fingerprint,
            "tested_by_the_run": bool(agreement(evaluated)) and not _tested_part(evaluated),
            "dropped": evaluated.dropped,
        },
        "rows": found.rows,
        "right": found.right,
        "accuracy": found.accuracy,
        "macro_f1": _defined(found.macro_f1),
        "log_loss": found.log_loss,
        "calibration_error": found.calibration_error,
        "class_names": names,
        "classes": [
            {
                "name": name,
                "rows": score.rows,
                "taken": score.taken,
                "right": score.right,
                "precision": _defined(score.precision),
                "recall": _defined(score.recall),
                "f1": _defined(score.f1),
            }
            for name, score in zip(names, found.classes, strict=True)
        ],
        "confusion": found.confusion.tolist(),
        "reliability": [
            {
                "low": bin.low,
                "high": bin.high,
                "rows": bin.rows,
                "confidence": _defined(bin.confidence),
                "accuracy": _defined(bin.accuracy),
            }
            for bin in found.bins
        ],
        "mistakes": [
            {
                "row": number,
                "label": names[mistake.label],
                "predicted": names[mistake.predicted],
                "confidence": mistake.confidence,
                "text": text[:LONGEST],
            }
            for mistake, number, text in zip(found.mistakes, evaluated.numbers, evaluated.texts, strict=True)
        ],
    }


_TOLD = (
    "experiment", "run", "corpus", "seed", "round", "sparsity", "alive", "total", "values", "test_acc", "tested_on",
)  # fmt: skip


def _defined(value: float) -> float | None:
    return None if math.isnan(value) else value
