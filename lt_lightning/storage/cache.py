"""Arrays kept in the cache: a file of them is complete or not there, is checked as it is read, and is not loaded.

The files are safetensors files with a digest of all that they hold. Format: https://huggingface.co/docs/safetensors
A digest shows damage. It is no secret, so that files which other users own or may write are not read at all.
"""

from __future__ import annotations

import json
import logging
import os
import struct
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from hashlib import blake2b
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from lt_lightning.kernels.owners import find_fault
from lt_lightning.storage.atomic import open_whole
from lt_lightning.storage.regular import open_regular

log = logging.getLogger(__name__)

_CODES = {"F32": np.float32, "I32": np.int32, "I64": np.int64, "U8": np.uint8}
_ALIGNED = 64
_LONGEST_HEADER = 65_536
_PIECE = 1 << 22
"""Bytes that one thread digests at a time, at about 1 GB/s."""
_UNSIGNED = "0" * 64

Arrays = dict[str, np.ndarray]


class DamagedError(ValueError):
    """A file is not as it was written, or its values are out of range."""


class UntrustedError(DamagedError):
    """Another user can have written a file."""


def keep(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write arrays to one file. They may be mapped files themselves: no copy of them is made.

    Args:
        path: the file; its folder must exist.
        arrays: of the types float32, int32, int64 and uint8; none is called `file` or `digest`.

    Raises:
        OSError: the file cannot be written; what was there is still there.
    """
    ordered = _ordered(arrays)
    digest = _digest(path.name, ordered)
    with open_whole(path, mode=0o600) as file:
        file.write(_head(path.name, ordered, digest))
        for array in ordered.values():
            file.write(_bytes_of(array).data)


def recall(path: Path) -> Arrays:
    """Return the arrays that `keep` wrote, mapped into memory; they cannot be written to.

    Raises:
        FileNotFoundError: there are none.
        UntrustedError: another user owns the file or may write it.
        DamagedError: the file is not as it was written.
        OSError: it cannot be read.
    """
    with open_regular(path) as file:
        about = os.fstat(file.fileno())
        if fault := find_fault(about):
            raise UntrustedError(fault)
        if not about.st_size:
            raise DamagedError("it is empty")
        whole = np.memmap(file, np.uint8, "r")
    try:
        length = int.from_bytes(whole[:8].tobytes(), "little")
        if length > _LONGEST_HEADER:
            raise DamagedError("it does not begin as it should")
        header = json.loads(whole[8 : 8 + length].tobytes())
        digest = header.pop("__metadata__")["digest"]
        content = whole[8 + length :]
        arrays = {name: _array(content, entry) for name, entry in header.items()}
        size = sum(array.nbytes for array in arrays.values())
        head = _head(path.name, arrays, digest)
    except DamagedError:
        raise
    # Whatever junk may lead to.
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError) as error:
        raise DamagedError("it is not what was written") from error
    if size != len(content) or head != whole[: 8 + length].tobytes() or digest != _digest(path.name, arrays):
        raise DamagedError("its digest does not fit")
    return arrays


def recall_or_make(path: Path, make: Callable[[], Arrays], what: str, check: Callable[[Arrays], object]) -> Arrays:
    """Return the arrays that are kept in a file; if there are none, or it is damaged, make and keep them.

    Args:
        path: the file; its folder must exist. Its name says all that the arrays depend on.
        make: makes them.
        what: what they are, for the log.
        check: raises a KeyError or a ValueError for arrays that are not of the kind, or not in the range, of `make`'s.
    """
    try:
        arrays = recall(path)
        check(arrays)
    except FileNotFoundError:
        pass
    except UntrustedError as error:
        log.warning("the cache of %s is not trusted (%s: %s); making it again", what, path, error)
    except (KeyError, ValueError, OSError) as error:
        why = f"it has no {error}" if isinstance(error, KeyError) else getattr(error, "strerror", None) or error
        log.warning("the cache of %s is damaged (%s: %s); making it again", what, path, why)
    else:
        return arrays
    arrays = make()
    try:
        keep(path, arrays)
    except OSError as error:  # all that is lost is time, the next time
        log.warning("%s cannot be kept (%s: %s)", what, path, error.strerror or error)
    return arrays


def check_kind(array: np.ndarray, kind: type, shape: tuple[int | None, ...]) -> None:
    """Raise a `DamagedError` unless an array has this type and this shape; None stands for any size."""
    fits = len(shape) == array.ndim and all(
        size in (None, found) for size, found in zip(shape, array.shape, strict=True)
    )
    if array.dtype != kind or not fits:
        raise DamagedError(f"it has {array.dtype} of the shape {array.shape} where others belong")


def check_range(array: np.ndarray, least: int, end: int) -> None:
    """Raise a `DamagedError` unless all values are at least `least` and below `end`."""
    if len(array) and not least <= array.min() <= array.max() < end:
        raise DamagedError(f"it has values outside {least} … {end - 1}")


def check_offsets(offsets: np.ndarray, end: int) -> None:
    """Raise a `DamagedError` unless offsets begin at 0, never fall and end at `end`."""
    if not len(offsets) or offsets[0] != 0 or offsets[-1] != end or (offsets[1:] < offsets[:-1]).any():
        raise DamagedError("it has offsets that lead elsewhere")


def _ordered(arrays: Mapping[str, np.ndarray]) -> Arrays:
    """Return the arrays in the order of the file, in which each starts at a multiple of its items' size."""
    return dict(sorted(arrays.items(), key=lambda item: -item[1].itemsize))


def _head(name: str, arrays: Mapping[str, np.ndarray], digest: str) -> bytes:
    """Return what stands before the arrays. The file's name is part of it, so that a file in another's place shows."""
    codes = {np.dtype(kind): code for code, kind in _CODES.items()}
    header: dict[str, Any] = {"__metadata__": {"file": name, "digest": digest}}
    end = 0
    for key, array in arrays.items():
        start, end = end, end + array.nbytes
        header[key] = {"dtype": codes[array.dtype], "shape": array.shape, "data_offsets": [start, end]}
    text = json.dumps(header).encode()
    text += b" " * (-(8 + len(text)) % _ALIGNED)
    return struct.pack("<Q", len(text)) + text


def _digest(name: str, arrays: Mapping[str, np.ndarray]) -> str:
    """Return the digest of a file: of its head without the digest, and of the digests of all pieces of its arrays."""
    digest = blake2b(_head(name, arrays, _UNSIGNED), digest_size=32)
    pieces = [
        piece.data
        for array in arrays.values()
        for content in [_bytes_of(array)]
        for piece in np.split(content, range(_PIECE, len(content), _PIECE))
    ]
    for found in _digest_each(pieces):
        digest.update(found)
    return digest.hexdigest()


def _digest_each(pieces: list[memoryview]) -> Iterable[bytes]:
    if len(pieces) < 8:
        return [_digest_one(piece) for piece in pieces]
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        return list(threads.map(_digest_one, pieces))


def _digest_one(piece: memoryview) -> bytes:
    return blake2b(piece, digest_size=32).digest()


def _array(content: np.ndarray, entry: Mapping[str, Any]) -> np.ndarray:
    kind = np.dtype(_CODES[entry["dtype"]])
    start, end = entry["data_offsets"]
    if not 0 <= start <= end <= len(content) or end - start != kind.itemsize * prod(entry["shape"]):
        raise DamagedError("it is cut off")
    return content[start:end].view(kind).reshape(entry["shape"])


def _bytes_of(array: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8)
