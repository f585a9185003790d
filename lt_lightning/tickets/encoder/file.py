"""Read and write the packed ticket of a pre-trained encoder. Format: `docs/ticket-format.md`."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from lt_lightning.config.encoders import POOLINGS
from lt_lightning.config.enums import Splitter
from lt_lightning.errors import shown
from lt_lightning.storage.arrays import read_arrays
from lt_lightning.storage.sealed import damaged, seal, unseal
from lt_lightning.tickets.file import FORMAT, VERSION
from lt_lightning.tickets.header import MOST_ENTRIES, check_plain, check_results, checked_size
from lt_lightning.tickets.parameters import Parameter, read_parameter

_TOKENIZER, _GRAPH = "tokenizer", "graph"
_OF_FILE = ("format", "version", "parameters")
# Limits against small files that need much memory.
_LONGEST = 1 << 28  # bytes of the tokenizer, and of the graph
_NUMBERS = 1 << 26, 5000  # weights in memory: a constant, and a multiple of the living ones
_MOST_DIMENSIONS, _MOST_LAYERS = 8, 1000


@dataclass(frozen=True)
class PackedEncoder:
    """The packed ticket of an encoder with a classifier, the head, on top.

    Attributes:
        parameters: by name: `encoder.*`, as transformers names them below `AutoModel`, `head.weight` and `head.bias`.
        tokenizer: JSON of the `tokenizers` library; it cuts texts to `max_length` pieces.
        graph: an ONNX graph that lacks the parameters, which are external data under their names; empty if the program
            that wrote the file could not make one.
        about: plain values, as of other tickets; and `encoder`: its `config`, its `pooling`, the id of its `padding`,
            its `name` and its `source`.
        seal: the checksum of the file; "" if it was not read from one.
    """

    parameters: Mapping[str, Parameter]
    tokenizer: str
    graph: bytes
    about: Mapping[str, Any]
    seal: str = ""
    words: ClassVar[tuple[str, ...]] = ()

    def save(self, path: Path) -> str:
        """Write the ticket atomically, and return its seal.

        Raises:
            OSError: the file cannot be written.
        """
        from safetensors.numpy import save

        arrays: dict[str, np.ndarray] = {}
        for name, parameter in self.parameters.items():
            arrays |= parameter.arrays(name)
        arrays[_TOKENIZER] = _packed(self.tokenizer.encode())
        if self.graph:
            arrays[_GRAPH] = _packed(self.graph)
        parameters = {name: parameter.stated for name, parameter in self.parameters.items()}
        content = {"format": FORMAT, "version": VERSION, **self.about, "parameters": parameters}
        arrays = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
        return seal(path, save(arrays), arrays, content)

    @classmethod
    def load(cls, path: Path) -> PackedEncoder:
        """Read a packed ticket of an encoder.

        Raises:
            SettingError: the file is no such ticket, is damaged, or its parts do not agree.
        """
        file = unseal(path, FORMAT, VERSION)
        about = {key: value for key, value in file.content.items() if key not in _OF_FILE}
        try:
            check_plain(file.content)
            check_encoder(about)
            stated = file.content.get("parameters")
            if not isinstance(stated, dict) or not {"head.weight", "head.bias"} <= stated.keys():
                raise ValueError("its parameters are not those of an encoder with a head")
            shapes = {name: _shape(name, one) for name, one in stated.items()}
            if sum(map(prod, shapes.values())) > MOST_ENTRIES:
                raise ValueError("it has more weights than any network")
            arrays = read_arrays(file.header, file.tensors)
            parameters = {name: read_parameter(name, shapes[name], stated[name], arrays) for name in shapes}
            _check_limits(parameters)
            if _TOKENIZER not in arrays:
                raise ValueError("it has no tokenizer")
            tokenizer = _unpacked(arrays[_TOKENIZER], "its tokenizer").decode()
            graph = _unpacked(arrays[_GRAPH], "its graph") if _GRAPH in arrays else b""
        except ValueError as error:
            raise damaged(path, f"a ticket whose parts do not agree: {error}") from error
        return cls(parameters, tokenizer, graph, about, file.seal)


def check_encoder(about: Mapping[str, Any]) -> None:
    """Check the header of the packed ticket of an encoder.

    Raises:
        ValueError: an entry is missing or wrong; the message names it.
    """
    check_results(about)
    if about.get("splitter") != Splitter.model.value:
        raise ValueError(f"its splitter {shown(about.get('splitter'))} is not that of an encoder")
    encoder = about.get("encoder")
    config = encoder.get("config") if isinstance(encoder, Mapping) else None
    if not isinstance(encoder, Mapping) or not isinstance(config, Mapping):
        raise ValueError("it has no configuration of an encoder")
    if not isinstance(config.get("model_type"), str):
        raise ValueError("its configuration names no model_type")
    for key, value in config.items():
        if "layers" in key and type(value) is int and value > _MOST_LAYERS:
            raise ValueError(f"its configuration has {key} {shown(value)}, more than {_MOST_LAYERS:,}")
    if encoder.get("pooling") not in POOLINGS:
        raise ValueError(f"its pooling {shown(encoder.get('pooling'))} is none of {', '.join(POOLINGS)}")
    checked_size(encoder, "padding", 0)


def _shape(name: str, stated: Any) -> tuple[int, ...]:
    shape = stated.get("shape") if isinstance(stated, dict) else None
    sizes = shape if isinstance(shape, list) and len(shape) <= _MOST_DIMENSIONS else [0]
    if not all(type(one) is int and 0 < one < MOST_ENTRIES for one in sizes):
        raise ValueError(f"{name!a} has the shape {shown(shape)}")
    return tuple(sizes)


def _check_limits(parameters: Mapping[str, Parameter]) -> None:
    living = sum(len(one.values) for one in parameters.values())
    numbers = sum(prod(one.shape) for one in parameters.values())
    if numbers > max(_NUMBERS[0], living * _NUMBERS[1]):
        raise ValueError(f"it needs {numbers:,} weights, but only {living:,} are alive")


def _packed(content: bytes) -> np.ndarray:
    return np.frombuffer(zlib.compress(content, 9), np.uint8)


def _unpacked(packed: np.ndarray, what: str) -> bytes:
    """Return compressed bytes; messages begin with `what`."""
    try:
        content = zlib.decompressobj().decompress(packed.tobytes(), _LONGEST + 1)
    except zlib.error:
        raise ValueError(f"{what} cannot be read") from None
    if len(content) > _LONGEST:
        raise ValueError(f"{what} takes more than {_LONGEST:,} bytes")
    return content
