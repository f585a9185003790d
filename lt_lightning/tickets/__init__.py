"""Packed tickets: one small file that holds all that is needed to predict, and prediction in NumPy.

- `places`: which entries of a tensor live, in a byte or so each;
- `file`: the file, as `docs/ticket-format.md` has it for other languages; `shapes`, `plain`, `recipes`: checks of it;
- `reading`: texts to word ids; `network`: word ids to logits, by `numpy/`, of the features that `reaching` finds;
- `ticket`: all of it as one object; `scores`: how well its probabilities fit labels;
- `onnx`, `graphs`: the network as an ONNX file; the only files that need the package `onnx`.

What lives here imports NumPy, `tokenizers` and the standard library alone: neither torch nor jaxtyping nor the
configuration, each of which would cost a good part of the time from a process's start to its first answer. NumPy itself
is waited for by those who predict alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lt_lightning.tickets.ticket import Ticket

__all__ = ["Ticket"]


def __getattr__(name: str) -> Any:
    """`Ticket`, imported once it is asked for: what a ticket must hold is checked without NumPy."""
    if name == "Ticket":
        from lt_lightning.tickets.ticket import Ticket

        return Ticket
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
