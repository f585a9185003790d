"""Write and read sealed files: safetensors files with tensors, plain values and a checksum of all bytes; no pickle.

The metadata has one entry, `lt_lightning`: JSON of the content, whose `format` and `version` identify it. Its first key
is `sha256`, the seal: the digest of the whole file with zeros in place of the seal.

Imports the standard library alone; `read_sealed` (torch) and `arrays.read_arrays` (NumPy) decode the tensors.
Format: https://huggingface.co/docs/safetensors
"""

from __future__ import annotations

import errno
import json
import os
import struct
from collections.abc import Iterable, Mapping
from hashlib import sha256
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple

from lt_lightning.errors import SettingError
from lt_lightning.storage.atomic import open_regular, write_whole

if TYPE_CHECKING:
    from torch import Tensor

_ENTRY = "lt_lightning"
# Every header starts with this, so that the seal has the same place in every file; its length is in 8 bytes before it.
_OPENING = b'{"__metadata__":{"lt_lightning":"{\\"sha256\\":\\"'
_SEAL = slice(8 + len(_OPENING), 8 + len(_OPENING) + 64)
_UNSEALED = "0" * 64
_LONGEST_HEADER = 100_000_000  # bytes; safetensors' own limit


class Sealed(NamedTuple):
    """A sealed file whose checksum is right.

    Attributes:
        seal: its checksum, 64 hexadecimal digits.
        content: its plain values.
        header: `dtype`, `shape` and `data_offsets` of each tensor, in order; not validated.
        tensors: the bytes that `data_offsets` index.
        data: all bytes of the file.
    """

    seal: str
    content: dict[str, Any]
    header: dict[str, Any]
    tensors: memoryview
    data: bytes


class OtherFormatError(SettingError):
    """A sealed file of this project has another `kind` of format, or another `version`, than expected."""

    def __init__(self, message: str, kind: str, version: str) -> None:
        super().__init__(message)
        self.kind, self.version = kind, version


def seal(path: Path, plain: bytes, names: Iterable[str], content: Mapping[str, Any]) -> str:
    """Write a sealed file atomically. The same values give the same bytes.

    Args:
        path: the file; its folder must exist.
        plain: the bytes of a safetensors file without metadata.
        names: the tensors' names, in the order for the header.
        content: plain JSON values, with `format` and `version`.

    Returns:
        The seal, 64 hexadecimal digits.

    Raises:
        OSError: the file cannot be written.
    """
    end = 8 + struct.unpack("<Q", plain[:8])[0]
    # One entry: safetensors writes several in a random order.
    entries = {_ENTRY: _dump({"sha256": _UNSEALED, **content})}
    places = json.loads(plain[8:end])
    header = _dump({"__metadata__": entries, **{name: places[name] for name in names}}).encode()
    header += b" " * (-len(header) % 8)
    start = struct.pack("<Q", len(header)) + header
    body = memoryview(plain)[end:]
    digest = _seal_of(start, body)
    write_whole(path, start[: _SEAL.start], digest.encode(), start[_SEAL.stop :], body)
    return digest


def unseal(path: Path, format: str, version: str, data: bytes | None = None) -> Sealed:
    """Read a sealed file of this format and version, and check its seal.

    Args:
        path: the file.
        format: its format.
        version: the version of the format.
        data: the bytes of the file, if it lies in another one, which `path` names for errors.

    Raises:
        OtherFormatError: it is a sealed file of another format or version.
        SettingError: the file does not exist, is not a sealed file, or is damaged.
    """
    expected = format, version
    seal, content, data = _read(path, expected) if data is None else _check(path, BytesIO(data), len(data), expected)
    end = 8 + struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8:end])
    del header["__metadata__"]
    return Sealed(seal, content, header, memoryview(data)[end:], data)


def read_seal(path: Path) -> str:
    """Return the seal of a sealed file of any format after checking it. Equal seals mean equal content.

    Raises:
        SettingError: the file does not exist, is not a sealed file, or is damaged.
    """
    return _read(path, None)[0]


def _read(path: Path, expected: tuple[str, str] | None) -> tuple[str, dict[str, Any], bytes]:
    """Return the checked seal of a file, its content and all its bytes."""
    try:
        with open_regular(path) as file:
            return _check(path, file, os.fstat(file.fileno()).st_size, expected)
    except FileNotFoundError:
        raise SettingError(f"{path}: no such file; give a .safetensors file that this project wrote") from None
    except OSError as error:
        if error.errno in (errno.EISDIR, errno.EINVAL):
            raise SettingError(f"{path}: not a file; give a .safetensors file that this project wrote") from None
        raise SettingError(f"{path}: cannot be read ({error.strerror}); check its permissions") from None
    except SettingError:
        raise
    except ValueError as error:
        raise SettingError(f"{str(path)!r}: not a file name ({error}); give another") from None


def _check(
    path: Path, file: BinaryIO, size: int, expected: tuple[str, str] | None
) -> tuple[str, dict[str, Any], bytes]:
    # Read the header first, to refuse a large file of another kind before reading it all.
    length = int.from_bytes(file.read(8), "little")
    if size < 8 or length > min(size - 8, _LONGEST_HEADER):
        raise damaged(path, "not a safetensors file, or cut off")
    content = _content(path, file.read(length), expected)
    file.seek(0)
    data = file.read(size)
    seal = data[_SEAL].decode("ascii", errors="replace")
    if len(data) < size or seal != content.pop("sha256", None) or seal != _seal_of(data):
        raise damaged(path, "cut off or changed since it was written: its checksum does not fit")
    return seal, content, data


def _content(path: Path, header: bytes, expected: tuple[str, str] | None) -> dict[str, Any]:
    """Return the content of a header after checking its format; the seal is not checked."""
    try:
        entries = json.loads(header.decode())
        kept = entries.get("__metadata__") if isinstance(entries, dict) else None
        entry = kept.get(_ENTRY) if isinstance(kept, dict) else None
        content = json.loads(entry) if isinstance(entry, str) else None
    except (ValueError, RecursionError):
        raise damaged(path, "not a safetensors file, or damaged") from None
    kind, version = (content.get("format"), content.get("version")) if isinstance(content, dict) else (None, None)
    if not (isinstance(content, dict) and isinstance(kind, str) and isinstance(version, str)):
        named = "sealed file" if expected is None else expected[0]
        raise SettingError(f"{path}: not a {named} of this version of the project; give one, or write it again")
    if expected is not None and (kind, version) != expected:
        raise OtherFormatError(
            f"{path}: {quoted(kind)} of version {quoted(version)}, not {expected[0]!r} of version "
            f"{expected[1]!r}; give such a file, or write it again",
            kind,
            version,
        )
    return content


def _seal_of(start: bytes, body: bytes | memoryview = b"") -> str:
    """Return the digest of a file with zeros in place of the seal."""
    digest = sha256(start[: _SEAL.start] + _UNSEALED.encode())
    digest.update(memoryview(start)[_SEAL.stop :])
    digest.update(body)
    return digest.hexdigest()


def damaged(path: Path, what: str) -> SettingError:
    """Return the error for a damaged file."""
    return SettingError(f"{path}: {what}; restore it from a copy, or write it again")


def quoted(value: str | Exception) -> str:
    """Return a value or a library's message quoted in ASCII, shortened to 80 characters."""
    text = ascii(str(value))
    return text if len(text) <= 80 else f"{text[:77]}..."


def _dump(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))


def write_sealed(path: Path, tensors: Mapping[str, Tensor], content: Mapping[str, Any]) -> str:
    """Write tensors of any shape and device to a sealed file and return its seal; see `seal`."""
    from safetensors.torch import save

    return seal(path, save(_apart(tensors)), tensors, content)


def read_sealed(path: Path, format: str, version: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return the tensors of a sealed file, on the CPU and in order, and its content; see `unseal`.

    Raises:
        SettingError: the file does not exist, is not a sealed file of this format and version, or is damaged.
    """
    file = unseal(path, format, version)
    return read_tensors(path, file), file.content


def read_tensors(path: Path, file: Sealed) -> dict[str, Tensor]:
    """Return the tensors of a sealed file that `unseal` has read, on the CPU and in order.

    Raises:
        SettingError: they cannot be decoded; `path` names the file.
    """
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load

    try:
        tensors = load(file.data)
    # Sealed, but not by `write_sealed`: invalid types, sizes or offsets.
    except (SafetensorError, AssertionError, KeyError, OverflowError, RuntimeError, TypeError, ValueError) as error:
        raise damaged(path, f"its tensors cannot be read, {quoted(error)}") from error
    for name, tensor in tensors.items():
        if tensor.dtype == torch.bool and (tensor.view(torch.uint8) > 1).any():
            raise damaged(path, f"{quoted(name)} has values that are neither true nor false")
    return {name: tensors[name] for name in file.header}  # safetensors returns them in a random order


def _apart(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the tensors on the CPU, each in its own memory as safetensors requires; copy only where needed."""
    found, places = {}, set()
    for name, tensor in tensors.items():
        tensor = tensor.detach().cpu().contiguous()
        memory = tensor.untyped_storage()
        if memory.data_ptr() in places or memory.nbytes() != tensor.numel() * tensor.element_size():
            tensor = tensor.clone()
            memory = tensor.untyped_storage()
        places.add(memory.data_ptr())
        found[name] = tensor
    return found
