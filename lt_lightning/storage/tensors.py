"""Write and read sealed files of torch tensors."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from lt_lightning.storage.sealed import damaged, quoted, seal, unseal


def write_sealed(path: Path, tensors: Mapping[str, Tensor], content: Mapping[str, Any]) -> str:
    """Write tensors of any shape and device to a sealed file and return its seal; see `sealed.seal`."""
    return seal(path, save(_apart(tensors)), tensors, content)


def read_sealed(path: Path, format: str, version: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return the tensors of a sealed file, on the CPU and in order, and its content; see `sealed.unseal`.

    Raises:
        SettingError: the file does not exist, is not a sealed file of this format and version, or is damaged.
    """
    file = unseal(path, format, version)
    try:
        tensors = load(file.data)
    # Sealed, but not by `write_sealed`: invalid types, sizes or offsets.
    except (SafetensorError, AssertionError, KeyError, OverflowError, RuntimeError, TypeError, ValueError) as error:
        raise damaged(path, f"its tensors cannot be read, {quoted(error)}") from error
    for name, tensor in tensors.items():
        if tensor.dtype == torch.bool and (tensor.view(torch.uint8) > 1).any():
            raise damaged(path, f"{quoted(name)} has values that are neither true nor false")
    return {name: tensors[name] for name in file.header}, file.content  # safetensors returns them in a random order


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
