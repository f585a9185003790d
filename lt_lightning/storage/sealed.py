r"""Sealed files: tensors and plain values in one safetensors file that tells whether it is as it was written.

The file has one entry of metadata, `lt_lightning`: JSON of the content, whose `format` and `version` say what it is,
and first in it `sha256`, the seal: the digest of the whole file with zeros where the seal stands. So no bit can change
unnoticed. There is no pickle in it, and other programs read it as what it is, a safetensors file.

Imports the standard library alone: what tensors become of the bytes is for others (`sealed_tensors`). Format: https://huggingface.co/docs/safetensors
"""

from __future__ import annotations

import errno
import json
import os
import struct
from collections.abc import Iterable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

from lt_lightning.errors import SettingError
from lt_lightning.storage.atomic import write_whole
from lt_lightning.storage.regular import open_regular

_ENTRY = "lt_lightning"
# What every header starts with, so that the seal has one place in every file; 8 bytes before it say its length.
_OPENING = b'{"__metadata__":{"lt_lightning":"{\\"sha256\\":\\"'
_SEAL = slice(8 + len(_OPENING), 8 + len(_OPENING) + 64)
_UNSEALED = "0" * 64
_LONGEST_HEADER = 100_000_000  # bytes; safetensors' own limit


class Sealed(NamedTuple):
    """A sealed file that is as it was written.

    Attributes:
        seal: its checksum, 64 hexadecimal digits.
        content: its plain values.
        header: what it says of each tensor, in order: `dtype`, `shape`, `data_offsets`; not yet known to make sense.
        tensors: their bytes, in which `data_offsets` count.
        data: all bytes of the file.
    """

    seal: str
    content: dict[str, Any]
    header: dict[str, Any]
    tensors: memoryview
    data: bytes


class OtherFormatError(SettingError):
    """A sealed file of this project, but of another format, or version of it, than the one that is wanted.

    Attributes:
        kind: its format.
        version: the version of it.
    """

    def __init__(self, message: str, kind: str, version: str) -> None:
        super().__init__(message)
        self.kind, self.version = kind, version


def seal(path: Path, plain: bytes, names: Iterable[str], content: Mapping[str, Any]) -> str:
    """Write a safetensors file with a seal, whole or not at all. The same values are the same file.

    Args:
        path: the file; its folder must exist.
        plain: a safetensors file, as that library writes it.
        names: its tensors', in the order in which the file is to name them.
        content: plain JSON values; `format` and `version` among them say what the file is.

    Returns:
        The seal, 64 hexadecimal digits.

    Raises:
        OSError: the file cannot be written.
    """
    end = 8 + struct.unpack("<Q", plain[:8])[0]
    # One entry: safetensors writes several in an order of its own each time.
    entries = {_ENTRY: _dump({"sha256": _UNSEALED, **content})}
    places = json.loads(plain[8:end])
    header = _dump({"__metadata__": entries, **{name: places[name] for name in names}}).encode()
    header += b" " * (-len(header) % 8)
    start = struct.pack("<Q", len(header)) + header
    body = memoryview(plain)[end:]
    digest = _seal_of(start, body)
    write_whole(path, start[: _SEAL.start], digest.encode(), start[_SEAL.stop :], body)
    return digest


def unseal(path: Path, format: str, version: str) -> Sealed:
    """Read a sealed file and check its seal.

    Args:
        path: the file.
        format: what its content must call itself.
        version: the version of that format.

    Raises:
        OtherFormatError: it is a sealed file of another format or version.
        SettingError: there is no such file, it is something else, or it is damaged.
    """
    seal, content, data = _read(path, (format, version))
    end = 8 + struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8:end])
    del header["__metadata__"]
    return Sealed(seal, content, header, memoryview(data)[end:], data)


def read_seal(path: Path) -> str:
    """Check the seal of a sealed file of any format, without waiting for torch.

    Returns:
        The seal: files of the same seal have the same content.

    Raises:
        SettingError: there is no such file, it is no sealed one, or it is damaged.
    """
    return _read(path, None)[0]


def _read(path: Path, expected: tuple[str, str] | None) -> tuple[str, dict[str, Any], bytes]:
    """The seal of a file, found to be right, its content and all its bytes."""
    try:
        with open_regular(path) as file:
            about = os.fstat(file.fileno())
            # The header first, so that a large file of another kind is refused before all of it is in memory.
            length = int.from_bytes(file.read(8), "little")
            if about.st_size < 8 or length > min(about.st_size - 8, _LONGEST_HEADER):
                raise damaged(path, "not a safetensors file, or cut off")
            content = _content(path, file.read(length), expected)
            file.seek(0)
            data = file.read(about.st_size)
    except FileNotFoundError:
        raise SettingError(f"{path}: no such file; give a .safetensors file that this project wrote") from None
    except OSError as error:
        if error.errno in (errno.EISDIR, errno.EINVAL):
            raise SettingError(f"{path}: not a file; give a .safetensors file that this project wrote") from None
        raise SettingError(f"{path}: cannot be read ({error.strerror}); give leave to read it") from None
    except SettingError:
        raise
    except ValueError as error:
        raise SettingError(f"{str(path)!r}: not the name of a file ({error}); give another") from None
    seal = data[_SEAL].decode("ascii", errors="replace")
    if len(data) < about.st_size or seal != content.pop("sha256", None) or seal != _seal_of(data):
        raise damaged(path, "cut off or changed since it was written: its checksum does not fit")
    return seal, content, data


def _content(path: Path, header: bytes, expected: tuple[str, str] | None) -> dict[str, Any]:
    """What a header says, not yet known to be as it was written, and whether it is what is expected."""
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
        raise SettingError(f"{path}: no {named} of this version of the project; give one, or write it again")
    if expected is not None and (kind, version) != expected:
        raise OtherFormatError(
            f"{path}: {quoted(kind)} of version {quoted(version)}, not {expected[0]!r} of version "
            f"{expected[1]!r}; give such a file, or write it again",
            kind,
            version,
        )
    return content


def _seal_of(start: bytes, body: bytes | memoryview = b"") -> str:
    """The digest of a file with zeros where the seal stands, whatever stands there."""
    digest = sha256(start[: _SEAL.start] + _UNSEALED.encode())
    digest.update(memoryview(start)[_SEAL.stop :])
    digest.update(body)
    return digest.hexdigest()


def damaged(path: Path, what: str) -> SettingError:
    """What to say of a file that is not as it was written."""
    return SettingError(f"{path}: {what}; restore it from a copy, or write it again")


def quoted(value: str | Exception) -> str:
    """What a file holds, or a library says about it, short and in one line."""
    text = ascii(str(value))
    return text if len(text) <= 80 else f"{text[:77]}..."


def _dump(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))
