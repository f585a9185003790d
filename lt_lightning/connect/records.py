"""Keep the measured curves of each round, sealed, and write the tables that show all of them."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from lt_lightning.lottery.connectivity import instability, line
from lt_lightning.storage.atomic import read_regular, write_whole
from lt_lightning.storage.sealed_json import seal_json

_FORMAT, _VERSION = "lt-lightning curves", "1"
_LARGEST = 2**26

STABLE = 0.02
"""The instability below which copies of a network are called stable: 2 percentage points of the error."""


@dataclass(frozen=True)
class Curve:
    """The errors on the line between two copies.

    Attributes:
        pair: the labels of the copies.
        errors: the errors by part, from the first copy to the second.
    """

    pair: tuple[str, str]
    errors: Mapping[str, tuple[float, ...]]

    @property
    def alphas(self) -> list[float]:
        """Return the positions of the points."""
        return line(len(next(iter(self.errors.values()))))

    @property
    def name(self) -> str:
        """Return the labels as one word."""
        return "-".join(self.pair)


@dataclass(frozen=True)
class RoundCurves:
    """The measurements of a round.

    Attributes:
        round: the round.
        alive: the number of entries that its mask leaves alive.
        total: the number of prunable entries.
        tickets: the seals of the copies by their labels.
        part: the part on which networks are judged, `test`, or `valid` of a module without a test.
        curves: a curve for each pair of copies.
    """

    round: int
    alive: int
    total: int
    tickets: Mapping[str, str]
    part: str
    curves: tuple[Curve, ...]

    @property
    def density(self) -> float:
        """Return the share of entries that are alive."""
        return self.alive / self.total if self.total else 1.0

    @property
    def parts(self) -> tuple[str, str]:
        """Return the measured parts: that of `part`, and `train`."""
        return self.part, "train"

    def instability(self, part: str) -> float:
        """Return the mean instability over all pairs."""
        return fmean(instability(curve.errors[part]) for curve in self.curves)

    def ends(self, part: str) -> float:
        """Return the mean error of the copies, each as often as it is an end of a line."""
        return fmean((curve.errors[part][0] + curve.errors[part][-1]) / 2 for curve in self.curves)

    def highest(self, part: str) -> float:
        """Return the mean over all pairs of the highest error on the line."""
        return fmean(max(curve.errors[part]) for curve in self.curves)


def write_curves(folder: Path, found: RoundCurves) -> None:
    """Keep the curves of a round; raise OSError if the file cannot be written."""
    path = _path(folder, found.round)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, seal_json({"format": _FORMAT, "version": _VERSION, **asdict(found)}))


def read_curves(folder: Path, round: int) -> RoundCurves | None:
    """Return the curves of a round; None if they were not measured, or their file is damaged."""
    try:
        text = read_regular(_path(folder, round), _LARGEST)
        content: Any = json.loads(text)
        del content["sha256"]
        if seal_json(content) != text or (content.pop("format"), content.pop("version")) != (_FORMAT, _VERSION):
            return None
        curves = tuple(
            Curve(tuple(one["pair"]), {part: tuple(errors) for part, errors in one["errors"].items()})
            for one in content.pop("curves")
        )
        return RoundCurves(**content, curves=curves)
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None


def read_all(folder: Path) -> list[RoundCurves]:
    """Return the curves of all rounds that are kept in a folder, in the order of the rounds."""
    names = [path.name.removeprefix("round_") for path in folder.glob("round_*")]
    found = (read_curves(folder, int(name)) for name in sorted(names, key=len) if re.fullmatch("[0-9]{2,6}", name))
    return sorted((one for one in found if one is not None), key=lambda one: one.round)


def write_tables(folder: Path, rounds: Sequence[RoundCurves]) -> None:
    """Write `instability.csv`, a row per round, and `curves.csv`, a row per point; raise OSError if one cannot be."""
    summary = [
        {
            "round": one.round, "sparsity": 1 - one.density, "alive": one.alive, "total": one.total,
            "copies": " ".join(one.tickets), "pairs": len(one.curves), "points": len(one.curves[0].alphas),
            "judged_on": one.part,
            **{f"instability_{name}": one.instability(part) for name, part in zip(_COLUMNS, one.parts, strict=True)},
            **{f"error_{name}": one.ends(part) for name, part in zip(_COLUMNS, one.parts, strict=True)},
            **{f"highest_{name}": one.highest(part) for name, part in zip(_COLUMNS, one.parts, strict=True)},
        }
        for one in rounds
    ]  # fmt: skip
    points = [
        {"round": one.round, "pair": curve.name, "alpha": alpha, "part": part, "error": error}
        for one in rounds
        for curve in one.curves
        for part, errors in curve.errors.items()
        for alpha, error in zip(curve.alphas, errors, strict=True)
    ]
    write_whole(folder / "curves.csv", _table(points))
    write_whole(folder / "instability.csv", _table(summary))


_COLUMNS = ("test", "train")


def _table(rows: Sequence[Mapping[str, Any]]) -> bytes:
    """Return rows as the bytes of a CSV file; floats read back as the same floats."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(
        {key: repr(value) if isinstance(value, float) else value for key, value in row.items()} for row in rows
    )
    return text.getvalue().encode()


def _path(folder: Path, round: int) -> Path:
    return folder / f"round_{round:02}" / "curves.json"
