"""Draw all parts of a module as its construction does, each by its own initializer.

A part draws its parameters by `reset_parameters()`, as torch's layers do. The models of transformers draw all their
parts themselves, by `_init_weights(part)`: embeddings of torch begin as N(0, 1), those of BERT as
N(0, initializer_range). transformers is not imported here.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

_FLAG = "_is_hf_initialized"
"""The attribute of tensors that transformers 5 does not draw again: all that a checkpoint has filled. It is private;
`tests/lottery/test_lottery_encoders.py` notices if a loaded model is not drawn any more."""


def draw_parts(module: nn.Module) -> None:
    """Draw the parameters of every part of `module` again, in place, inner parts first.

    A parameter that no initializer draws keeps its values.
    """
    with _unflagged(module):
        _draw(module, None)


def find_model(module: nn.Module, name: str) -> nn.Module | None:
    """Return the innermost model of transformers that the parameter `name` of `module` belongs to, or None."""
    found, part = None, module
    for step in [None, *name.split(".")[:-1]]:
        part = part if step is None else part.get_submodule(step)
        found = part if _is_pretrained(part) else found
    return found


def _draw(part: nn.Module, model: Any) -> None:
    model = part if _is_pretrained(part) else model
    for child in part.children():
        _draw(child, model)
    if model is not None:
        with torch.no_grad():
            model._init_weights(part)  # not public, and yet the method that transformers asks models to define
        return
    # nn.MultiheadAttention and nn.Transformer have it with an underscore.
    reset = getattr(part, "reset_parameters", None) or getattr(part, "_reset_parameters", None)
    if callable(reset):
        reset()


def _is_pretrained(part: nn.Module) -> bool:
    """Return whether a module is a `transformers.PreTrainedModel`."""
    names = {(base.__module__, base.__qualname__) for base in type(part).__mro__}
    return ("transformers.modeling_utils", "PreTrainedModel") in names


@contextmanager
def _unflagged(module: nn.Module) -> Iterator[None]:
    """Let transformers draw tensors that a checkpoint has filled; their flags return afterwards."""
    flagged: list[tuple[Tensor, Any]] = []
    for tensor in (*module.parameters(), *module.buffers()):
        if hasattr(tensor, _FLAG):
            flagged.append((tensor, getattr(tensor, _FLAG)))
            delattr(tensor, _FLAG)
    try:
        yield
    finally:
        for tensor, value in flagged:
            setattr(tensor, _FLAG, value)
