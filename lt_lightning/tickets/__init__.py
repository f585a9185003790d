"""Packed tickets: one small file that holds all that is needed to predict, and prediction in NumPy.

- `places`: which entries of a tensor live, in a byte or so each;
- `format`: the file, as `docs/ticket-format.md` has it for other languages; `arrays`: what lies in it; `shapes`: what
  must; `plain`: the values in its header;
- `reading`: texts to word ids;
- `network`: word ids to logits, by `convolution`, of what is found to be `reaching` them, or by `recurrence` (one step
  of it is in `cells`), whose `products` pass over zeros;
- `ticket`: all of it as one object;
- `onnx`: the network as a file for other programs, made of `graphs`; the only ones that need the package `onnx`.

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
