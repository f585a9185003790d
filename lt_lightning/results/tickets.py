"""Tickets: a mask, the weights that it leaves, and what is needed to use them, in one safetensors file.

The file holds each parameter and buffer of the network under its own name, zeros where the mask says, and each mask as
booleans under `mask/NAME`. Its one entry of metadata, `ticket`, is JSON: `format`, `version`, `about` (round, results,
model settings, class names) and `tokenizer` (JSON of the `tokenizers` library, as text). There is no pickle in it.
Format: https://huggingface.co/docs/safetensors
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from lt_lightning.errors import SettingError
from lt_lightning.lottery import Mask
from lt_lightning.results.files import write_whole

FORMAT, VERSION = "lt-lightning ticket", "1"
_MASK = "mask/"


@dataclass(frozen=True)
class Ticket:
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

    def save(self, path: Path) -> None:
        """Write the ticket, whole or not at all."""
        tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in self.weights.items()}
        tensors |= {_MASK + name: tensor.cpu().contiguous() for name, tensor in self.mask.items()}
        content = {"format": FORMAT, "version": VERSION, "about": dict(self.about), "tokenizer": self.tokenizer}
        # One entry: safetensors writes several in an order of its own each time, and the same ticket is the same file.
        metadata = {"ticket": json.dumps(content)}
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, save(tensors, metadata))

    @classmethod
    def load(cls, path: Path) -> Ticket:
        """Read a ticket.

        Raises:
            SettingError: if the file is none.
        """
        try:
            with safe_open(path, framework="pt") as file:
                content = json.loads((file.metadata() or {}).get("ticket", "{}"))
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
        except (SafetensorError, OSError, ValueError) as error:
            raise SettingError(f"{path}: no ticket, or a damaged one ({error})") from error
        if not isinstance(content, dict) or (content.get("format"), content.get("version")) != (FORMAT, VERSION):
            raise SettingError(f"{path}: a safetensors file, but no ticket of version {VERSION} of this project")
        mask = {name.removeprefix(_MASK): tensor for name, tensor in tensors.items() if name.startswith(_MASK)}
        weights = {name: tensor for name, tensor in tensors.items() if not name.startswith(_MASK)}
        return cls(weights, Mask(mask), content["about"], content["tokenizer"])
