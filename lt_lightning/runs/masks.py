"""Read and compare the masks of round tickets without torch: each must lie inside that of the round before."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import Any

from lt_lightning.errors import SettingError
from lt_lightning.storage.sealed import unseal

FORMAT, VERSION = "lt-lightning ticket", "2"
"""The format and its version in round tickets."""
MASK = "mask/"
"""The prefix of a mask's name, before the parameter's name."""

Masks = Mapping[str, bytes]
"""A byte for each entry, 1 if it is alive and else 0, by the parameter's name."""


def read_masks(path: Path) -> tuple[str, Masks]:
    """Read the masks of a round's ticket.

    Returns:
        The file's seal, and the masks.

    Raises:
        SettingError: there is no such file, it is no ticket, or it is damaged. The remedy follows a semicolon.
    """
    file = unseal(path, FORMAT, VERSION)
    masks = {}
    for name, entry in file.header.items():
        if name.startswith(MASK):
            try:
                masks[name.removeprefix(MASK)] = _bytes(file.tensors, entry)
            except (TypeError, KeyError, ValueError):
                raise SettingError(f"{path}: {name!a} is no mask; restore it from a copy") from None
    return file.seal, masks


def check_inside(path: Path, masks: Masks, before: Masks) -> None:
    """Check that every entry that the round before had pruned is still pruned.

    Args:
        path: the ticket's file, for the message.
        masks: its masks.
        before: those of the round before.

    Raises:
        SettingError: one is alive. The remedy follows a semicolon.
    """
    if masks.keys() != before.keys():
        name = min(masks.keys() ^ before.keys())
        raise SettingError(f"{path}: only it or the ticket of the round before has a mask of {name!a}; {_REMEDY}")
    for name, mask in masks.items():
        # As numbers, since Python has no other operation on all bits of two byte strings.
        alive, then = (int.from_bytes(one, "little") for one in (mask, before[name]))
        if len(mask) != len(before[name]) or alive & ~then:
            raise SettingError(f"{path}: its mask of {name!a} is not inside that of the round before; {_REMEDY}")


_REMEDY = "restore the ticket from a copy"


def _bytes(tensors: memoryview, entry: Mapping[str, Any]) -> bytes:
    start, end = entry["data_offsets"]
    found = bytes(tensors[start:end])
    if entry["dtype"] != "BOOL" or start < 0 or len(found) != prod(entry["shape"]) or found.translate(None, b"\0\1"):
        raise ValueError
    return found
