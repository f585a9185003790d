"""Name an export's files after the ticket, without overwriting other files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lt_lightning.errors import SettingError
from lt_lightning.storage.atomic import read_regular

_ENDING = ".safetensors"
_MARK = "<!-- lt-lightning's model card of {name} -->"


@dataclass(frozen=True)
class Places:
    """The files of an export.

    Attributes:
        ticket: the packed ticket.
        card: its model card: `README.md`, unless another file has that name.
        picture: the card's figure.
        onnx: the ONNX graph.
        dense: the dense weights.
        tokenizer: the tokenizer.
    """

    ticket: Path
    card: Path
    picture: Path
    onnx: Path
    dense: Path
    tokenizer: Path

    @classmethod
    def beside(cls, ticket: Path) -> Places:
        """Return the files that belong to a ticket."""
        stem = ticket.name.removesuffix(_ENDING)
        card = ticket.with_name("README.md")
        if card.exists() and not _is_card_of(card, ticket):
            card = ticket.with_name(f"{stem}.README.md")
        names = (f"{stem}_accuracy.png", f"{stem}.onnx", f"{stem}_dense{_ENDING}", f"{stem}_tokenizer.json")
        return cls(ticket, card, *map(ticket.with_name, names))

    def check_free(self, wanted: Sequence[Path], again: bool) -> None:
        """Raise a `SettingError` if another file is in the way.

        Args:
            wanted: the files to write beside the ticket.
            again: whether the ticket was exported before, so that these files may exist.
        """
        if self.ticket in (self.ticket.with_name("README.md"), self.card, *wanted):
            raise SettingError(f"--output: {self.ticket}: another file of the export has this name; give another")
        for path in wanted:
            foreign = not _is_card_of(path, self.ticket) if path == self.card else not again
            if path.exists() and foreign:
                raise SettingError(f"--output: {path} exists and is not from this export; give another name")


def mark_of(ticket: Path) -> str:
    """Return the line that marks a card as that of a ticket."""
    return _MARK.format(name=ticket.name)


def _is_card_of(card: Path, ticket: Path) -> bool:
    try:
        return mark_of(ticket) in read_regular(card, 2**24).decode()
    except (OSError, ValueError):
        return False
