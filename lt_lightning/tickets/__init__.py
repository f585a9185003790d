"""Packed tickets: one small file that holds all that prediction needs, and prediction in NumPy.

- `places`: pack the places of living entries into bytes;
- `parameters`: living values and their places;
- `file`: read and write the file (`docs/ticket-format.md`); `header`: check its header;
- `hub`: find a ticket on the Hugging Face Hub;
- `reading`: texts to word ids; `numpy/`: word ids to logits, from the features that `reaching` keeps;
- `encoder/`: tickets of pre-trained encoders;
- `explaining`: what each word adds to each logit; `class_words`: the sums over many texts; `reasons`: show them;
- `web/`: a page that classifies; `ticket`: all of these as one object; `scores`: compare its probabilities with labels;
- `onnx`, `graphs`: write an ONNX file; only these need the package `onnx`.

These files import NumPy and the standard library only; `encoder/` imports tokenizers, and onnxruntime or torch and
transformers, when such a ticket answers. Torch, jaxtyping or OmegaConf would take a good
part of the time from a process's start to its first answer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lt_lightning.tickets.ticket import Ticket

__all__ = ["Ticket"]


def __getattr__(name: str) -> Any:
    """Import `Ticket` when it is used: a ticket's header is checked without NumPy."""
    if name == "Ticket":
        from lt_lightning.tickets.ticket import Ticket

        return Ticket
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
