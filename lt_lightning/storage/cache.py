"""Cache arrays in safetensors files: written atomically, verified by a digest on reading, memory-mapped.

A digest detects damage, not forgery, so files that another user owns or may write are not read.
Format: https://huggingface.co/docs/safetensors
"""

from __future__ import annotations

import json
import logging
import os
import struct
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from hashlib import blake2b
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from lt_lightning.kernels.owners import find_fault
from lt_lightning.storage.atomic import open_regular, open_whole

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
    """Another user may have written the file."""


def keep(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write arrays to one file, without copying them.

    Args:
        path: the file; its folder must exist.
        arrays: float32, int32, int64 or uint8; no name is `file` or `digest`.

    Raises:
        OSError: the file cannot be written; the old one is intact.
    """
    # In this order each starts at a multiple of its item size.
    ordered = dict(sorted(arrays.items(), key=lambda item: -item[1].itemsize))
    digest = _digest(path.name, ordered)
    with open_whole(path, mode=0o600) as file:
        file.write(_head(path.name, ordered, digest))
        for array in ordered.values():
            file.write(_bytes_of(array).data)


def recall(path: Path) -> Arrays:
    """Return the read-only, memory-mapped arrays that `keep` wrote.

    Raises:
        FileNotFoundError: the file does not exist.
        UntrustedError: another user owns the file or may write it.
        DamagedError: the file is not as it was written.
        OSError: the file cannot be read.
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
            raise DamagedError("its header is invalid")
        header = json.loads(whole[8 : 8 + length].tobytes())
        digest = header.pop("__metadata__")["digest"]
        content = whole[8 + length :]
        arrays = {name: _array(content, entry) for name, entry in header.items()}
        size = sum(array.nbytes for array in arrays.values())
        head = _head(path.name, arrays, digest)
    except DamagedError:
        raise
    # Arbitrary bytes can raise any of these.
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError) as error:
        raise DamagedError("its content is invalid") from error
    if size != len(content) or head != whole[: 8 + length].tobytes() or digest != _digest(path.name, arrays):
        raise DamagedError("its checksum does not match")
    return arrays


def recall_or_make(path: Path, make: Callable[[], Arrays], what: str, check: Callable[[Arrays], object]) -> Arrays:
    """Return the arrays cached in a file; if it is missing or damaged, make and cache them.

    Args:
        path: the file; its folder must exist. Its name identifies everything that the arrays depend on.
        make: makes the arrays.
        what: a description of the arrays for the log.
        check: raises a KeyError or a ValueError if the arrays have wrong names, types or ranges.
    """
    try:
        arrays = recall(path)
        check(arrays)
    except FileNotFoundError:
        pass
    except UntrustedError as error:
        log.warning("the cache of %s is not trusted (%s: %s); rebuilding it", what, path, error)
    except (KeyError, ValueError, OSError) as error:
        why = f"it has no {error}" if isinstance(error, KeyError) else getattr(error, "strerror", None) or error
        log.warning("the cache of %s is damaged (%s: %s); rebuilding it", what, path, why)
    else:
        return arrays
    arrays = make()
    try:
        keep(path, arrays)
    except OSError as error:  # the next run is slower, that is all
        log.warning("%s cannot be cached (%s: %s)", what, path, error.strerror or error)
    return arrays


def check_kind(array: np.ndarray, kind: type, shape: tuple[int | None, ...]) -> None:
    """Raise a `DamagedError` unless an array has this type and shape; None stands for any size."""
    fits = len(shape) == array.ndim and all(
        size in (None, found) for size, found in zip(shape, array.shape, strict=True)
    )
    if array.dtype != kind or not fits:
        raise DamagedError(f"it has an unexpected {array.dtype} array of shape {array.shape}")


def check_range(array: np.ndarray, least: int, end: int) -> None:
    """Raise a `DamagedError` unless all values are at least `least` and below `end`."""
    if len(array) and not least <= array.min() <= array.max() < end:
        raise DamagedError(f"it has values outside {least} … {end - 1}")


def check_offsets(offsets: np.ndarray, end: int) -> None:
    """Raise a `DamagedError` unless offsets start at 0, never decrease and end at `end`."""
    if not len(offsets) or offsets[0] != 0 or offsets[-1] != end or (offsets[1:] < offsets[:-1]).any():
        raise DamagedError("its offsets are invalid")


def _head(name: str, arrays: Mapping[str, np.ndarray], digest: str) -> bytes:
    """Return the header. It holds the file's name, so that a renamed file is noticed."""
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
    """Return the digest of the header without its digest, and of the digests of all pieces of the arrays."""
    digest = blake2b(_head(name, arrays, _UNSIGNED), digest_size=32)
    pieces = [
        piece.data
        for array in arrays.values()
        for content in [_bytes_of(array)]
        for piece in np.split(content, range(_PIECE, len(content), _PIECE))
    ]

    def digest_one(piece: memoryview) -> bytes:
        return blake2b(piece, digest_size=32).digest()

    if len(pieces) < 8:  # starting threads costs more
        digest.update(b"".join(map(digest_one, pieces)))
    else:
        with ThreadPoolExecutor(os.cpu_count()) as threads:
            digest.update(b"".join(threads.map(digest_one, pieces)))
    return digest.hexdigest()


def _array(content: np.ndarray, entry: Mapping[str, Any]) -> np.ndarray:
    kind = np.dtype(_CODES[entry["dtype"]])
    start, end = entry["data_offsets"]
    if not 0 <= start <= end <= len(content) or end - start != kind.itemsize * prod(entry["shape"]):
        raise DamagedError("it is cut off")
    return content[start:end].view(kind).reshape(entry["shape"])


def _bytes_of(array: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8)
