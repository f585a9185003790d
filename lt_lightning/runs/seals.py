"""Compare the files of a run with the seals on record."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lt_lightning.errors import SettingError
from lt_lightning.runs.masks import Masks, TicketMasks, check_inside, read_masks
from lt_lightning.storage.sealed import read_seal


def check_ticket(path: Path, seal: str, before: Masks | None) -> TicketMasks:
    """Return a ticket's masks, and the file that it refers to, which is not checked.

    Raises:
        SettingError: if it is not the file that the run wrote, or does not prune further than the one before. The
            message names no remedy, as resuming the run is the remedy.
    """
    with _without_remedy():
        found = read_masks(path)
        if before is not None:
            check_inside(path, found.masks, before)
    _compare(path, found.seal, seal)
    return found


def check_seal(path: Path, seal: str) -> None:
    """Raise SettingError, as `check_ticket`, if a file is not the one that the run wrote."""
    with _without_remedy():
        found = read_seal(path)
    _compare(path, found, seal)


def _compare(path: Path, found: str, seal: str) -> None:
    if found != seal:
        raise SettingError(f"{path}: sound, but not the file that the run wrote there")


@contextmanager
def _without_remedy() -> Iterator[None]:
    try:
        yield
    except SettingError as error:
        raise SettingError(str(error).rpartition(";")[0]) from None
