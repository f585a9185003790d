"""Which of a run's tickets stay on disk, and what to do about one that is not there."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from lt_lightning.runs.description import Description
from lt_lightning.runs.metrics import Metric
from lt_lightning.runs.records import Record
from lt_lightning.runs.rounds import ticket_path
from lt_lightning.runs.winners import is_winner


def drop_tickets(run: Path, records: Sequence[Record], keep: str, metric: Metric) -> None:
    """Remove the tickets that are not to be kept. The newest always stays: the run goes on from it.

    Args:
        run: the run directory.
        records: the rounds that are on record, from round 0 on.
        keep: `all`, `last`, or `winners`: those that are on the validation part at least as good as round 0.
        metric: what the run is judged by.

    Raises:
        OSError: if a file cannot be removed.
    """
    if keep == "all":
        return
    for record in records[:-1]:
        if keep == "last" or not is_winner(record, records[0], metric):
            ticket_path(run, record.round).unlink(missing_ok=True)


def kept_rounds(run: Path) -> list[int]:
    """Return the rounds whose tickets are on disk, in their order."""
    found = (re.fullmatch(r"round_([0-9]{2,6})\.safetensors", path.name) for path in (run / "tickets").glob("round_*"))
    return sorted(int(match[1]) for match in found if match)


def explain_missing(run: Path, description: Description, number: int) -> str:
    """Return an error message for a round whose ticket is not on disk."""
    path, keep = ticket_path(run, number), description.config.tickets.keep
    why = f": tickets.keep={keep} did not keep it" if keep in ("last", "winners") else ""
    there = kept_rounds(run)
    if not there:
        return f"{path}: no such file{why}, and no other round's ticket is there; restore it from a copy"
    rounds = f"round {there[0]} is" if len(there) == 1 else f"rounds {', '.join(map(str, there))} are"
    return f"{path}: no such file{why}; {rounds} there: give --round {there[-1]}, or restore the file from a copy"
