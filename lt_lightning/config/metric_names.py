"""Names of logged metrics: the part of the data and the quantity. Imports the standard library alone."""

from __future__ import annotations

import re
from typing import NamedTuple

_PART = re.compile(r"(train|training|val|valid|validation|test)[/_.-](.+)", re.DOTALL)
_PARTS = {"training": "train", "val": "valid", "validation": "valid"}
_LOWER = frozenset({"loss", "error", "err", "mse", "rmse", "mae", "perplexity", "ece", "nll", "wer", "cer"})
_SHARES = frozenset({"acc", "accuracy", "f1", "precision", "recall", "auc", "auroc", "ap", "map", "iou", "dice"})
_HIGHER = _SHARES | {"mcc", "kappa", "r2"}


class LoggedName(NamedTuple):
    """The name of a logged value.

    Attributes:
        part: `train`, `valid` or `test`; empty if the name has none.
        quantity: the rest of the name, such as `acc`.
    """

    part: str
    quantity: str

    @property
    def mode(self) -> str | None:
        """Return `max` or `min`, the values that are better; None for an unknown quantity."""
        return "max" if self._last_word in _HIGHER else "min" if self._last_word in _LOWER else None

    @property
    def is_share(self) -> bool:
        """Return whether the quantity is a known fraction, which is shown in per cent."""
        return self._last_word in _SHARES

    @property
    def _last_word(self) -> str:
        return re.split(r"[/_.\-\s]", self.quantity.lower())[-1]


def parse_name(name: str) -> LoggedName:
    """Return the part and the quantity of a logged name.

    >>> parse_name("val/acc") == parse_name("valid_accuracy") == LoggedName("valid", "acc")
    True
    >>> parse_name("auroc"), parse_name("auroc").mode
    (LoggedName(part='', quantity='auroc'), 'max')
    """
    match = _PART.fullmatch(name)
    part, quantity = (_PARTS.get(match[1], match[1]), match[2]) if match else ("", name)
    return LoggedName(part, "acc" if quantity == "accuracy" else quantity)
