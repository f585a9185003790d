"""Write what runs without an installation: a page and an executable file with the ticket, the reader in JavaScript."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from lt_lightning.errors import SettingError
from lt_lightning.export.executable import EXECUTABLE_MARK, executable
from lt_lightning.export.model_card import shell_name
from lt_lightning.storage.atomic import open_whole, read_regular, writing_to
from lt_lightning.tickets.file import Packed
from lt_lightning.tickets.web import PAGE_MARK, READER_MARK, page, reader

if TYPE_CHECKING:
    from lt_lightning.export.export import Wishes
    from lt_lightning.tickets.encoder.file import PackedEncoder

_LARGEST = 2**30


def check_standalone(wishes: Wishes, ticket: Path) -> None:
    """Raise a `SettingError` if a file that is asked for is the ticket's, or another program's."""
    named = [
        ("--html", wishes.html, PAGE_MARK),
        ("--js", wishes.js, READER_MARK),
        ("--pyz", wishes.pyz, EXECUTABLE_MARK),
    ]
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


def check_runnable(packed: Packed | PackedEncoder, wishes: Wishes) -> None:
    """Raise a `SettingError` if a page or an executable file is asked for, and the ticket does not run there."""
    if not isinstance(packed, Packed):
        whys = "a pre-trained encoder runs in Python alone", "a pre-trained encoder needs more than NumPy"
        remedy = "leave it out, or use --onnx"
    elif packed.about["splitter"] == "spacy":
        splits = "spaCy, which splits this ticket's texts,"
        whys = f"{splits} runs in Python alone", f"{splits} is more than such a file holds"
        remedy = "train with data.tokenizer=words"
    else:
        return
    for option, path, why in zip(("--html", "--pyz"), (wishes.html, wishes.pyz), whys, strict=True):
        if path is not None:
            raise SettingError(f"{option}: {why}; {remedy}")


def write_standalone(ticket: Path, title: str, wishes: Wishes) -> Iterator[str]:
    """Write the files that are asked for; yield a line for each.

    Args:
        ticket: the file of the ticket.
        title: the title of the page.
        wishes: the options of the export.

    Raises:
        WriteError: a file cannot be written.
    """
    if wishes.html is not None:
        content = page(ticket.read_bytes(), title).encode()
        _write(wishes.html, content)
        yield f"page     {wishes.html} ({len(content):,} bytes; open it in a browser)"
    if wishes.js is not None:
        _write(wishes.js, reader().encode())
        yield f"reader   {wishes.js}"
    if wishes.pyz is not None:
        content = executable(ticket.read_bytes())
        _write(wishes.pyz, content, mode=0o777)
        yield f'program  {wishes.pyz} ({len(content):,} bytes; python {shell_name(str(wishes.pyz))} "a text")'


def _write(path: Path, content: bytes, mode: int = 0o666) -> None:
    with writing_to(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
        with open_whole(path, mode=mode) as file:
            file.write(content)
