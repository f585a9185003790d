"""Read and write the weights of a run in sealed files: round tickets, and the weights that rounds rewind to.

A round ticket holds the masks and weights of the network as far as the file that it refers to (`runs.bases`) does not;
`ticket_parts` describes its tensors. Its content is `about` (round, results, model settings, class names), `tokenizer`
(JSON of the `tokenizers` library, as text; null if it is the one in that file), `base` (the reference) and
`parameters`. It holds no pickle.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lt_lightning.data.tokenizer import SPECIAL_WORDS
from lt_lightning.errors import SettingError
from lt_lightning.lottery import Mask
from lt_lightning.runs.bases import REWIND, Base, find_base_file, read_base, read_referred, write_base
from lt_lightning.runs.masks import DENSE_VERSION, FORMAT, MASK, VERSION, unseal_ticket
from lt_lightning.runs.rounds import memory_path
from lt_lightning.runs.ticket_parts import lay_out, rebuild
from lt_lightning.storage.sealed import quoted, read_sealed, read_tensors, write_sealed

_MEMORY_FORMAT, _MEMORY_VERSION = "lt-lightning criterion memory", "1"
_DEEPEST = 16
"""The deepest nesting of lists and objects; tickets have four."""


@dataclass(frozen=True)
class RoundTicket:
    """The network that a round trained.

    Attributes:
        weights: the network's parameters and buffers by name.
        mask: the living entries of the prunable parameters.
        about: plain values: `round`, `model`, `class_names`, `sparsity`, `test_acc`, …
        tokenizer: the words, as JSON of the `tokenizers` library.
    """

    weights: Mapping[str, Tensor]
    mask: Mask
    about: Mapping[str, Any]
    tokenizer: str

    @cached_property
    def vocabulary(self) -> list[str]:
        """All words in the order of their ids, `<unk>` and `<pad>` first.

        Raises:
            ValueError: the tokenizer is not one that a run writes.
        """
        try:
            numbers = json.loads(self.tokenizer)["model"]["vocab"]
            words = sorted(numbers, key=numbers.__getitem__)
            "".join(words).encode()  # half of a surrogate pair is no text
            sound = [*map(numbers.__getitem__, words)] == [*range(len(words))]
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            sound, words = False, []
        if not sound or tuple(words[: len(SPECIAL_WORDS)]) != SPECIAL_WORDS:
            raise ValueError("its tokenizer is no list of words with the ids 0, 1, 2, …")
        return words

    def save(self, path: Path, base: Base | None = None) -> str:
        """Write the ticket, whole or not at all, and return its seal.

        Args:
            path: the file, in a folder of the run directory.
            base: weights of the run, and its tokenizer, that the file refers to instead of repeating them; None for a
                file that stands alone.
        """
        tensors, parameters = lay_out(self.weights, self.mask, {} if base is None else base.weights)
        is_shared = base is not None and base.tokenizer == self.tokenizer
        content = {
            "format": FORMAT, "version": VERSION, "about": dict(self.about),
            "tokenizer": None if is_shared else self.tokenizer,
            "base": None if base is None else base.to_json(),
            "parameters": parameters,
        }  # fmt: skip
        path.parent.mkdir(parents=True, exist_ok=True)
        return write_sealed(path, tensors, content)

    @classmethod
    def load(cls, path: Path) -> RoundTicket:
        """Read a ticket, with the file that it refers to in the run directory.

        Raises:
            SettingError: if the file is not a ticket, or damaged, or the file that it refers to is, or is missing.
        """
        file = unseal_ticket(path)
        about, tokenizer, tensors = file.content.get("about"), file.content.get("tokenizer"), read_tensors(path, file)
        reference = find_base_file(path, file.content)
        base = None if reference is None else read_referred(reference, path)
        if tokenizer is None and base is not None:
            tokenizer = base.tokenizer
        if not isinstance(about, dict) or not isinstance(tokenizer, str):
            raise SettingError(f"{path}: a ticket without its settings or its words; write it again")
        if file.content["version"] == DENSE_VERSION:
            masks = {name.removeprefix(MASK): tensor for name, tensor in tensors.items() if name.startswith(MASK)}
            weights = {name: tensor for name, tensor in tensors.items() if not name.startswith(MASK)}
        else:
            try:
                weights, masks = rebuild(tensors, file.content.get("parameters"), {} if base is None else base.weights)
            except ValueError as error:
                raise SettingError(f"{path}: a ticket that is damaged: {error}; restore it from a copy") from None
        _check_masks(path, weights, masks)
        return cls(weights, Mask(masks), about, tokenizer)


def _check_masks(path: Path, weights: Mapping[str, Tensor], masks: Mapping[str, Tensor]) -> None:
    """Raise a SettingError unless each mask fits a weight that is zero wherever it is pruned."""
    for name, tensor in masks.items():
        if tensor.dtype != torch.bool or name not in weights or weights[name].shape != tensor.shape:
            raise SettingError(f"{path}: a ticket with a mask of {name!a} that fits no weight; write it again")
        pruned = weights[name][~tensor]
        # NaN counts. Some types can be counted only after a cast.
        if (pruned if pruned.is_complex() else pruned.double()).count_nonzero():
            raise SettingError(
                f"{path}: a ticket with pruned entries of {name!a} that are not zero; restore it from a copy"
            )


def check_nesting(content: Any) -> None:
    """Check that plain values can be written as UTF-8 and are not nested too deep.

    Raises:
        ValueError: a value is half of a surrogate pair, or too deep.
    """
    waiting = [(content, 0)]  # no recursion: a file would decide its depth
    while waiting:
        value, depth = waiting.pop()
        if depth > _DEEPEST:
            raise ValueError(f"it has lists or objects more than {_DEEPEST} deep")
        if isinstance(value, dict):
            waiting += [(inside, depth + 1) for pair in value.items() for inside in pair]
        elif isinstance(value, list):
            waiting += [(inside, depth + 1) for inside in value]
        elif isinstance(value, str) and any("\ud800" <= letter <= "\udfff" for letter in value):
            raise ValueError(f"it holds {quoted(value)}, which has half of a surrogate pair and is no text")


def check_parameters(path: Path, found: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    """Check that weights are those of a network.

    Args:
        path: the file that they were read from, for the message.
        found: the weights by name.
        expected: weights of the network.

    Raises:
        SettingError: naming the first parameter or buffer that only one of them has, or whose shape differs.
    """
    for name in dict.fromkeys([*expected, *found]):
        here, there = (list(one[name].shape) if name in one else None for one in (found, expected))
        if here != there:
            shapes = f"{'none' if here is None else here}, the network {'none' if there is None else there}"
            raise SettingError(f"{path}: the weights of another network: of {name!a} it has {shapes}; restore it")


def write_rewind_weights(run: Path, weights: Mapping[str, Tensor], tokenizer: str | None = None) -> str:
    """Write the weights that rounds rewind to, by parameter name, and return the seal of their file.

    Args:
        run: the run directory.
        weights: the weights.
        tokenizer: the tokenizer of the run's tickets, which need not repeat it.

    Raises:
        OSError: if the file cannot be written.
    """
    return write_base(run, REWIND, weights, tokenizer)


def read_rewind_weights(run: Path) -> dict[str, Tensor]:
    """Read the weights that rounds rewind to.

    Raises:
        SettingError: if there are none, or their file is damaged.
    """
    return dict(read_base(run, REWIND).weights)


def write_memory(run: Path, round: int, memory: Mapping[str, Mapping[str, Tensor]]) -> str:
    """Write what a criterion needs to know after a round, and return the seal of its file.

    Args:
        run: the run directory.
        round: the round.
        memory: tensors by parameter name, by kind; see `lottery.memory.Memory.state_dict`.

    Raises:
        OSError: if the file cannot be written.
    """
    flat = {f"{kind}/{name}": tensor for kind, tensors in memory.items() for name, tensor in tensors.items()}
    return write_sealed(memory_path(run, round), flat, {"format": _MEMORY_FORMAT, "version": _MEMORY_VERSION})


def read_memory(run: Path, round: int) -> dict[str, dict[str, Tensor]]:
    """Read what `write_memory` wrote.

    Raises:
        SettingError: if it is not there, or damaged.
    """
    memory: dict[str, dict[str, Tensor]] = {}
    for name, tensor in read_sealed(memory_path(run, round), _MEMORY_FORMAT, _MEMORY_VERSION)[0].items():
        kind, _, parameter = name.partition("/")
        memory.setdefault(kind, {})[parameter] = tensor
    return memory
