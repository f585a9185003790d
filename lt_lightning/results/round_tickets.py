"""Round tickets: a mask, the weights that it leaves, what is needed to use them, as a run writes them (`sealed`).

The file holds each parameter and buffer of the network under its own name, zeros where the mask says, and each mask as
booleans under `mask/NAME`. Its content is `about` (round, results, model settings, class names) and `tokenizer` (JSON
of the `tokenizers` library, as text). There is no pickle in it.
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

from lt_lightning.errors import SettingError
from lt_lightning.lottery import Mask
from lt_lightning.results.sealed_tensors import read_sealed, write_sealed

FORMAT, VERSION = "lt-lightning ticket", "2"
_MASK = "mask/"


@dataclass(frozen=True)
class RoundTicket:
    """What a round trained.

    Attributes:
        weights: the network's parameters and buffers by name.
        mask: which entries of the prunable ones are alive.
        about: plain values: `round`, `model`, `class_names`, `sparsity`, `test_acc`, …
        tokenizer: the words, as JSON of the `tokenizers` library.
    """

    weights: Mapping[str, Tensor]
    mask: Mask
    about: Mapping[str, Any]
    tokenizer: str

    @cached_property
    def vocabulary(self) -> list[str]:
        """All words in the order of their ids, `<unk>` and `<pad>` first."""
        numbers = json.loads(self.tokenizer)["model"]["vocab"]
        return sorted(numbers, key=numbers.__getitem__)

    def save(self, path: Path) -> str:
        """Write the ticket, whole or not at all, and give its seal."""
        tensors = {**self.weights, **{_MASK + name: tensor for name, tensor in self.mask.items()}}
        content = {"format": FORMAT, "version": VERSION, "about": dict(self.about), "tokenizer": self.tokenizer}
        path.parent.mkdir(parents=True, exist_ok=True)
        return write_sealed(path, tensors, content)

    @classmethod
    def load(cls, path: Path) -> RoundTicket:
        """Read a ticket.

        Raises:
            SettingError: if the file is none, or damaged.
        """
        tensors, content = read_sealed(path, FORMAT, VERSION)
        about, tokenizer = content.get("about"), content.get("tokenizer")
        if not isinstance(about, dict) or not isinstance(tokenizer, str):
            raise SettingError(f"{path}: a ticket without its settings or its words; write it again")
        masks = {name.removeprefix(_MASK): tensor for name, tensor in tensors.items() if name.startswith(_MASK)}
        weights = {name: tensor for name, tensor in tensors.items() if not name.startswith(_MASK)}
        for name, tensor in masks.items():
            if tensor.dtype != torch.bool or name not in weights or weights[name].shape != tensor.shape:
                raise SettingError(f"{path}: a ticket with a mask of {name!a} that fits no weight; write it again")
        return cls(weights, Mask(masks), about, tokenizer)
