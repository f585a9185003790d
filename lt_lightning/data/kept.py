"""Arrays kept in the cache: a file of them is whole or not there, is checked when it is read, and is not loaded.

The files are safetensors files, with a checksum of each array. Format: https://huggingface.co/docs/safetensors
"""

from __future__ import annotations

import json
import logging
import struct
from collections.abc import Callable, Mapping
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from lt_lightning.results.files import open_whole

log = logging.getLogger(__name__)

_CODES = {"F32": np.float32, "I32": np.int32, "I64": np.int64, "U8": np.uint8}
_ALIGNED = 64
_LONGEST_HEADER = 65_536

Arrays = dict[str, np.ndarray]


class DamagedError(ValueError):
    """A file is not as it was written."""


def keep(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write arrays to one file. They may be mapped files themselves: no copy of them is made.

    Args:
        path: the file; its folder must exist.
        arrays: of the types float32, int32, int64 and uint8; none is called `file`.

    Raises:
        OSError: the file cannot be written; what was there is still there.
    """
    codes = {np.dtype(kind): code for code, kind in _CODES.items()}
    # Its own name as well: what was meant for another place is whole, and yet not what belongs here.
    about = {"file": path.name, **{name: str(_checksum(array)) for name, array in arrays.items()}}
    header: dict[str, Any] = {"__metadata__": about}
    end = 0
    ordered = sorted(arrays.items(), key=lambda item: -item[1].itemsize)  # so that each starts at a place of its kind
    for name, array in ordered:
        start, end = end, end + array.nbytes
        header[name] = {"dtype": codes[array.dtype], "shape": array.shape, "data_offsets": [start, end]}
    start = json.dumps(header).encode()
    start += b" " * (-(8 + len(start)) % _ALIGNED)
    with open_whole(path) as file:
        file.write(struct.pack("<Q", len(start)) + start)
        for _, array in ordered:
            file.write(_bytes_of(array).data)


def recall(path: Path) -> Arrays:
    """The arrays that `keep` wrote, mapped into memory; they cannot be written to.

    Raises:
        FileNotFoundError: there are none.
        DamagedError: the file is not as it was written.
        OSError: it cannot be read.
    """
    if not path.stat().st_size:
        raise DamagedError("it is empty")
    whole = np.memmap(path, np.uint8, "r")
    try:
        length = int.from_bytes(whole[:8].tobytes(), "little")
        if length > _LONGEST_HEADER:
            raise DamagedError("it does not begin as it should")
        header = json.loads(whole[8 : 8 + length].tobytes())
        checksums = header.pop("__metadata__")
        content = whole[8 + length :]
        arrays = {name: _array(content, entry) for name, entry in header.items()}
        right = checksums["file"] == path.name and all(
            _checksum(array) == int(checksums[name]) for name, array in arrays.items()
        )
        size = sum(array.nbytes for array in arrays.values())
    except DamagedError:
        raise
    # Whatever junk may lead to.
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError) as error:
        raise DamagedError("it is not what was written") from error
    if not right or size != len(content):
        raise DamagedError("its checksum does not fit")
    return arrays


def recall_or_make(path: Path, make: Callable[[], Arrays], what: str) -> Arrays:
    """The arrays that are kept in a file; if there are none, or it is damaged, they are made and kept.

    Args:
        path: the file; its folder must exist. Its name says all that the arrays depend on.
        make: makes them.
        what: what they are, for the log.
    """
    try:
        return recall(path)
    except FileNotFoundError:
        pass
    except (DamagedError, OSError) as error:
        log.warning("the cache of %s is damaged (%s: %s); making it again", what, path, error)
    arrays = make()
    try:
        keep(path, arrays)
    except OSError as error:  # all that is lost is time, the next time
        log.warning("%s cannot be kept (%s: %s)", what, path, error.strerror or error)
    return arrays


def _array(content: np.ndarray, entry: Mapping[str, Any]) -> np.ndarray:
    kind = np.dtype(_CODES[entry["dtype"]])
    start, end = entry["data_offsets"]
    if not 0 <= start <= end <= len(content) or end - start != kind.itemsize * prod(entry["shape"]):
        raise DamagedError("it is cut off")
    return content[start:end].view(kind).reshape(entry["shape"])


def _bytes_of(array: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8)


def _checksum(array: np.ndarray) -> int:
    """The sum of the bytes, eight by eight: any single change shows, and it runs as fast as memory is read."""
    content = _bytes_of(array)
    whole = len(content) // 8 * 8
    return (int(content[:whole].view(np.uint64).sum()) + int.from_bytes(content[whole:].tobytes(), "little")) % 2**64
