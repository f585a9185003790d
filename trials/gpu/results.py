"""What checks found: a table in Markdown, and JSON. Imports no torch."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from lt_lightning.storage.atomic import write_whole

Status = Literal["passed", "FAILED", "skipped"]


@dataclass(frozen=True)
class Request:
    """What a check gets.

    Attributes:
        device: `cuda`, `cpu` or `stand_in`.
        seconds: the time that it may take.
        folder: an empty folder for its files.
        data: a folder with AG News, or None.
    """

    device: str
    seconds: float
    folder: Path
    data: Path | None = None


@dataclass(frozen=True)
class Outcome:
    """What a check found.

    Attributes:
        evidence: numbers, in a line.
        faults: what is wrong, a line each; none if the check passed.
        numbers: all numbers, as plain values.
    """

    evidence: str
    faults: Sequence[str] = ()
    numbers: Mapping[str, Any] = field(default_factory=dict)


class SkipError(Exception):
    """A check cannot be made here; the message is the reason."""


@dataclass(frozen=True)
class Result:
    """A row of the table.

    Attributes:
        check: the name of the check.
        status: how it ended.
        evidence: what was found, the faults, or the reason why it was skipped.
        seconds: the time that it took.
        numbers: all numbers.
    """

    check: str
    status: Status
    evidence: str
    seconds: float = 0.0
    numbers: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, check: str, outcome: Outcome, seconds: float) -> Result:
        """Return the row of an outcome; faults come before the evidence."""
        status: Status = "FAILED" if outcome.faults else "passed"
        return cls(check, status, "; ".join([*outcome.faults, outcome.evidence]), seconds, outcome.numbers)


def table(results: Sequence[Result]) -> str:
    r"""Return the results as a table in Markdown.

    >>> print(table([Result("zeros", "passed", "a | b", 1.25)]))
    | check | result | evidence | seconds |
    |---|---|---|---|
    | zeros | passed | a \| b | 1.2 |
    """
    lines = ["| check | result | evidence | seconds |", "|---|---|---|---|"]
    for one in results:
        evidence = " ".join(one.evidence.split()).replace("|", "\\|")
        lines.append(f"| {one.check} | {one.status} | {evidence} | {one.seconds:.1f} |")
    return "\n".join(lines)


def write(path: Path, machine: Mapping[str, Any], results: Sequence[Result]) -> None:
    """Write the results so far as JSON, whole or not at all."""
    content = {"trial": "gpu", "machine": dict(machine), "results": [asdict(one) for one in results]}
    write_whole(path, json.dumps(content, indent=2) + "\n")


def exit_code(results: Sequence[Result]) -> int:
    """Return 1 if a check failed, else 0."""
    return int(any(one.status == "FAILED" for one in results))
