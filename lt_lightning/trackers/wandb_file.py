"""Read the files that W&B keeps of offline runs, to know which points they have. W&B has no reader in Python.

A file is a header of seven bytes and LevelDB's log of protobuf records: blocks of 32 KiB, in which each part of a
record has a checksum, a size and a kind.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

_HEADER = 7
_BLOCK = 32_768
_PART = struct.Struct("<IHB")
_WHOLE, _FIRST, _LAST = 1, 2, 4


def read_records(path: Path) -> Iterator[Any]:
    """Yield the protobuf records of a file, up to the first that is cut off."""
    # The class is made as the module is imported; a test reads back what a run has logged.
    from wandb.proto.wandb_internal_pb2 import Record  # pyright: ignore[reportAttributeAccessIssue]

    for content in _contents(path.read_bytes()):
        record = Record()
        record.ParseFromString(content)
        yield record


def read_history(path: Path) -> Iterator[Mapping[str, Any]]:
    """Yield the values of each call of `log` in a file."""
    for record in read_records(path):
        if record.HasField("history"):
            yield {one.key or "/".join(one.nested_key): json.loads(one.value_json) for one in record.history.item}


def _contents(data: bytes) -> Iterator[bytes]:
    place, parts = _HEADER, b""
    while place + _PART.size <= len(data):
        left = _BLOCK - place % _BLOCK
        if left < _PART.size:  # the rest of a block is empty
            place += left
            continue
        _, size, kind = _PART.unpack_from(data, place)
        place += _PART.size
        if place + size > len(data):
            return
        parts = (b"" if kind in (_WHOLE, _FIRST) else parts) + data[place : place + size]
        place += size
        if kind in (_WHOLE, _LAST):
            yield parts
