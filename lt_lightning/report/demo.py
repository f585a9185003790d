"""Put the smallest winning ticket of a run on its page, which then classifies what is typed."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from markupsafe import Markup

from lt_lightning.errors import SettingError
from lt_lightning.runs.formatting import percent
from lt_lightning.runs.reading import Run
from lt_lightning.runs.records import Record
from lt_lightning.runs.rounds import ticket_path
from lt_lightning.runs.winners import smallest_winner
from lt_lightning.tickets.web import script, script_policy, style

MOST = 1_000_000
"""The number of bytes of the largest ticket that a page holds."""
_OF_A_WEIGHT = 3
"""The number of bytes that a living weight takes at least, compressed."""


@dataclass(frozen=True)
class Demo:
    """A ticket that runs in a page.

    Attributes:
        ticket: its file; None if it is too large.
        title: its name, round and density.
    """

    ticket: bytes | None
    title: str

    @property
    def data(self) -> str:
        """The file in base64."""
        return base64.b64encode(self.ticket or b"").decode()

    @property
    def script(self) -> Markup:
        """The script that shows it."""
        return Markup(script())

    @property
    def policy(self) -> Markup:
        """What the security policy of the page allows to run."""
        return Markup(script_policy())

    @property
    def style(self) -> Markup:
        """The style sheet of what the script shows."""
        return Markup(style())


def find_demo(run: Run) -> Demo | None:
    """Return the smallest winning ticket of a run for its page.

    None if no ticket wins, its file is gone or damaged, or it cannot run in a browser: that of a pre-trained encoder,
    of spaCy's words or of a network or data of one's own.
    """
    about, winner = run.description, smallest_winner(run.compared, run.metric)
    if winner is None or not about.task.sorts_texts or about.encoder is not None:
        return None
    path = ticket_path(run.folder, winner.round)
    if not path.is_file():
        return None
    title = f"{about.words.winner}, round {winner.round} with {percent(winner.density)} of the weights"
    if winner.alive * _OF_A_WEIGHT > MOST:
        return Demo(None, title)
    try:
        ticket = _pack(run, winner, path)
    except (SettingError, ValueError):  # a page is drawn of what is sound of a run; `export` names the fault
        return None
    return None if ticket is None else Demo(ticket if len(ticket) <= MOST else None, title)


def _pack(run: Run, record: Record, path: Path) -> bytes | None:
    """Return the file that `export` writes, without first weights; None if it needs spaCy.

    Raises:
        SettingError: the round's ticket is damaged.
        ValueError: it is no text classifier of this package's.
    """
    from lt_lightning.runs.packing import describe_origin, pack_ticket  # imports torch
    from lt_lightning.runs.round_ticket import RoundTicket, check_nesting

    ticket = RoundTicket.load(path)
    check_nesting(ticket.about)
    packed = pack_ticket(ticket, describe_origin(run, record))
    if packed.about["splitter"] == "spacy":
        return None
    with TemporaryDirectory() as folder:
        packed.save(Path(folder, path.name))
        return Path(folder, path.name).read_bytes()
