"""Read and write the file of a packed ticket: living weights and their places, words, and a header.

`docs/ticket-format.md` describes the format: safetensors with a checksum (`lt_lightning.storage.sealed`), no pickle.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from lt_lightning.data.tokenizer import PADDING, SPECIAL_WORDS
from lt_lightning.errors import SettingError
from lt_lightning.storage.arrays import read_arrays
from lt_lightning.storage.sealed import OtherFormatError, damaged, quoted, seal, unseal
from lt_lightning.tickets.header import check_about, check_plain, expected_shapes
from lt_lightning.tickets.parameters import Parameter, read_parameter, read_places
from lt_lightning.tickets.places import pack
from lt_lightning.tickets.word_lists import pack_words, unpack_words

FORMAT, VERSION = "lt-lightning packed ticket", "2"
_OLD = "1"
"""The version that 0.4 and programs before it wrote."""
_ROUND_FORMAT = "lt-lightning ticket"
_WORDS, _ZERO_WORDS, _FIRST = "words", "zero_words", "first/"
_OF_FILE = ("format", "version", "parameters")
# Limits against small files that need much memory or time: a constant, and a multiple of the words or living weights.
_ROOM = 1 << 22, 256  # bytes of words
_ZERO_ROOM = 1 << 24  # bytes of zero_words
_NUMBERS = 1 << 26, 5000  # weights in memory
_OF_A_TEXT = 1 << 22, 16  # additions for the shortest text, as long as the widest filter
_OF_A_WORD = 1 << 24, 500  # multiplications for each distinct word


class EncoderTicketError(SettingError):
    """The file is the packed ticket of a pre-trained encoder."""


@dataclass(frozen=True)
class Packed:
    """A packed ticket.

    A word that is not listed is read as `<unk>`, row 0 of `embedding.weight`. If that row is zero, words whose rows are
    zero too are not listed.

    Attributes:
        parameters: by name, as in the network's `state_dict()`.
        words: the listed words in the order of their ids, without `<unk>` and `<pad>`.
        word_ids: (words,) int64, ascending, from 2 on: the row of each in `embedding.weight`.
        first: the first weights of the run at the living entries, float32, shaped as `values`; None if they can be
            drawn again (see `experiment.transfer`).
        about: plain values: `model`, `class_names`, `splitter`, `run`, `round`, `test_acc`, …; see `header`.
        seal: the checksum of the file; "" if it was not read from one.
        zero_words: words that are read as `<pad>`, whose vector is zero, in networks that were cut smaller.
    """

    parameters: Mapping[str, Parameter]
    words: tuple[str, ...]
    word_ids: np.ndarray
    first: Mapping[str, np.ndarray] | None
    about: Mapping[str, Any]
    seal: str = ""
    zero_words: tuple[str, ...] = ()

    def save(self, path: Path) -> str:
        """Write the ticket atomically, and return its seal.

        Raises:
            OSError: the file cannot be written.
        """
        from safetensors.numpy import save

        arrays: dict[str, np.ndarray] = {}
        for name, parameter in self.parameters.items():
            arrays |= parameter.arrays(name)
        for name, values in (self.first or {}).items():
            arrays[_FIRST + name] = values
        arrays |= pack_words(_WORDS, self.words)
        if self.zero_words:
            arrays |= pack_words(_ZERO_WORDS, self.zero_words)
        form, packed = pack(self.word_ids - len(SPECIAL_WORDS), self.about["words"] - len(SPECIAL_WORDS))
        arrays[f"{_WORDS}/{form}"] = packed
        parameters = {name: parameter.stated for name, parameter in self.parameters.items()}
        content = {"format": FORMAT, "version": VERSION, **self.about, "parameters": parameters}
        arrays = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
        return seal(path, save(arrays), arrays, content)

    @classmethod
    def load(cls, path: Path, data: bytes | None = None) -> Packed:
        """Read a packed ticket.

        Args:
            path: its file.
            data: the bytes of the ticket, if it lies in another file, which `path` names for errors.

        Raises:
            EncoderTicketError: it is that of a pre-trained encoder.
            SettingError: the file is not a ticket, is damaged, or its parts do not agree.
        """
        try:
            file = unseal(path, FORMAT, VERSION, data)
        except OtherFormatError as error:
            if (error.kind, error.version) != (FORMAT, _OLD):
                raise _other(path, error) from None
            file = unseal(path, FORMAT, _OLD, data)
        if "encoder" in file.content:
            raise EncoderTicketError(
                f"{path}: the ticket of a pre-trained encoder, with which no run begins; give that of another network"
            )
        about = {key: value for key, value in file.content.items() if key not in _OF_FILE}
        try:
            check_plain(file.content)
            check_about(about)
            shapes, stated = expected_shapes(about), file.content.get("parameters")
            if not isinstance(stated, dict) or stated.keys() != shapes.keys():
                raise ValueError("its parameters are not those of its model")
            arrays = read_arrays(file.header, file.tensors)
            parameters = {name: read_parameter(name, shapes[name], stated[name], arrays) for name in shapes}
            _check_limits(parameters)
            words, word_ids = _words(arrays, about["words"])
            zero_words = _zero_words(arrays, parameters, words) if _ZERO_WORDS in arrays else ()
            first = _first(parameters, arrays)
        except ValueError as error:
            raise damaged(path, f"a ticket whose parts do not agree: {error}") from error
        return cls(parameters, words, word_ids, first, about, file.seal, zero_words)


def _check_limits(parameters: Mapping[str, Parameter]) -> None:
    """Limit the weights in memory, and the operations per text and word, relative to the number of living weights."""
    living = sum(len(one.values) for one in parameters.values())
    numbers = sum(prod(one.shape) for name, one in parameters.items() if name != "embedding.weight")
    places, (words, dim) = parameters["embedding.weight"].places, parameters["embedding.weight"].shape
    numbers += (words if places is None else np.count_nonzero(np.diff(places // dim, prepend=-1))) * dim
    filters = [one.shape for name, one in parameters.items() if name.startswith("convs.") and name.endswith(".weight")]
    of_a_text = max((width for *_, width in filters), default=0) * sum(count * width for count, _, width in filters)
    for needed, (least, per_weight), what in (
        (numbers, _NUMBERS, "settings need {:,} weights"),
        (of_a_text, _OF_A_TEXT, "filters need {:,} operations per text"),
        (sum(map(prod, filters)), _OF_A_WORD, "filters need {:,} operations per word"),
    ):
        if needed > max(least, living * per_weight):
            raise ValueError(f"its {what.format(needed)}, but only {living:,} weights are alive")


def _words(arrays: Mapping[str, np.ndarray], total: int) -> tuple[tuple[str, ...], np.ndarray]:
    """Return the listed words and their ids."""
    ids = read_places(_WORDS, total - len(SPECIAL_WORDS), arrays)
    if ids is None or _WORDS not in arrays:
        raise ValueError("it has no words")
    words = unpack_words(_WORDS, arrays, f"its {len(ids):,} words", _ROOM[0] + _ROOM[1] * len(ids))
    if len(words) != len(ids) or len({*words}) != len(words):
        raise ValueError(f"it has {len({*words}):,} different words for {len(ids):,} ids")
    return tuple(words), ids + len(SPECIAL_WORDS)


def _zero_words(
    arrays: Mapping[str, np.ndarray], parameters: Mapping[str, Parameter], known: Sequence[str]
) -> tuple[str, ...]:
    """Return the words that are read as `<pad>`."""
    words = unpack_words(_ZERO_WORDS, arrays, "its zero_words", _ZERO_ROOM)
    if len({*words, *known}) < len(words) + len(known):
        raise ValueError("two of its words are the same")
    embedding = parameters["embedding.weight"]
    places = np.arange(len(embedding.values)) if embedding.places is None else embedding.places
    if embedding.values.reshape(-1)[places // embedding.shape[1] == PADDING].any():
        raise ValueError("its zero_words have a vector")
    return tuple(words)


def _first(parameters: Mapping[str, Parameter], arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray] | None:
    first = {name: arrays[_FIRST + name] for name in parameters if _FIRST + name in arrays}
    for name, values in first.items():
        if values.dtype != np.float32 or values.shape != parameters[name].values.shape:
            raise ValueError(f"{name!a} has not as many first weights as living ones")
        if not np.isfinite(values).all():
            raise ValueError(f"the first weights of {name!a} are not all finite")
    if first and first.keys() != parameters.keys():
        raise ValueError("it has first weights of only some parameters")
    return first or None


def _other(path: Path, error: OtherFormatError) -> SettingError:
    if error.kind == _ROUND_FORMAT:
        run, number = path.parent.parent, path.stem.removeprefix("round_")
        known = path.parent.name == "tickets" and number.isdigit()
        command = f"{run} --round {int(number)}" if known else "RUN --round N"
        return SettingError(f"{path}: a round's ticket of a run; pack it: python -m lt_lightning.export {command}")
    if error.kind == FORMAT:
        return SettingError(
            f"{path}: a ticket of format version {quoted(error.version)}, this program reads versions {_OLD!r} and "
            f"{VERSION!r}; export it again, or use the program that wrote it"
        )
    return error
