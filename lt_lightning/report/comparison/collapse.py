"""Find the tickets that have collapsed: run by run, since a mean mixes those that have with those that have not."""

import math
from typing import Any

import numpy as np

from lt_lightning.report.comparison.joining import is_single
from lt_lightning.runs.confusion import count_confusion
from lt_lightning.runs.reading import Run


def definition(full: str) -> str:
    """Return in words when a ticket has collapsed.

    Args:
        full: the name of the full network.
    """
    return (
        f"A ticket of one seed has collapsed if its accuracy is more than 10 points below that of the {full} of that "
        "seed, and nearer to that of always answering with the most frequent class of the test part than to that of "
        f"the {full}."
    )


def collapse_level(run: Run) -> float:
    """Return the accuracy below which a ticket of a run has collapsed, see `definition`.

    NaN if it is not known: the run is judged by another metric, has no full network, or has kept no confusion.
    """
    room = run.metric.room
    if not math.isfinite(room) or not run.metric.is_share or (is_single(run) and run.reference is None):
        return math.nan
    return float(level_below(run.metric.read(run.full), most_frequent(run), room))


def level_below(full: Any, chance: Any, room: float) -> Any:
    """Return the accuracies below which tickets have collapsed, of numbers or of columns; NaN where one is NaN.

    Args:
        full: those of the full networks.
        chance: those of always answering with the most frequent class.
        room: the least that a collapsed ticket has lost.

    >>> float(level_below(0.9, 0.25, 0.1)), float(level_below(0.4, 0.25, 0.1))
    (0.575, 0.30000000000000004)
    """
    return np.minimum(full - room, (full + chance) / 2)


def most_frequent(run: Run) -> float:
    """Return the share of the most frequent class among the test rows; NaN if the run has kept no confusion."""
    rows: dict[int, int] = {}
    # Each round is tested on the same rows.
    for (label, _), count in count_confusion(run.confusion, run.confusion[0].round if run.confusion else 0).items():
        rows[label] = rows.get(label, 0) + count
    return max(rows.values()) / sum(rows.values()) if rows else math.nan


def is_below(value: float, level: float) -> float:
    """Return 1.0 for a value below a level, 0.0 for another one, and NaN if one of the two is not known.

    >>> is_below(0.3, 0.5), is_below(0.5, 0.5), is_below(0.3, math.nan)
    (1.0, 0.0, nan)
    """
    return math.nan if math.isnan(value) or math.isnan(level) else float(value < level)
