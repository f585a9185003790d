"""Remember the last step that each value was logged at, so that a resumed run logs no point twice."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from lt_lightning.storage.atomic import open_regular
from lt_lightning.trackers.base import ROUND


def last_steps(rows: Iterable[Mapping[str, Any]], axis: str) -> dict[str, int]:
    """Return the last step of each value, and of `ticket/round` the last round.

    Args:
        rows: what a tracker has, a row for the values that were logged together.
        axis: the name of the step in a row; a row without it counts as step −1.
    """
    steps: dict[str, int] = {}
    for row in rows:
        at: dict[str, Any] = dict.fromkeys(row, row.get(axis, -1)) | ({ROUND: row[ROUND]} if ROUND in row else {})
        steps |= {key: max(step, steps.get(key, -1)) for key, step in at.items()}
    return steps


class Marks:
    """The last step of each value that a tracker has taken, in a small file that is written after each.

    A resumed run computes the points between its checkpoint and the interruption again, with the same values. The file
    need not survive a power failure: a point that is logged twice is a blemish, no loss.

    Args:
        path: the file; None to remember no longer than this process.
        fresh: whether it is of another run, so that nothing in it counts.
    """

    def __init__(self, path: Path | None, *, fresh: bool) -> None:
        self._path = path
        self._steps: dict[str, int] = {}
        if path is not None and not fresh:
            with suppress(OSError, ValueError), open_regular(path) as file:
                found = json.load(file)
                self._steps = {str(key): int(step) for key, step in found.items()}

    def replace(self, steps: Mapping[str, int]) -> None:
        """Replace the steps by those that the tracker itself reports."""
        self._steps = dict(steps)

    def new(self, values: Mapping[str, float], step: int) -> dict[str, float]:
        """Return the values that were not logged at this step or later."""
        return {key: value for key, value in values.items() if self._steps.get(key, -1) < step}

    def set(self, values: Mapping[str, float], step: int) -> None:
        """Record that values were logged at a step."""
        self._steps |= {key: max(step, self._steps.get(key, -1)) for key in values}
        if self._path is None:
            return
        temporary = self._path.with_suffix(".part")
        temporary.write_text(json.dumps(self._steps), encoding="utf-8")
        temporary.replace(self._path)
