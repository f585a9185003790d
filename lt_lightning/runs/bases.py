"""Read and write the file of a run that its tickets and checkpoints refer to, so that they need not repeat it.

It is `state/rewind.safetensors`, the weights that rounds rewind to, or, in a run that rewinds to none,
`state/frozen.safetensors`, the parameters that do not train. Either also holds the tokenizer. A reference names the
file and its seal.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from lt_lightning.errors import SettingError
from lt_lightning.storage.lock import STATE
from lt_lightning.storage.sealed import read_tensors, unseal

if TYPE_CHECKING:
    from torch import Tensor

REWIND, FROZEN = f"{STATE}/rewind.safetensors", f"{STATE}/frozen.safetensors"
"""The files that may be referred to, below the run directory."""
FORMATS: Mapping[str, tuple[str, str]] = {
    REWIND: ("lt-lightning rewind weights", "1"),
    FROZEN: ("lt-lightning frozen weights", "1"),
}
"""The format of each and its version."""


class BaseFile(NamedTuple):
    """A reference to a file of the run.

    Attributes:
        path: the file.
        seal: its seal, 64 hexadecimal digits.
    """

    path: Path
    seal: str


@dataclass(frozen=True)
class Base:
    """Weights of a run that other files refer to.

    Attributes:
        file: `REWIND` or `FROZEN`.
        seal: the seal of the file.
        weights: parameters and buffers of the network by name.
        tokenizer: the tokenizer, as JSON; None if the file has none, as in runs of earlier versions.
    """

    file: str
    seal: str
    weights: Mapping[str, Tensor] = field(repr=False)
    tokenizer: str | None = field(default=None, repr=False)

    def to_json(self) -> dict[str, str]:
        """Return the reference that `find_base_file` reads."""
        return {"file": self.file, "sha256": self.seal}


def find_base_file(path: Path, content: Mapping[str, Any]) -> BaseFile | None:
    """Return the file that a ticket refers to, from the ticket's content; None if it stands alone.

    Args:
        path: the ticket, in a folder of the run directory.
        content: its content; `base` is an object with `file` and `sha256`, or null.

    Raises:
        SettingError: the reference is none to a file of the run. The remedy follows a semicolon.
    """
    base = content.get("base")
    if base is None:
        return None
    file, seal = (base.get("file"), base.get("sha256")) if isinstance(base, dict) else (None, None)
    if not isinstance(file, str) or file not in FORMATS or not isinstance(seal, str):
        raise SettingError(f"{path}: it refers to no file of its run; restore it from a copy")
    return BaseFile(path.parent.parent / file, seal)


def read_base(run: Path, file: str) -> Base:
    """Read `REWIND` or `FROZEN` of a run.

    Raises:
        SettingError: it does not exist, or is damaged.
    """
    path = run / file
    sealed = unseal(path, *FORMATS[file])
    tokenizer = sealed.content.get("tokenizer")
    if not isinstance(tokenizer, (str, type(None))):
        raise SettingError(f"{path}: its tokenizer is no text; restore it from a copy")
    return Base(file, sealed.seal, read_tensors(path, sealed), tokenizer)


def read_referred(reference: BaseFile, by: Path) -> Base:
    """Read the file that a ticket or a checkpoint refers to.

    Args:
        reference: the reference.
        by: the file that refers to it, for the message.

    Raises:
        SettingError: it does not exist, is damaged, or is another file than the one referred to.
    """
    run = reference.path.parent.parent
    try:
        base = read_base(run, reference.path.relative_to(run).as_posix())
    except SettingError as error:
        fault = str(error).rpartition(";")[0]
        raise SettingError(f"{fault}, and {by.name} refers to it; restore it from a copy") from None
    if base.seal != reference.seal:
        raise SettingError(f"{reference.path}: not the file that {by.name} refers to; restore it from a copy")
    return base


def write_base(run: Path, file: str, weights: Mapping[str, Tensor], tokenizer: str | None) -> str:
    """Write `REWIND` or `FROZEN` of a run, and return its seal.

    Raises:
        OSError: the file cannot be written.
    """
    from lt_lightning.storage.sealed import write_sealed

    form, version = FORMATS[file]
    words = {} if tokenizer is None else {"tokenizer": tokenizer}
    return write_sealed(run / file, weights, {"format": form, "version": version, **words})
