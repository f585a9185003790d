"""Read and compare the masks of round tickets without torch: each must lie inside that of the round before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

from lt_lightning.errors import SettingError
from lt_lightning.runs.bases import BaseFile, find_base_file
from lt_lightning.storage.sealed import OtherFormatError, Sealed, unseal

FORMAT, VERSION, DENSE_VERSION = "lt-lightning ticket", "3", "2"
"""The format of round tickets, its version, and the version before, which stores every tensor whole."""
MASK = "mask/"
"""The prefix of a mask's name, before the parameter's name."""

Masks = Mapping[str, bytes]
"""A byte for each entry, 1 if it is alive and else 0, by the parameter's name."""


class TicketMasks(NamedTuple):
    """The masks of a round's ticket.

    Attributes:
        seal: the seal of its file.
        masks: the masks.
        base: the file that it refers to, or None.
    """

    seal: str
    masks: Masks
    base: BaseFile | None


def unseal_ticket(path: Path) -> Sealed:
    """Read the file of a round's ticket and check its seal.

    Raises:
        SettingError: there is no such file, it is no ticket, or it is damaged. The remedy follows a semicolon.
    """
    try:
        return unseal(path, FORMAT, VERSION)
    except OtherFormatError as error:
        if (error.kind, error.version) != (FORMAT, DENSE_VERSION):
            raise
        return unseal(path, FORMAT, DENSE_VERSION)


def read_masks(path: Path) -> TicketMasks:
    """Read the masks of a round's ticket; raise as `unseal_ticket` does."""
    file = unseal_ticket(path)
    if file.content["version"] == VERSION:
        return TicketMasks(file.seal, _masks_of_bits(path, file), find_base_file(path, file.content))
    masks = {}
    for name, entry in file.header.items():
        if name.startswith(MASK):
            try:
                masks[name.removeprefix(MASK)] = _bytes(file.tensors, entry)
            except (TypeError, KeyError, ValueError):
                raise SettingError(f"{path}: {name!a} is no mask; restore it from a copy") from None
    return TicketMasks(file.seal, masks, None)


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
_MOST_ENTRIES = 2**33
"""Entries of a parameter whose shape alone is stored."""
_BYTES_OF_BITS = [bytes(byte >> bit & 1 for bit in range(8)) for byte in range(256)]
"""The eight bytes, 0 or 1, of each byte of bits, lowest bit first."""


def _masks_of_bits(path: Path, file: Sealed) -> Masks:
    """Return the masks of a ticket of the current version, which stores bits, and nothing where all entries live."""
    parameters = file.content.get("parameters")
    try:
        return {
            name: _of_bits(file, name, about["shape"])
            for name, about in (parameters if isinstance(parameters, dict) else {}).items()
            if about["prunable"]
        }
    except (TypeError, KeyError, ValueError):
        raise SettingError(f"{path}: it has a mask that is none; restore it from a copy") from None


def _of_bits(file: Sealed, name: str, shape: Sequence[Any]) -> bytes:
    count, entry = prod(map(int, shape)), file.header.get(MASK + name)
    if count > _MOST_ENTRIES:
        raise ValueError
    return b"\1" * count if entry is None else _expand(file.tensors, entry, count)


def _expand(tensors: memoryview, entry: Mapping[str, Any], count: int) -> bytes:
    start, end = entry["data_offsets"]
    bits = bytes(tensors[start:end])
    if entry["dtype"] != "U8" or start < 0 or len(bits) != (count + 7) // 8:
        raise ValueError
    found = b"".join(map(_BYTES_OF_BITS.__getitem__, bits))
    if 1 in found[count:]:
        raise ValueError
    return found[:count]


def _bytes(tensors: memoryview, entry: Mapping[str, Any]) -> bytes:
    start, end = entry["data_offsets"]
    found = bytes(tensors[start:end])
    if entry["dtype"] != "BOOL" or start < 0 or len(found) != prod(entry["shape"]) or found.translate(None, b"\0\1"):
        raise ValueError
    return found
