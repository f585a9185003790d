"""Packed tickets: one small file that holds all that is needed to predict, and prediction in NumPy.

- `places`: which entries of a tensor live, in a byte or so each;
- `format`: the file, as `docs/ticket-format.md` has it for other languages; `arrays`: what lies in it; `shapes`: what
  must;
- `reading`: texts to word ids;
- `network`: word ids to logits, by `convolution`, of what is found to be `reaching` them, or by `recurrence` (one step
  of it is in `cells`), whose `products` pass over zeros;
- `ticket`: all of it as one object;
- `onnx`: the network as a file for other programs, made of `graphs`; the only ones that need the package `onnx`.

What lives here imports NumPy, `tokenizers` and the standard library alone: neither torch nor jaxtyping nor the
configuration, each of which would cost a good part of the time from a process's start to its first answer.
"""

from lt_lightning.tickets.ticket import Ticket

__all__ = ["Ticket"]
