"""Where an export's files go: all named after the ticket, none of them over a file of something else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lt_lightning.errors import SettingError
from lt_lightning.storage.regular import read_regular

_ENDING = ".safetensors"
_MARK = "<!-- lt-lightning's model card of {name} -->"


@dataclass(frozen=True)
class Places:
    """The files of an export.

    Attributes:
        ticket: the packed ticket.
        card: its model card: `README.md`, unless one of something else lies there; that stays.
        picture: the card's figure.
        onnx: the ONNX graph.
        dense: the dense weights.
        tokenizer: what makes ids of texts.
    """

    ticket: Path
    card: Path
    picture: Path
    onnx: Path
    dense: Path
    tokenizer: Path

    @classmethod
    def beside(cls, ticket: Path) -> Places:
        """The files that belong to a ticket."""
        stem = ticket.name.removesuffix(_ENDING)
        card = ticket.with_name("README.md")
        if card.exists() and not _is_card_of(card, ticket):
            card = ticket.with_name(f"{stem}.README.md")
        names = (f"{stem}_accuracy.png", f"{stem}.onnx", f"{stem}_dense{_ENDING}", f"{stem}_tokenizer.json")
        return cls(ticket, card, *map(ticket.with_name, names))

    def check_free(self, wanted: Sequence[Path], again: bool) -> None:
        """See that no file of something else is in the way.

        Args:
            wanted: what is to be written beside the ticket.
            again: the ticket was exported before, and so were these.

        Raises:
            SettingError: naming the file that is in the way.
        """
        if self.ticket in (self.ticket.with_name("README.md"), self.card, *wanted):
            raise SettingError(f"--output: {self.ticket}: another file of the export is called so; give another name")
        for path in wanted:
            foreign = not _is_card_of(path, self.ticket) if path == self.card else not again
            if path.exists() and foreign:
                raise SettingError(f"--output: {path} is there already, of something else; give another name")


def mark_of(ticket: Path) -> str:
    """The line by which a card is known as that of a ticket."""
    return _MARK.format(name=ticket.name)


def _is_card_of(card: Path, ticket: Path) -> bool:
    try:
        return mark_of(ticket) in read_regular(card, 2**24).decode()
    except (OSError, ValueError):
        return False
