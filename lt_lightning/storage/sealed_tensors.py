"""Sealed files of torch's tensors."""

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
    """Write a sealed file, whole or not at all. The same tensors and content are the same file.

    Args:
        path: the file; its folder must exist.
        tensors: of any shapes, on any device, tied ones too.
        content: plain JSON values; `format` and `version` among them say what the file is.

    Returns:
        The seal, 64 hexadecimal digits.

    Raises:
        OSError: the file cannot be written.
    """
    return seal(path, save(_apart(tensors)), tensors, content)


def read_sealed(path: Path, format: str, version: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read a sealed file and check its seal.

    Args:
        path: the file.
        format: what its content must call itself.
        version: the version of that format.

    Returns:
        The tensors, on the CPU and in their order, and the content.

    Raises:
        SettingError: there is no such file, it is something else, or it is damaged.
    """
    file = unseal(path, format, version)
    try:
        tensors = load(file.data)
    # Sealed, but not by `write_sealed`: types, sizes or places that no tensor has.
    except (SafetensorError, AssertionError, KeyError, OverflowError, RuntimeError, TypeError, ValueError) as error:
        raise damaged(path, f"no tensors can be made of it, {quoted(error)}") from error
    for name, tensor in tensors.items():
        if tensor.dtype == torch.bool and (tensor.view(torch.uint8) > 1).any():
            raise damaged(path, f"{quoted(name)} has values that are neither true nor false")
    return {
        name: tensors[name] for name in file.header
    }, file.content  # safetensors gives them in another order each time


def _apart(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors on the CPU, each in memory of its own, as safetensors wants them; copied only where they are not."""
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
