"""Put errors and instabilities into words: what the error is, and in which unit it is shown."""

from __future__ import annotations

import math
from dataclasses import dataclass

from lt_lightning.connect.records import STABLE, RoundCurves
from lt_lightning.runs.formatting import decimal
from lt_lightning.runs.reading import Run


@dataclass(frozen=True)
class Wording:
    """How errors are named and shown.

    Attributes:
        metric: the metric that the error is made of, such as `accuracy`.
        higher: whether higher values of it are better, so that the error is 1 − metric.
        is_share: whether it is a fraction, which is shown in per cent.
    """

    metric: str
    higher: bool = True
    is_share: bool = True

    @classmethod
    def of(cls, run: Run, judged: tuple[str, str] | None) -> Wording:
        """Return the wording of a run; `judged` is the logged name and mode of a module of the user's own."""
        if judged is None:
            return cls(run.description.words.valid)
        return cls(judged[0], judged[1] == "max", run.metric.is_share)

    @property
    def error(self) -> str:
        """Return what the error is."""
        return f"1 − {self.metric}" if self.higher else self.metric

    @property
    def scale(self) -> float:
        """Return the factor of values that are drawn."""
        return 100.0 if self.is_share else 1.0

    def axis(self, what: str) -> str:
        """Return the name of an axis with its unit.

        >>> Wording("accuracy").axis("error"), Wording("val/mse", False, False).axis("error")
        ('error (%)', 'error: val/mse')
        """
        return f"{what} (%)" if self.is_share else f"{what}: {self.error}"

    def show(self, error: float) -> str:
        """Return an error as the text of a cell."""
        return f"{100 * error:.2f} %" if self.is_share and math.isfinite(error) else decimal(error, 4)

    def cell(self, instability: float) -> str:
        """Return an instability as the text of a cell."""
        return f"{100 * instability:.2f}" if self.is_share and math.isfinite(instability) else decimal(instability, 4)

    def points(self, instability: float) -> str:
        """Return an instability with its unit."""
        return f"{self.cell(instability)} points" if self.is_share else self.cell(instability)

    def verdict(self, found: RoundCurves) -> str:
        """Return `stable` or `unstable`, by the part that networks are judged on; a dash without a limit."""
        value = found.instability(found.part)
        if not self.is_share or math.isnan(value):
            return "–"
        return "stable" if value < STABLE else "unstable"
