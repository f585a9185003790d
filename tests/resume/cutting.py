"""What the tests of resuming share: how a run is cut off, and how long it would have been."""

import json
from collections.abc import Callable
from pathlib import Path

from lt_lightning.runs.packing import pack_ticket
from lt_lightning.runs.round_ticket import RoundTicket
from lt_lightning.runs.rounds import seal_json, ticket_path

STEPS = 14
"""Batches an epoch, of the 105 training rows."""
EPOCHS = 3
Play = Callable[..., Path]


def packed(run: Path, number: int, path: Path) -> Path:
    """The ticket of a run's round in a file, with weights to rewind to."""
    ticket = RoundTicket.load(ticket_path(run, number))
    pack_ticket(ticket, {"first": None}, first=RoundTicket.load(ticket_path(run, 0)).weights).save(path)
    return path


def age(run: Path) -> None:
    """Make a run like those of 0.4, whose `run.json` has no seal and whose rounds have no settings on record."""
    description = json.loads((run / "run.json").read_text())
    del description["sha256"], description["cpu"]
    (run / "run.json").write_text(json.dumps({**description, "format": 1}))
    for path in (run / "state").glob("round_*.json"):
        record = json.loads(path.read_text())
        del record["sha256"], record["settings"]
        path.write_bytes(seal_json(record))


class StopError(Exception):
    """What cuts a run off."""
