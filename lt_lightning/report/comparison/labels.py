"""Label and order groups of runs by the settings that differ."""

from collections.abc import Mapping, Sequence
from typing import Any

from lt_lightning.lottery.schedules.registry import SCHEDULES
from lt_lightning.report import facts
from lt_lightning.report.comparison.joining import UNREAD
from lt_lightning.runs.formatting import exact, show_setting
from lt_lightning.runs.reading import natural

REWIND, TICKET, MASK = "pruning.rewind", "pruning.ticket", "pruning.mask"
SCHEDULE, CRITERION = "pruning.schedule", "pruning.criterion"
BRANCH = "branch"
"""Whether runs retrain tickets of other runs, where nothing else tells them from these."""

_ORDERS = {
    REWIND: ("init", "epoch", "step", "last", "none", "shuffle", "random"),
    MASK: ("pruned", "shuffle", "random", "invert"),
    SCHEDULE: ("rounds", *(name for name in SCHEDULES if name != "rounds")),
    BRANCH: ("no", "yes"),
}


def label_keys(keys: Sequence[str], settings: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the settings that labels name: where schedules differ, those that follow from schedule and criterion are
    left out.
    """
    named = list(keys)
    if SCHEDULE not in named:
        return named
    for key in keys:
        if not key.startswith("pruning.") or key in (SCHEDULE, CRITERION, REWIND, MASK, TICKET):
            continue
        others = [one for one in named if one != key]
        labels = {exact([of_group[one] for one in others]) for of_group in settings}
        if len(labels) == len(settings):
            named = others
    return named


def label_of(settings: Mapping[str, Any]) -> str:
    """Return a label: the settings with their values, but those that are not read."""
    short = [key.rpartition(".")[2] for key in settings]
    named = [
        (shorten(name if short.count(name) == 1 else key, 40), shorten(show_setting(value), 56))
        for name, (key, value) in zip(short, settings.items(), strict=True)
        if value != UNREAD
    ]
    # JSON can hold half of a surrogate pair, which no file can.
    return facts.say(", ".join(" ".join(words) for words in named)) if named else "all runs"


def shorten(value: Any, length: int = 80) -> str:
    """Return a value as a text of at most so many characters."""
    said = " ".join(facts.say(value).split())
    return said if len(said) <= length else f"{said[: length - 1]}…"


def order_of(key: str, value: Any) -> tuple[Any, ...]:
    """Return a key that sorts the values of a setting as readers expect."""
    text = show_setting(value)
    if key in _ORDERS:
        kind, kinds = text.partition(":")[0], _ORDERS[key]
        return (kinds.index(kind) if kind in kinds else len(kinds), natural(text))
    if value is None:
        return (-1, 0, ())
    if isinstance(value, (int, float)):
        return (0, value, ())
    return (1, 0, natural(text))
