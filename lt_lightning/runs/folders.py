"""Where runs lie: the run directories below a folder, in the order in which people would list them."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

from lt_lightning.runs.reading import is_run


def natural(text: str) -> tuple[tuple[int, int, str], ...]:
    """A key that sorts numbers within names by their size.

    >>> sorted(["job 10", "job 9", "10", "9"], key=natural)
    ['9', '10', 'job 9', 'job 10']
    """
    parts = re.split(r"([0-9]+)", text)
    # Of two numbers without zeros in front, the one with more digits is the larger.
    return tuple(
        (0, len(part.lstrip("0")), part.lstrip("0")) if i % 2 else (1, 0, part) for i, part in enumerate(parts) if part
    )


def find_runs(folder: Path) -> list[Path]:
    """The run directories in a folder, however deep, or the folder itself where it is one; in natural order.

    Links to folders are followed, to each folder once, so that a study can be gathered from links.
    """
    if is_run(folder):
        return [folder]
    found = _below(folder, set())
    return sorted(found, key=lambda run: [natural(part) for part in run.relative_to(folder).parts])


def _below(folder: Path, seen: set[str]) -> Iterator[Path]:
    for inside, names, _ in os.walk(folder, followlinks=True):
        real = os.path.realpath(inside)
        if real in seen:
            names.clear()  # a link led here before; os.walk goes no deeper
            continue
        seen.add(real)
        if is_run(Path(inside)):
            names.clear()  # no run lies within a run
            yield Path(inside)
        names.sort()
