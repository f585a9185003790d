"""Write what runs without an installation: a page with the ticket inside, and the reader in JavaScript."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from lt_lightning.errors import SettingError
from lt_lightning.storage.atomic import read_regular, write_whole, writing_to
from lt_lightning.tickets.file import Packed
from lt_lightning.tickets.web import PAGE_MARK, READER_MARK, asset, page

if TYPE_CHECKING:
    from lt_lightning.export.export import Wishes
    from lt_lightning.tickets.encoder.file import PackedEncoder

_LARGEST = 2**30


def check_standalone(wishes: Wishes, ticket: Path) -> None:
    """Raise a `SettingError` if a file that is asked for is the ticket's, or another program's."""
    named = [("--html", wishes.html, PAGE_MARK), ("--js", wishes.js, READER_MARK)]
    wanted = [(option, path, mark) for option, path, mark in named if path is not None]
    taken = {ticket.absolute()}
    for option, path, mark in wanted:
        if path.absolute() in taken:
            raise SettingError(f"{option}: {path} is another file of the export; give another name")
        taken.add(path.absolute())
        if path.is_dir():
            raise SettingError(f"{option}: {path} is a folder; give a file in it")
        if path.exists() and mark.encode() not in read_regular(path, _LARGEST)[:200]:
            raise SettingError(f"{option}: {path} exists and is not from an export; give another name")


def check_page(packed: Packed | PackedEncoder) -> None:
    """Raise a `SettingError` unless a ticket runs in a browser."""
    why = None
    if not isinstance(packed, Packed):
        why = "a pre-trained encoder runs in Python alone; leave it out, or use --onnx"
    elif packed.about["splitter"] == "spacy":
        why = "spaCy, which splits this ticket's texts, runs in Python alone; train with data.tokenizer=words"
    if why is not None:
        raise SettingError(f"--html: {why}")


def write_standalone(ticket: Path, title: str, wishes: Wishes) -> Iterator[str]:
    """Write the page and the reader that are asked for; yield a line for each.

    Args:
        ticket: the file of the ticket.
        title: the title of the page.
        wishes: the options of the export.

    Raises:
        WriteError: a file cannot be written.
    """
    if wishes.html is not None:
        text = page(ticket.read_bytes(), title)
        _write(wishes.html, text)
        yield f"page     {wishes.html} ({len(text.encode()):,} bytes; open it in a browser)"
    if wishes.js is not None:
        _write(wishes.js, asset("ticket.js"))
        yield f"reader   {wishes.js}"


def _write(path: Path, text: str) -> None:
    with writing_to(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, text)
